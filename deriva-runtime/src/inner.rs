//! What all handles and requests of one [`crate::Deriva`] share.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Blob, BlobStore, CAddr, Clock, DagStore, ErrorKind, Executor, Result};

use crate::cache::{BlobCache, Epoch};
use crate::costs::Costs;
use crate::flights::{Flights, Landing};
use crate::functions::FunctionRegistry;
use crate::in_use::Tallies;
use crate::invalidations::{Invalidations, Moment};
use crate::leases::Leases;
use crate::memory::Memory;
use crate::nesting::NestedWaits;
use crate::planted::{Fault, planted};
use crate::policy::Policies;
use crate::sightings::Sightings;
use crate::slots::Slots;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) dag: Arc<dyn DagStore>,
    pub(crate) functions: Arc<FunctionRegistry>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The async runtime on which requests run.
    pub(crate) tokio: tokio::runtime::Handle,
    pub(crate) flights: Flights,
    pub(crate) nested: NestedWaits,
    /// Who adds blobs or outputs passes together with others; who takes away what somebody may be about
    /// to rely on passes alone. Held for one batch at the most, until its flights have landed; never while a
    /// function runs.
    pub(crate) gate: Arc<tokio::sync::RwLock<()>>,
    pub(crate) leases: Leases,
    /// What earlier collections saw; the collection that runs holds it.
    pub(crate) sightings: Arc<tokio::sync::Mutex<Sightings>>,
    pub(crate) invalidations: Invalidations,
    pub(crate) cache: Arc<BlobCache>,
    pub(crate) memory: Memory,
    pub(crate) costs: Costs,
    pub(crate) policies: Policies,
    pub(crate) slots: Arc<Slots>,
    pub(crate) tallies: Tallies,
    /// Steps that one request keeps in flight unless it says otherwise.
    pub(crate) jobs: usize,
}

impl Inner {
    /// Lands flights whose results are not recorded. Where anything was forgotten since, they may rely on it
    /// and are abandoned: who waits for them may have asked later.
    pub(crate) fn land_unrecorded(
        &self,
        since: Moment,
        landings: impl IntoIterator<Item = (CAddr, Landing)>,
    ) {
        self.invalidations.with_moved(since, |moved| {
            let moved = moved && !planted(Fault::hands_on_what_was_forgotten);
            let how = |landing| if moved { Landing::Abandoned } else { landing };
            self.flights.land(landings, how);
        });
    }

    /// Keeps a blob in the memory cache under the address through which it was found, unless anything was
    /// forgotten since the search for it began.
    pub(crate) fn cache_found(
        &self,
        since: Moment,
        epoch: Epoch,
        addr: CAddr,
        blob: &Blob,
        cost: Duration,
    ) {
        self.invalidations.with_moved(since, |moved| {
            if !moved {
                self.cache.insert_since(epoch, addr, blob, cost);
            }
        });
    }

    /// Waits for the writes that have been let through the gate.
    pub(crate) async fn drain_writes(&self) {
        drop(self.gate.write().await);
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
