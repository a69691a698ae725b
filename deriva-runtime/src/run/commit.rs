//! Writing behind: blobs first, then outputs, in batches, one at a time.

use std::sync::Arc;

use deriva_api::{Blob, CAddr, Divergence, Error, ErrorKind, Output, Record, Result};
use futures::StreamExt;
use tokio::task::JoinHandle;

use super::{Done, Run};
use crate::flights::Landing;
use crate::inner::Inner;
use crate::plan::Claims;

/// Records that are worth a commit while there is other work to do.
const FULL_RECORDS: usize = 1024;
/// Bytes that are worth a commit while there is other work to do.
const FULL_BYTES: u64 = 8 << 20;
/// Bytes and records that may wait behind a commit before the scheduler waits too.
const BACKLOG_BYTES: u64 = 32 << 20;
const BACKLOG_RECORDS: usize = 16 * FULL_RECORDS;

/// Results that wait to be written, and the flights that land once they are.
#[derive(Debug, Default)]
pub(super) struct Batch {
    blobs: Vec<Blob>,
    records: Vec<Record>,
    pub(super) landings: Vec<(CAddr, Output)>,
    bytes: u64,
}

impl Batch {
    pub(super) fn add(&mut self, record: Record, blob: Option<Blob>) {
        self.bytes += blob.as_ref().map_or(0, Blob::len);
        self.blobs.extend(blob);
        self.records.push(record);
    }

    pub(super) fn is_backlog(&self) -> bool {
        self.bytes >= BACKLOG_BYTES || self.records.len() >= BACKLOG_RECORDS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES || self.records.len() >= FULL_RECORDS
    }
}

impl Run {
    /// Starts to write what is there, if nothing is being written: a full batch, or with `any` also
    /// a smaller one.
    pub(super) fn commit(&mut self, any: bool) {
        let due = if any {
            !self.batch.is_empty()
        } else {
            self.batch.is_full()
        };
        if self.committing || !due {
            return;
        }
        self.commit_begins(self.batch.records.len());
        let work = spawn(&self.inner, std::mem::take(&mut self.batch));
        self.committing = true;
        self.running.push(Box::pin(async move {
            Done::Committed(work.await.unwrap_or_else(|source| {
                let what = "writing results was interrupted";
                Err(Error::new(ErrorKind::Cancelled, what).caused_by(source))
            }))
        }));
    }

    pub(super) fn committed(&mut self, result: Result<Vec<Divergence>>) {
        self.committing = false;
        self.commit_ends();
        let error = match result {
            Ok(divergences) => match divergences.first() {
                None => return,
                Some(first) => divergent(first),
            },
            Err(error) => error,
        };
        self.failure.get_or_insert(error);
    }

    /// Writes everything that was computed, also after a failure: it need not be computed again.
    pub(super) async fn finish_commits(&mut self) {
        loop {
            self.commit(true);
            if !self.committing {
                return;
            }
            match self.running.next().await {
                Some(Done::Committed(result)) => {
                    let failed = result.is_err();
                    self.committed(result);
                    if failed {
                        return;
                    }
                }
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// Writes a batch in a task of its own, which lands its flights: a batch that was begun is finished
/// even when the request is dropped.
pub(super) fn spawn(inner: &Arc<Inner>, batch: Batch) -> JoinHandle<Result<Vec<Divergence>>> {
    let Batch {
        blobs,
        records,
        landings,
        ..
    } = batch;
    // Made before the task, which may never run when the async runtime shuts down.
    let addrs = landings.iter().map(|(addr, _)| *addr).collect();
    let claims = Claims::new(inner, addrs);
    let owned = Arc::clone(inner);
    inner.tokio.spawn(async move {
        let result = write(&owned, &blobs, &records).await;
        drop(claims.disarm());
        let landing = |addr: CAddr, output: Output| match &result {
            Err(error) => Landing::Failed(error.clone()),
            Ok(divergences) => match divergences.iter().find(|other| other.addr == addr) {
                Some(other) => Landing::Failed(divergent(other)),
                None => Landing::Done {
                    output,
                    blob: None,
                    stored: true,
                },
            },
        };
        let landed = landings.into_iter();
        owned
            .flights
            .land(landed.map(|(addr, output)| (addr, landing(addr, output))));
        result
    })
}

async fn write(inner: &Inner, blobs: &[Blob], records: &[Record]) -> Result<Vec<Divergence>> {
    let _together = inner.gate.read().await;
    let written = async {
        if !blobs.is_empty() {
            inner.blobs.put(blobs).await?;
        }
        let began = inner.clock.now();
        let divergences = inner.dag.record(records).await?;
        let took = inner.clock.now().saturating_sub(began);
        inner.costs.observe_write(records.len() as u64, took);
        Ok(divergences)
    };
    written.await.map_err(|error: Error| error.during("commit"))
}

fn divergent(divergence: &Divergence) -> Error {
    let what = "a recipe gave another output than is recorded";
    Error::new(ErrorKind::Nondeterministic, what)
        .with("addr", divergence.addr)
        .with("recorded", divergence.recorded.addr)
        .with("offered", divergence.offered.addr)
        .hint(
            "the first output was kept; give the function a new version, or forget the old output",
        )
}
