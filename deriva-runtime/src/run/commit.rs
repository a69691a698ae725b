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
    /// Contents that are recorded without being brought: somebody stored them before.
    found: Vec<CAddr>,
    records: Vec<Record>,
    pub(super) landings: Vec<(CAddr, Output)>,
    bytes: u64,
}

impl Batch {
    pub(super) fn add(&mut self, record: Record, blob: Option<Blob>) {
        self.bytes += blob.as_ref().map_or(0, Blob::len);
        match blob {
            Some(blob) => self.blobs.push(blob),
            None => self.found.push(record.output.addr),
        }
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
        let work = spawn(&self.inner, std::mem::take(&mut self.batch));
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
            Ok(written) => {
                self.replan |= !written.gone.is_empty();
                self.distrusted.extend(written.gone);
                match written.divergences.first() {
                    None => return,
                    Some(first) => divergent(first),
                }
            }
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

/// What came of a batch.
#[derive(Debug, Default)]
pub(super) struct Written {
    divergences: Vec<Divergence>,
    /// Contents that were taken away before their records were written; these were left out.
    gone: Vec<CAddr>,
}

/// Writes a batch in a task of its own, which lands its flights: a batch that was begun is finished
/// even when the request is dropped.
pub(super) fn spawn(inner: &Arc<Inner>, mut batch: Batch) -> JoinHandle<Result<Written>> {
    let landings = std::mem::take(&mut batch.landings);
    // Made before the task, which may never run when the async runtime shuts down.
    let addrs = landings.iter().map(|(addr, _)| *addr).collect();
    let claims = Claims::new(inner, addrs);
    // Until they are written, where the request that leases them may end before.
    let recorded = batch.records.iter();
    let recorded = recorded.flat_map(|record| [record.addr, record.output.addr]);
    let lease = inner.hold(recorded.collect());
    let owned = Arc::clone(inner);
    inner.tokio.spawn(async move {
        let result = write(&owned, batch).await;
        drop(claims.disarm());
        let landing = |addr: CAddr, output: Output| match &result {
            Err(error) => Landing::Failed(error.clone()),
            Ok(written) if written.gone.contains(&output.addr) => Landing::Abandoned,
            Ok(written) => match written.divergences.iter().find(|other| other.addr == addr) {
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
        drop(lease);
        result
    })
}

async fn write(inner: &Inner, batch: Batch) -> Result<Written> {
    let Batch {
        blobs,
        found,
        mut records,
        ..
    } = batch;
    let _together = inner.gate.read().await;
    let written = async {
        if !blobs.is_empty() {
            inner.blobs.put(&blobs).await?;
        }
        let gone = absent(inner, found).await?;
        records.retain(|record| !gone.contains(&record.output.addr));
        let divergences = inner.dag.record(&records).await?;
        Ok(Written { divergences, gone })
    };
    written.await.map_err(|error: Error| error.during("commit"))
}

/// Those contents that are not stored any more: an output is never recorded without its blob.
async fn absent(inner: &Inner, contents: Vec<CAddr>) -> Result<Vec<CAddr>> {
    if contents.is_empty() {
        return Ok(contents);
    }
    let stats = inner.blobs.stat(&contents).await?;
    let contents = contents.into_iter().zip(stats);
    Ok(contents
        .filter_map(|(addr, stat)| stat.is_none().then_some(addr))
        .collect())
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
