//! What is in use: all that somebody holds while at work and has to give back, however that ends. Tests ask
//! here, and only here, whether anything was left over.

use std::time::Duration;

use deriva_api::{Clock, SystemClock};

use crate::shared::Deriva;

/// What requests, collections and others hold at one moment. Each number is zero once the last of them has
/// ended, what they left behind is done, and the application has dropped its leases, readers and pins.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Leases held.
    pub leases: u64,
    /// Journals of collections.
    pub journals: u64,
    /// Indices and lists of collections, which may lie in temporary files.
    pub spools: u64,
    /// Permissions to add, or to take away.
    pub permits: u64,
    /// Bytes of the memory budget that requests hold, as far as their accounts have shared it.
    pub memory: u64,
    /// Bytes of the memory cache that are pinned.
    pub pinned: u64,
    /// Slots of the executor.
    pub slots: u64,
    /// Requests that may ask for slots.
    pub tickets: u64,
    /// Wishes for a slot that somebody still has.
    pub wishes: u64,
    /// Flights that have not landed.
    pub flights: u64,
    /// Steps that were handed to the executor.
    pub steps: u64,
    /// Batches that are being written.
    pub commits: u64,
    /// Notes of what nested requests wait for.
    pub nested_waits: u64,
    /// Requests that watch for invalidations.
    pub watches: u64,
    /// Invalidations that are under way, or that somebody may have to know of.
    pub invalidations: u64,
}

impl InUse {
    /// Whether nothing is in use.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.counts().iter().all(|(_, count)| *count == 0)
    }

    /// Each number by its name.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 15] {
        [
            ("leases", self.leases),
            ("journals", self.journals),
            ("spools", self.spools),
            ("permits", self.permits),
            ("memory", self.memory),
            ("pinned", self.pinned),
            ("slots", self.slots),
            ("tickets", self.tickets),
            ("wishes", self.wishes),
            ("flights", self.flights),
            ("steps", self.steps),
            ("commits", self.commits),
            ("nested_waits", self.nested_waits),
            ("watches", self.watches),
            ("invalidations", self.invalidations),
        ]
    }
}

impl Deriva {
    /// What is in use now. The numbers need not belong to one moment.
    #[doc(hidden)]
    #[must_use]
    pub fn in_use(&self) -> InUse {
        let inner = &self.inner;
        let (slots, tickets, wishes) = inner.slots.in_use();
        let (leases, journals) = inner.leases.in_use();
        let (watches, invalidations) = inner.invalidations.in_use();
        InUse {
            leases,
            journals,
            spools: inner.tallies.spools.count(),
            permits: u64::from(inner.gate.is_in_use()),
            memory: inner.memory.held(),
            pinned: inner.cache.stats().pinned_bytes,
            slots,
            tickets,
            wishes,
            flights: inner.flights.in_use(),
            steps: inner.tallies.steps.count(),
            commits: inner.tallies.commits.count(),
            nested_waits: inner.nested.in_use(),
            watches,
            invalidations,
        }
    }

    /// For each request that waits for slots of the executor: the priority that it has by now, with what is lent to
    /// it, and for how many it waits.
    #[doc(hidden)]
    #[must_use]
    pub fn wishes(&self) -> Vec<(i32, usize)> {
        self.inner.slots.wishes()
    }

    /// Waits until nothing is in use, `patience` at the most; answers with what is in use then.
    #[doc(hidden)]
    pub async fn given_back(&self, patience: Duration) -> InUse {
        let clock = SystemClock::new();
        loop {
            let in_use = self.in_use();
            if in_use.is_zero() || clock.now() >= patience {
                return in_use;
            }
            clock.sleep(Duration::from_millis(1)).await;
        }
    }
}
