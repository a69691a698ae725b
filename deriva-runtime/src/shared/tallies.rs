//! What is under way and has no table that tells.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use deriva_api::Counter;

/// Counts what is under way and has no table that tells; and what was done that nobody else counts.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    pub(crate) requests: Tally,
    pub(crate) steps: Tally,
    pub(crate) commits: Tally,
    pub(crate) spools: Tally,
    pub(crate) collections: Tally,
    pub(crate) scrubs: Tally,
    pub(crate) invalidations: Tally,
    pub(crate) audits: Tally,
    /// Reads that the memory cache answered.
    pub(crate) cached: AtomicU64,
    /// Bytes of values that were written as memory was short.
    pub(crate) spilled: AtomicU64,
    pub(crate) audited: AuditCounters,
}

/// Recorded outputs that audits looked at, those that are under way among them.
#[derive(Debug, Default)]
pub(crate) struct AuditCounters {
    pub(crate) agreed: Counter,
    pub(crate) violated: Counter,
    pub(crate) skipped: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Tally(Arc<()>);

/// Is counted until it is dropped.
pub(crate) type Counted = Arc<()>;

impl Tally {
    pub(crate) fn begin(&self) -> Counted {
        Arc::clone(&self.0)
    }

    pub(crate) fn count(&self) -> u64 {
        Arc::strong_count(&self.0) as u64 - 1
    }
}
