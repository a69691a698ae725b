//! The ground floor: what the verbs of a [`Deriva`] meet in.
//!
//! Each service is a value of its own, in a file of its own, and knows nothing of [`Inner`], which holds them all.
//! Wings know this floor; it knows no wing.

pub(crate) mod able;
pub(crate) mod abort_on_drop;
pub(crate) mod address_index;
pub(crate) mod claimant;
pub(crate) mod costs;
pub(crate) mod flights;
pub(crate) mod gate;
pub(crate) mod invalidations;
pub(crate) mod invoke;
pub(crate) mod leases;
pub(crate) mod ledger;
pub(crate) mod lookup;
pub(crate) mod memory;
pub(crate) mod needed_by;
pub(crate) mod nesting;
pub(crate) mod observers;
pub(crate) mod open_stores;
pub(crate) mod pages;
pub(crate) mod perturb;
pub(crate) mod policy;
pub(crate) mod reserved;
pub(crate) mod settings;
pub(crate) mod slots;
pub mod spans;
pub(crate) mod statistics;
pub(crate) mod sync;
pub(crate) mod tallies;
pub(crate) mod unreachable_since;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    BlobCheck, BlobStore, CAddr, Clock, DagStore, Error, ErrorKind, Evidence, Executor, FunctionId,
    FunctionRegistry, Recipe, Result,
};

use crate::cache::{BlobCache, Epoch};
use crate::planted::{Fault, planted};
use crate::shared::able::{Able, able, able_by_id};
use crate::shared::costs::Costs;
use crate::shared::flights::{Flights, Landing};
use crate::shared::gate::Gate;
use crate::shared::invalidations::{Invalidations, Revision};
use crate::shared::leases::{Adding, Lease, Leases};
use crate::shared::ledger::Ledger;
use crate::shared::memory::Memory;
use crate::shared::nesting::NestedWaits;
use crate::shared::observers::Watcher;
use crate::shared::open_stores::OpenStore;
use crate::shared::policy::Policies;
use crate::shared::slots::Slots;
use crate::shared::statistics::Statistics;
use crate::shared::tallies::Tallies;
use crate::shared::unreachable_since::UnreachableSince;

/// Blobs, recipes, and the means to turn one into the other; built by a [`crate::DerivaBuilder`].
/// Cloning is cheap; clones share all.
#[derive(Clone, Debug)]
pub struct Deriva {
    pub(crate) inner: Arc<Inner>,
}

/// What they share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) dag: Arc<dyn DagStore>,
    pub(crate) functions: Arc<FunctionRegistry>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The async runtime on which requests run.
    pub(crate) tokio: tokio::runtime::Handle,
    /// What this handle shares with others on the stores of its graph and of its blobs. What is used often is
    /// beside it.
    pub(crate) graph: Arc<OpenStore>,
    pub(crate) contents: Arc<OpenStore>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) nested: Arc<NestedWaits>,
    /// Who adds blobs or outputs passes together with others; who takes away what somebody may be about
    /// to rely on passes alone. Held for one batch at the most, until its flights have landed; never while a
    /// function runs.
    pub(crate) gate: Gate,
    pub(crate) leases: Leases,
    /// What earlier collections through this handle saw, by its clock; the one that runs holds it.
    pub(crate) unreachable_since: Arc<tokio::sync::Mutex<UnreachableSince>>,
    pub(crate) invalidations: Arc<Invalidations>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) statistics: Arc<Statistics>,
    /// Whether outputs that differ are kept.
    pub(crate) keeps_evidence: bool,
    /// Where computations are run again; `None` where that is as the first time.
    pub(crate) repeats: Option<Arc<dyn Executor>>,
    pub(crate) cache: Arc<BlobCache>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) costs: Costs,
    pub(crate) policies: Policies,
    pub(crate) slots: Arc<Slots>,
    pub(crate) tallies: Tallies,
    /// Hears of all that is done through this handle.
    pub(crate) watcher: Watcher,
    /// What sees all from within, as who gave it knows it.
    pub(crate) instrument: Option<Arc<dyn Any + Send + Sync>>,
    /// Steps that one request keeps in flight unless it says otherwise.
    pub(crate) jobs: usize,
    /// How long a function may take before that is worth a word.
    pub(crate) slow_after: Duration,
}

/// When a search in the stores began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    since: Revision,
    epoch: Epoch,
}

impl Inner {
    /// As [`Flights::land_unrecorded`].
    pub(crate) fn land_unrecorded(
        &self,
        since: Revision,
        landings: impl IntoIterator<Item = (CAddr, Landing)>,
    ) {
        let invalidations = &self.invalidations;
        self.flights.land_unrecorded(invalidations, since, landings);
    }

    /// Begins a search for the bytes of an address, of which something may be kept in the memory cache.
    pub(crate) fn search(&self, addr: CAddr) -> Search {
        Search {
            since: self.invalidations.now(),
            epoch: self.cache.epoch(addr),
        }
    }

    /// Keeps in the memory cache what was found: the one way into it. Does nothing where anything was forgotten
    /// since the search began.
    pub(crate) fn cache_found<T>(
        &self,
        search: Search,
        keep: impl FnOnce(&Arc<BlobCache>, Epoch) -> T,
    ) -> Option<T> {
        self.invalidations.with_changed(search.since, |changed| {
            (!changed).then(|| keep(&self.cache, search.epoch))
        })
    }

