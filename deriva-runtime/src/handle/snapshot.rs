//! What a handle has under way and holds: what gauges show.

use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use crate::cache::CacheStats;
use crate::shared::Deriva;

/// What a [`Deriva`] has under way and holds, at about one moment. The handle counts this anyway: to read it asks no
/// store, and keeps nobody from their work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Requests that have begun and not ended.
    pub requests: u64,
    /// Addresses that are being computed, by requests through any handle on the store of the graph.
    pub flights: u64,
    /// Steps that the executor has.
    pub steps: u64,
    /// Slots of the executor: steps that it may have at once, but for those of nested requests.
    pub slots: u64,
    /// Slots that are taken.
    pub slots_in_use: u64,
    /// Slots that requests wait for.
    pub slots_wanted: u64,
    /// Batches of results that are being written.
    pub commits: u64,
    /// Collections, scrubs, invalidations and audits that are under way.
    pub collections: u64,
    /// See `collections`.
    pub scrubs: u64,
    /// See `collections`.
    pub invalidations: u64,
    /// See `collections`.
    pub audits: u64,
    /// Leases that somebody holds, on the store of the graph.
    pub leases: u64,
    /// Bytes that requests hold, to within 64 KiB for each request.
    pub memory_bytes: u64,
    /// Bytes that requests and the memory cache may hold together.
    pub memory_limit: u64,
    /// Bytes of values that were written, since the handle was built, as memory was short.
    pub spilled_bytes: u64,
    /// Recorded outputs that audits computed again since the handle was built and found to be what is recorded, those of
    /// audits under way among them.
    pub audit_agreed: u64,
    /// Those that were found not to be.
    pub audit_violated: u64,
    /// Those that could not be compared.
    pub audit_skipped: u64,
    /// Reads that the memory cache answered since the handle was built: nothing else is told of them.
    pub cached: u64,
    /// Entries of the ledger that were not released.
    pub ledger_open: u64,
    /// Functions that are in quarantine.
    pub quarantined: u64,
    /// The memory cache.
    pub cache: CacheStats,
}

impl Deriva {
    /// What is under way, and what is held. The numbers need not belong to one moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let inner = &self.inner;
        let (slots_in_use, _, slots_wanted) = inner.slots.in_use();
        Snapshot {
            requests: inner.tallies.requests.count(),
            flights: inner.flights.in_use(),
            steps: inner.tallies.steps.count(),
            slots: inner.slots.count(),
            slots_in_use,
            slots_wanted,
            commits: inner.tallies.commits.count(),
            leases: inner.leases.in_use().0,
            memory_bytes: inner.memory.held(),
            memory_limit: inner.memory.limit(),
            collections: inner.tallies.collections.count(),
            scrubs: inner.tallies.scrubs.count(),
            invalidations: inner.tallies.invalidations.count(),
            audits: inner.tallies.audits.count(),
            spilled_bytes: inner.tallies.spilled.load(Relaxed),
            audit_agreed: inner.tallies.audited.agreed.get(),
            audit_violated: inner.tallies.audited.violated.get(),
            audit_skipped: inner.tallies.audited.skipped.get(),
            cached: inner.tallies.cached.load(Relaxed),
            ledger_open: inner.ledger.count(),
            quarantined: (self.suspects().iter())
                .filter(|suspect| suspect.quarantined)
                .count() as u64,
            cache: inner.cache.stats(),
        }
    }
}
