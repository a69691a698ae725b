//! Writing behind: blobs first, then outputs, in batches, one at a time.

use std::sync::Arc;

use deriva_api::{Blob, CAddr, Divergence, Error, ErrorKind, Record, Result};
use futures::StreamExt;
use tokio::task::JoinHandle;

use super::{Done, Run};
use crate::materialize::plan::NodeId;
use crate::planted::{Fault, hidden, planted};
use crate::shared::Inner;
use crate::shared::flights::Landing;
use crate::shared::invalidations::Watch;
use crate::shared::tallies::Counted;

/// Records that are worth a commit while there is other work to do.
const FULL_RECORDS: usize = 1024;
/// Bytes that are worth a commit while there is other work to do.
const FULL_BYTES: u64 = 8 << 20;
/// Bytes and records that may wait for a commit before the scheduler waits too.
const BACKLOG_BYTES: u64 = 32 << 20;
const BACKLOG_RECORDS: usize = 16 * FULL_RECORDS;
/// The share of the memory budget that may wait to be written.
const SHARE: u64 = 8;

/// Results that wait to be written, and whose flights land once they are.
#[derive(Debug, Default)]
pub(super) struct Batch {
    blobs: Vec<Blob>,
    /// Contents that are recorded without being brought: somebody stored them before.
    found: Vec<CAddr>,
    records: Vec<Record>,
    nodes: Vec<NodeId>,
    /// Which records end a flight of this request.
    lands: Vec<bool>,
    /// What the records rely on beside their inputs.
    pub(super) also: Vec<CAddr>,
    /// Not all that the records rely on is known: anything forgotten refuses them.
    pub(super) strict: bool,
    bytes: u64,
    /// Bytes that may wait.
    room: u64,
}

/// What came of writing a batch, which holds no more than its nodes now and is to be filled again.
pub(super) struct Committed {
    batch: Batch,
    result: Result<Written>,
}

/// How writing a batch ended.
pub(super) enum Written {
    /// It is recorded.
    Recorded(Recorded),
    /// It relies on outputs that were forgotten meanwhile; nothing of it is recorded.
    Refused,
}

/// What came of recording a batch.
#[derive(Default)]
pub(super) struct Recorded {
    divergences: Vec<Divergence>,
    /// Contents that were taken away before their records were written; these were left out.
    gone: Vec<CAddr>,
}

impl Batch {
    /// An empty batch, under a memory budget.
    pub(super) fn new(memory: u64) -> Self {
        Self {
            // However small the budget is, a result may wait alone.
            room: BACKLOG_BYTES.min(memory / SHARE).max(1),
            ..Self::default()
        }
    }

    /// Adds the output of a node, and its blob unless that is stored. `lands` tells that its flight
    /// belongs to this request, and ends when it is written.
    pub(super) fn add(&mut self, node: NodeId, record: Record, blob: Option<Blob>, lands: bool) {
        self.bytes += blob.as_ref().map_or(0, Blob::len);
        match blob {
            Some(blob) => self.blobs.push(blob),
            None => self.found.push(record.output.addr),
        }
        self.records.push(record);
        self.nodes.push(node);
        self.lands.push(lands);
    }

    pub(super) fn is_backlog(&self) -> bool {
        self.bytes >= self.room || self.records.len() >= BACKLOG_RECORDS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES.min(self.room) || self.records.len() >= FULL_RECORDS
    }

    /// Lets go of everything but the nodes.
    fn clear(&mut self) {
        self.blobs.clear();
        self.found.clear();
        self.records.clear();
        self.lands.clear();
        self.also.clear();
        (self.strict, self.bytes) = (false, 0);
    }

    /// The addresses whose flights end with this batch, and what is recorded for each.
    fn landing(&self) -> impl Iterator<Item = (CAddr, &Record)> {
        self.records
            .iter()
            .zip(&self.lands)
            .flat_map(|(record, lands)| {
                let own = lands.then_some(record.addr);
                let ended = own.into_iter().chain(record.resolved);
                ended.map(move |addr| (addr, record))
            })
    }
}

impl Run {
    /// Starts to write what is there, if nothing is being written: a full batch, or with `any` also
    /// a smaller one.
    pub(super) fn commit(&mut self, any: bool) {
        let due = !self.batch.is_empty() && (any || self.lent.hurry || self.batch.is_full());
        if self.committing || !due {
            return;
        }
        self.lent.hurry = false;
        self.commit_begins(self.batch.records.len());
        let batch = std::mem::replace(&mut self.batch, std::mem::take(&mut self.next_batch));
        let work = spawn(&self.inner, batch, &self.watch);
        self.committing = true;
        self.running.push(Box::pin(async move {
            Done::Committed(work.await.unwrap_or_else(|source| {
                let what = "writing results was interrupted";
                Committed {
                    batch: Batch::default(),
                    result: Err(Error::new(ErrorKind::Cancelled, what).caused_by(source)),
                }
            }))
        }));
    }

