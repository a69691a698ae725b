//! Writing a batch: blobs first, then outputs; then its flights land.

use std::sync::Arc;

use deriva_api::{Blob, CAddr, Divergence, Error, ErrorKind, Record, Result};
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument;

use super::writer::Batch;
use crate::determinism::violated::condemns;
use crate::planted::{Fault, hidden, planted};
use crate::shared::Inner;
use crate::shared::flights::Landing;
use crate::shared::invalidations::Watch;
use crate::shared::leases::Lease;
use crate::shared::spans;
use crate::shared::tallies::Counted;

/// What came of writing a batch, which holds no more than its nodes now and is to be filled again.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) batch: Batch,
    pub(super) result: Result<Written>,
}

/// How writing a batch ended.
#[derive(Debug)]
pub(super) enum Written {
    /// It is recorded.
    Recorded(Recorded),
    /// It relies on outputs that were forgotten meanwhile; nothing of it is recorded.
    Refused,
}

/// What came of recording a batch.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// By recipe.
    pub(super) divergences: Vec<(CAddr, Divergence)>,
    /// Contents that were taken away before their records were written; these were left out.
    pub(super) gone: Vec<CAddr>,
}

impl Committed {
    /// The task that wrote it came to no end.
    pub(super) fn interrupted(source: JoinError) -> Self {
        let what = "writing results was interrupted";
        Self {
            batch: Batch::default(),
            result: Err(Error::new(ErrorKind::Cancelled, what).caused_by(source)),
        }
    }
}

/// A batch on its way to the store. Its flights end with it, however it ends.
struct Flying {
    inner: Arc<Inner>,
    batch: Batch,
    /// On what is recorded, until it is written: the request that leases it may end before.
    _lease: Lease,
    _counted: Counted,
}

impl Flying {
    fn new(inner: &Arc<Inner>, batch: Batch) -> Self {
        let records = match planted(Fault::leases_nothing_that_it_records) {
            true => &[][..],
            false => &batch.records,
        };
        let mut recorded = Vec::with_capacity(2 * records.len());
        recorded.extend(records.iter().map(|record| record.addr));
        recorded.extend(records.iter().map(|record| record.output.addr));
        Self {
            _lease: inner.grant(recorded),
            _counted: inner.tallies.commits.begin(),
            inner: Arc::clone(inner),
            batch,
        }
    }
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
    let span = spans::commit(batch.records.len(), batch.blobs.len());
    // Made before the task, which may never run when the async runtime shuts down.
    let flying = Flying::new(inner, batch);
    let watch = Arc::clone(watch);
    let own = span.clone();
    let work = async move {
        let committed = commit(flying, watch).await;
        if let Err(error) = &committed.result {
            spans::not_committed(&own, error);
        }
        committed
    };
    inner.tokio.spawn(work.instrument(span.or_current()))
}

async fn commit(mut flying: Flying, watch: Arc<Watch>) -> Committed {
    let inner = Arc::clone(&flying.inner);
    let way = inner
        .make_way(flying.batch.blobs.iter().map(Blob::addr))
        .await;
    // Until the flights have landed: who asks after an invalidation must not join them.
    let _together = inner.gate.read().await;
    if planted(Fault::lands_before_it_writes) {
        inner.flights.land(flying.batch.landing(), done);
    }
    let refused = match way {
        Ok(()) => refuses(&inner, &flying.batch, &watch).await,
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
            match divergences.iter().find(|(addr, _)| *addr == record.addr) {
                Some((_, other)) => Landing::Failed(divergent(other)),
                None => done(record),
            }
        }
    };
    inner.flights.land(batch.landing(), landing);
    batch.clear();
    Committed { batch, result }
}

/// Writes what was made as a run does, beside whoever else is at work; tells whether it is recorded.
#[cfg(test)]
pub(crate) async fn commit_of(
    inner: &Arc<Inner>,
    made: impl IntoIterator<Item = (Record, Blob)>,
    watch: &Arc<Watch>,
) -> bool {
    let mut batch = Batch::new(u64::MAX);
    for (node, (record, blob)) in made.into_iter().enumerate() {
        batch.add(node as u32, record, Some(blob), true);
    }
    let committed = commit(Flying::new(inner, batch), Arc::clone(watch)).await;
    matches!(committed.result, Ok(Written::Recorded(_)))
}

/// Whether a batch may not be recorded: some of it was found to differ, or relies on what was forgotten.
async fn refuses(inner: &Inner, batch: &Batch, watch: &Watch) -> Result<bool> {
    if condemns(inner, &batch.records).await? {
        watch.refuse();
        return Ok(true);
    }
    let Batch {
        records,
        also,
        strict,
        ..
    } = batch;
    // What a quorum accepted is right, although its recipe was found to lie meanwhile.
    let stands = |record: &Record| {
        let mut names = [Some(record.addr), record.resolved].into_iter().flatten();
        names.any(|name| inner.ledger.accepts(&name, &record.output.addr))
    };
    watch
        .refuses(&*inner.dag, records, also, *strict, stands)
        .await
}

/// How a flight ends whose record is written.
fn done(record: &Record) -> Landing {
    Landing::stored(record.output)
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
        let recipe = |other: &Divergence| {
            let of_it =
                |record: &&Record| other.addr == record.addr || Some(other.addr) == record.resolved;
            batch
                .records
                .iter()
                .find(of_it)
                .map_or(other.addr, |record| record.addr)
        };
        let divergences = divergences
            .into_iter()
            .map(|other| (recipe(&other), other))
            .collect();
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

pub(super) fn divergent(divergence: &Divergence) -> Error {
    let what = "a recipe gave another output than is recorded";
    Error::new(ErrorKind::Nondeterministic, what)
        .with("addr", divergence.addr)
        .with("recorded", divergence.recorded.addr)
        .with("offered", divergence.offered.addr)
        .hint(
            "the first output was kept; give the function a new version, or forget the old output",
        )
}
