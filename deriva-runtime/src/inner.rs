//! What all clones and requests of one [`crate::Deriva`] share.

use std::sync::Arc;

use deriva_api::{BlobStore, CAddr, Clock, DagStore, Error, ErrorKind, Executor, Result};

use crate::cache::{BlobCache, Epoch};
use crate::costs::Costs;
use crate::flights::{Flights, Landing};
use crate::functions::FunctionRegistry;
use crate::in_use::Tallies;
use crate::invalidations::{Invalidations, Revision};
use crate::leases::Leases;
use crate::memory::Memory;
use crate::nesting::NestedWaits;
use crate::open_stores::{Gate, OpenStore};
use crate::planted::{Fault, planted};
use crate::policy::Policies;
use crate::slots::Slots;
use crate::unreachable_since::UnreachableSince;

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
    pub(crate) cache: Arc<BlobCache>,
    pub(crate) memory: Memory,
    pub(crate) costs: Costs,
    pub(crate) policies: Policies,
    pub(crate) slots: Arc<Slots>,
    pub(crate) tallies: Tallies,
    /// Steps that one request keeps in flight unless it says otherwise.
    pub(crate) jobs: usize,
}

/// When a search in the stores began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    since: Revision,
    epoch: Epoch,
}

impl Inner {
    /// Lands flights whose results are not recorded. Where anything was forgotten since, they may rely on it
    /// and are abandoned: who waits for them may have asked later.
    pub(crate) fn land_unrecorded(
        &self,
        since: Revision,
        landings: impl IntoIterator<Item = (CAddr, Landing)>,
    ) {
        self.invalidations.with_changed(since, |changed| {
            let changed = changed && !planted(Fault::hands_on_what_was_forgotten);
            let how = |landing| if changed { Landing::Abandoned } else { landing };
            self.flights.land(landings, how);
        });
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
        for addr in addrs {
            match self.blobs.get(*addr).await {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.blobs.remove(&[*addr]).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