    /// What tells this handle from others.
    pub(crate) fn handle(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether the function of a recipe can be applied.
    pub(crate) fn able(&self, recipe: &Recipe) -> Able {
        able(&self.functions, &*self.executor, recipe)
    }

    /// As [`Inner::able`], of the function itself.
    pub(crate) fn able_by_id(&self, id: &FunctionId) -> Able {
        able_by_id(&self.functions, &*self.executor, id)
    }

    /// Why a recipe of a function is not computed, as far as the ledger tells.
    pub(crate) fn refuses(&self, addr: CAddr, function: Option<&FunctionId>) -> Option<Error> {
        self.policies.refuses(&self.ledger, addr, function?)
    }

    /// Begins a lease on `addrs` for somebody who looks at the stores only after passing the gate.
    pub(crate) fn grant(&self, addrs: Vec<CAddr>) -> Lease {
        self.leases.grant(addrs, &self.gate)
    }

    /// Begins a lease on `addrs`: what is there when this returns stays there.
    pub(crate) async fn lease(&self, addrs: Vec<CAddr>) -> Lease {
        let lease = self.grant(addrs);
        drop(self.gate.read().await);
        lease
    }

    /// Passes the gate to add, or to name in what is added, `addrs`. Whoever takes away next keeps them.
    pub(crate) async fn adding(&self, addrs: Vec<CAddr>) -> Adding<'_> {
        self.leases.adding(addrs, &self.gate).await
    }

    /// Fails where blobs may be needed by a graph that this handle does not know.
    pub(crate) fn knows_all_graphs(&self) -> Result<()> {
        self.contents
            .check_no_other_graph(&self.graph, &*self.blobs)
    }

    /// Removes damaged copies of these blobs, so that a put stores them: a store answers a put of what is there
    /// already by doing nothing, and need not look whether it is damaged. Whoever puts (an application, a reader, a run
    /// that writes results or hands values to an executor) calls this first, before it passes the gate.
    pub(crate) async fn make_way(&self, addrs: impl IntoIterator<Item = CAddr>) -> Result<()> {
        let addrs: Vec<CAddr> = addrs.into_iter().collect();
        self.verify_blobs(&addrs).await.map(drop)
    }

    /// Tells of each blob whether it is stored and undamaged. A damaged copy is removed.
    pub(crate) async fn verify_blobs(&self, addrs: &[CAddr]) -> Result<Vec<bool>> {
        if addrs.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.blobs.verify(addrs).await?;
        let damaged: Vec<CAddr> = addrs
            .iter()
            .zip(&found)
            .filter(|(_, it)| **it == BlobCheck::Damaged)
            .map(|(addr, _)| *addr)
            .collect();
        if !planted(Fault::puts_over_damage) {
            self.discard_damaged(&damaged).await?;
        }
        Ok(found.into_iter().map(BlobCheck::is_right).collect())
    }

    /// Waits for the writes that have been let through the gate.
    pub(crate) async fn drain_writes(&self) {
        drop(self.gate.write().await);
    }

    /// Removes a blob whose damage a read met, so that its recipe makes it again. Where it may only be read, the
    /// damage is the answer.
    pub(crate) async fn discard_met(&self, addr: CAddr, damage: Error) -> Result<()> {
        match self.discard_damaged(&[addr]).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => Err(damage),
            discarded => discarded,
        }
    }

    /// Removes blobs that are damaged, so that putting them again stores them: a damaged copy would be
    /// taken for the blob. What was healed or put meanwhile stays.
    pub(crate) async fn discard_damaged(&self, addrs: &[CAddr]) -> Result<()> {
        if addrs.is_empty() {
            return Ok(());
        }
        let _alone = self.gate.write().await;
        let mut damaged = Vec::new();
        for (addr, found) in addrs.iter().zip(self.blobs.verify(addrs).await?) {
            if match found {
                BlobCheck::Damaged => true,
                BlobCheck::Absent | BlobCheck::Right(Evidence::Read) => false,
                // Somebody met damage that the store may not have seen.
                BlobCheck::Right(_) => {
                    !planted(Fault::believes_what_is_remembered) && self.reads_damage(*addr).await?
                }
            } {
                damaged.push(*addr);
            }
        }
        damaged.iter().copied().for_each(spans::damaged_blob);
        match damaged.is_empty() {
            true => Ok(()),
            false => self.blobs.remove(&damaged).await,
        }
    }

    /// Whether a read meets damage.
    pub(crate) async fn reads_damage(&self, addr: CAddr) -> Result<bool> {
        match self.blobs.get(addr).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(true),
            read => read.map(|_| false),
        }
    }
}

impl Deriva {
    pub(crate) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }
}

/// The error about an address, or the beginning of one, under which nothing lies.
pub(crate) fn unknown(what: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "neither a blob nor a recipe is stored under this address",
    )
    .with("addr", what)
    .hint("`deriva put` stores blobs, `deriva recipe` stores recipes; is it another store?")
}

#[cfg(test)]
mod tests {
    use deriva_api::Blob;
    use deriva_testkit::ModelStore;

    use super::*;
    use crate::DerivaBuilder;
    use crate::shared::invalidations::Barred;

    async fn inner() -> Arc<Inner> {
        let store = ModelStore::new();
        let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) =
            (Arc::new(store.clone()), Arc::new(store));
        let builder = DerivaBuilder::new().blobs(blobs).dag(dag);
        builder.build().await.unwrap().inner
    }

    #[tokio::test]
    async fn what_was_found_before_an_invalidation_is_not_cached_after_it() {
        let inner = inner().await;
        let (addr, blob) = (CAddr::of_blob(b"addr"), Blob::new("old"));
        let cache = |search| {
            inner.cache_found(search, |cache, epoch| {
                cache.insert_since(epoch, addr, &blob, Duration::ZERO);
            });
        };
        let search = inner.search(addr);
        let under_way = inner.invalidations.begin(&Barred::default());
        cache(inner.search(addr));
        drop(under_way);
        cache(search);
        assert!(inner.cache.get(addr).is_none());
        cache(inner.search(addr));
        assert!(inner.cache.get(addr).is_some());
    }
}
