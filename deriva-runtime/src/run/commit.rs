//! Writing behind: blobs first, then outputs, in batches, one at a time.

use std::sync::Arc;

use deriva_api::{Blob, CAddr, Divergence, Error, ErrorKind, Output, Record, Result};
use futures::StreamExt;

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

    fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES || self.records.len() >= FULL_RECORDS
    }
}

impl Run {
    /// Starts to write what is there, if nothing is being written: a full batch, or with `any` also
    /// a smaller one.
    pub(super) fn commit(&mut self, any: bool) {
        let due = if any {
            !self.batch.records.is_empty()
        } else {
            self.batch.is_full()
        };
        if self.committing || !due {
            return;
        }
        let Batch {
            blobs,
            records,
            landings,
            ..
        } = std::mem::take(&mut self.batch);
        let inner = Arc::clone(&self.inner);
        // A task of its own: a batch that was begun is finished even when the request is dropped, and
        // its flights land in any case.
        let work = self.inner.tokio.spawn(async move {
            let addrs = landings.iter().map(|(addr, _)| *addr).collect();
            let claims = Claims::new(&inner, addrs);
            let result = write(&inner, &blobs, &records).await;
            drop(claims.disarm());
            let landing = |output| match &result {
                Ok(_) => Landing::Done {
                    output,
                    blob: None,
                    stored: true,
                },
                Err(error) => Landing::Failed(error.clone()),
            };
            let landed = landings.into_iter();
            inner
                .flights
                .land(landed.map(|(addr, output)| (addr, landing(output))));
            result
        });
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
        let error = match result {
            Ok(divergences) => match divergences.first() {
                None => return,
                Some(first) => Error::new(ErrorKind::Nondeterministic, "a recipe gave another output than is recorded")
                    .with("addr", first.addr)
                    .with("recorded", first.recorded.addr)
                    .with("offered", first.offered.addr)
                    .hint("the first output was kept; give the function a new version, or forget the old output"),
            },
            Err(error) => error.during("commit"),
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

async fn write(inner: &Inner, blobs: &[Blob], records: &[Record]) -> Result<Vec<Divergence>> {
    if !blobs.is_empty() {
        inner.blobs.put(blobs).await?;
    }
    inner.dag.record(records).await
}
