//! What is under way and has no table that tells.

use std::sync::Arc;

/// Counts what is under way and has no table that tells.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    pub(crate) requests: Tally,
    pub(crate) steps: Tally,
    pub(crate) commits: Tally,
    pub(crate) spools: Tally,
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
