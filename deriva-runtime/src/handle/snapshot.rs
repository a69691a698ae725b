//! What a handle has under way and holds: what gauges show.

use std::sync::atomic::Ordering::Relaxed;

use deriva_api::Snapshot;

use crate::shared::Deriva;

impl Deriva {
    /// What is under way, and what is held. The numbers need not belong to one moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let inner = &self.inner;
        let (slots_in_use, _, slots_wanted) = inner.slots.in_use();
        let mut snapshot = Snapshot::default();
        snapshot.requests = inner.tallies.requests.count();
        snapshot.flights = inner.flights.in_use();
        snapshot.steps = inner.tallies.steps.count();
        snapshot.slots = inner.slots.count();
        snapshot.slots_in_use = slots_in_use;
        snapshot.slots_wanted = slots_wanted;
        snapshot.commits = inner.tallies.commits.count();
        snapshot.leases = inner.leases.in_use().0;
        snapshot.memory_bytes = inner.memory.held();
        snapshot.memory_limit = inner.memory.limit();
        snapshot.collections = inner.tallies.collections.count();
        snapshot.scrubs = inner.tallies.scrubs.count();
        snapshot.invalidations = inner.tallies.invalidations.count();
        snapshot.audits = inner.tallies.audits.count();
        snapshot.spilled_bytes = inner.tallies.spilled.load(Relaxed);
        snapshot.audit_agreed = inner.tallies.audited.agreed.get();
        snapshot.audit_violated = inner.tallies.audited.violated.get();
        snapshot.audit_skipped = inner.tallies.audited.skipped.get();
        snapshot.cached = inner.tallies.cached.load(Relaxed);
        snapshot.ledger_open = inner.ledger.count();
        snapshot.quarantined = (self.suspects().iter())
            .filter(|suspect| suspect.quarantined)
            .count() as u64;
        snapshot.cache = inner.cache.stats();
        snapshot
    }
}
