//! Writing behind: blobs first, then outputs, in batches, one at a time.

use std::sync::Arc;

use deriva_api::{Blob, CAddr, Divergence, Error, ErrorKind, Output, Record, Result};
use futures::StreamExt;
use tokio::task::JoinHandle;

use super::{Done, Run};
use crate::flights::Landing;
use crate::inner::Inner;
use crate::invalidations::Watch;
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
    /// What the records rely on beside their inputs.
    pub(super) also: Vec<CAddr>,
    /// Not all that the records rely on is known: anything forgotten refuses them.
    pub(super) strict: bool,
    bytes: u64,
}

/// What came of a batch.
pub(super) enum Written {
    /// It is recorded.
    Recorded(Vec<Divergence>),
    /// It relies on outputs that were forgotten meanwhile; nothing of it is recorded.
    Refused,
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
        let work = spawn(&self.inner, std::mem::take(&mut self.batch), &self.watch);
        self.committing = true;
        self.running.push(Box::pin(async move {
            Done::Committed(work.await.unwrap_or_else(|source| {
                let what = "writing results was interrupted";
                Err(Error::new(ErrorKind::Cancelled, what).caused_by(source))
            }))
        }));
    }

    pub(super) fn committed(&mut self, result: Result<Written>) {
        self.committing = false;
        let error = match result {
            Ok(Written::Refused) => {
                self.replan = true;
                return;
            }
            Ok(Written::Recorded(divergences)) => match divergences.first() {
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
pub(super) fn spawn(
    inner: &Arc<Inner>,
    batch: Batch,
    watch: &Arc<Watch>,
) -> JoinHandle<Result<Written>> {
    let Batch {
        blobs,
        records,
        landings,
        also,
        strict,
        ..
    } = batch;
    // Made before the task, which may never run when the async runtime shuts down.
    let addrs = landings.iter().map(|(addr, _)| *addr).collect();
    let claims = Claims::new(inner, addrs);
    let (owned, watch) = (Arc::clone(inner), Arc::clone(watch));
    inner.tokio.spawn(async move {
        // Until the flights have landed: who asks after an invalidation must not join them.
        let _together = owned.gate.read().await;
        let result = match watch.refuses(&records, &also, strict).await {
            Ok(false) => write(&owned, &blobs, &records).await.map(Written::Recorded),
            Ok(true) => Ok(Written::Refused),
            Err(error) => Err(error.during("commit")),
        };
        drop(claims.disarm());
        let landing = |addr: CAddr, output: Output| match &result {
            Err(error) => Landing::Failed(error.clone()),
            Ok(Written::Refused) => Landing::Abandoned,
            Ok(Written::Recorded(divergences)) => {
                match divergences.iter().find(|other| other.addr == addr) {
                    Some(other) => Landing::Failed(divergent(other)),
                    None => Landing::Done {
                        output,
                        blob: None,
                        stored: true,
                    },
                }
            }
        };
        let landed = landings.into_iter();
        owned
            .flights
            .land(landed.map(|(addr, output)| (addr, landing(addr, output))));
        result
    })
}

async fn write(inner: &Inner, blobs: &[Blob], records: &[Record]) -> Result<Vec<Divergence>> {
    let written = async {
        if !blobs.is_empty() {
            inner.blobs.put(blobs).await?;
        }
        inner.dag.record(records).await
    };
    written.await.map_err(|error| error.during("commit"))
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