    pub(super) fn committed(&mut self, committed: Committed) {
        let Committed { mut batch, result } = committed;
        let nodes = std::mem::take(&mut batch.nodes);
        self.next_batch = batch;
        self.committing = false;
        self.commit_ends();
        let error = match result {
            Ok(Written::Refused) => {
                self.replan = true;
                return;
            }
            Ok(Written::Recorded(recorded)) => {
                self.replan |= !recorded.gone.is_empty();
                self.distrust(recorded.gone);
                match recorded.divergences.first() {
                    None => return self.may_go(nodes),
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
            if planted(Fault::acknowledges_before_the_last_batch) {
                return;
            }
            self.commit(true);
            if !self.committing {
                return;
            }
            match self.running.next().await {
                Some(Done::Committed(committed)) => {
                    let failed = committed.result.is_err();
                    self.committed(committed);
                    if failed || planted(Fault::acknowledges_after_the_first_batch) {
                        return;
                    }
                }
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// A batch on its way to the store. Its flights end with it, however it ends.
struct Flying {
    inner: Arc<Inner>,
    batch: Batch,
    _counted: Counted,
}

impl Drop for Flying {
    fn drop(&mut self) {
        if !self.batch.is_empty() {
            let flights = &self.inner.flights;
            flights.land(self.batch.landing(), |_| Landing::Abandoned);
        }
    }
}

/// Writes a batch in a task of its own, which lands its flights: a batch that was begun is finished
/// even when the request is dropped.
pub(super) fn spawn(inner: &Arc<Inner>, batch: Batch, watch: &Arc<Watch>) -> JoinHandle<Committed> {
    // Made before the task, which may never run when the async runtime shuts down.
    let mut flying = Flying {
        _counted: inner.tallies.commits.begin(),
        inner: Arc::clone(inner),
        batch,
    };
    let watch = Arc::clone(watch);
    // Until they are written, where the request that leases them may end before.
    let records = match planted(Fault::leases_nothing_that_it_records) {
        true => &[][..],
        false => &flying.batch.records,
    };
    let mut recorded = Vec::with_capacity(2 * records.len());
    recorded.extend(records.iter().map(|record| record.addr));
    recorded.extend(records.iter().map(|record| record.output.addr));
    let lease = inner.grant(recorded);
    inner.tokio.spawn(async move {
        let inner = Arc::clone(&flying.inner);
        let way = inner
            .make_way(flying.batch.blobs.iter().map(Blob::addr))
            .await;
        // Until the flights have landed: who asks after an invalidation must not join them.
        let _together = inner.gate.read().await;
        let Batch {
            records,
            also,
            strict,
            ..
        } = &flying.batch;
        if planted(Fault::lands_before_it_writes) {
            inner.flights.land(flying.batch.landing(), done);
        }
        let refused = match way {
            Ok(()) => watch.refuses(&*inner.dag, records, also, *strict).await,
            Err(error) => Err(error),
        };
        let result = match refused {
            Ok(false) => write(&inner, &flying.batch).await.map(Written::Recorded),
            Ok(true) if !planted(Fault::refuses_nothing) => Ok(Written::Refused),
            Ok(true) => write(&inner, &flying.batch).await.map(Written::Recorded),
            Err(error) => Err(error.during("commit")),
        };
        let result = match result {
            Err(_) if planted(Fault::takes_a_failed_batch_for_written) => {
                Ok(Written::Recorded(Recorded::default()))
            }
            result => result,
        };
        let mut batch = std::mem::take(&mut flying.batch);
        let landing = |record: &Record| match &result {
            Err(error) => Landing::Failed(error.clone()),
            Ok(Written::Refused) if planted(Fault::hands_a_refused_batch_on) => done(record),
            Ok(Written::Refused) => Landing::Abandoned,
            Ok(Written::Recorded(recorded)) if recorded.gone.contains(&record.output.addr) => {
                Landing::Abandoned
            }
            Ok(Written::Recorded(Recorded { divergences, .. })) => {
                let of_it = |other: &&Divergence| {
                    other.addr == record.addr || Some(other.addr) == record.resolved
                };
                match divergences.iter().find(of_it) {
                    Some(other) => Landing::Failed(divergent(other)),
                    None => done(record),
                }
            }
        };
        inner.flights.land(batch.landing(), landing);
        batch.clear();
        drop(lease);
        Committed { batch, result }
    })
}

/// How a flight ends whose record is written.
fn done(record: &Record) -> Landing {
    Landing::Done {
        output: record.output,
        blob: None,
        stored: true,
    }
}

async fn write(inner: &Inner, batch: &Batch) -> Result<Recorded> {
    let written = async {
        if planted(Fault::records_before_it_stores) {
            inner.dag.record(&batch.records).await?;
        }
        if !batch.blobs.is_empty() {
            let put = inner.blobs.put(&batch.blobs).await;
            put.or_else(|error| hidden(Fault::takes_a_failed_put_for_done, error))?;
        }
        let gone = absent(inner, &batch.found).await?;
        let began = inner.clock.now();
        let divergences = if gone.is_empty() {
            inner.dag.record(&batch.records).await?
        } else {
            let there = |record: &&Record| !gone.contains(&record.output.addr);
            let records: Vec<Record> = batch.records.iter().filter(there).copied().collect();
            inner.dag.record(&records).await?
        };
        let took = inner.clock.now().saturating_sub(began);
        inner.costs.observe_write(batch.records.len() as u64, took);
        Ok(Recorded { divergences, gone })
    };
    written.await.map_err(|error: Error| error.during("commit"))
}

/// Those contents that are not stored any more: an output is never recorded without its blob.
async fn absent(inner: &Inner, contents: &[CAddr]) -> Result<Vec<CAddr>> {
    if contents.is_empty() {
        return Ok(Vec::new());
    }
    let stats = inner.blobs.stat(contents).await?;
    let contents = contents.iter().zip(stats);
    Ok(contents
        .filter_map(|(addr, stat)| stat.is_none().then_some(*addr))
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
