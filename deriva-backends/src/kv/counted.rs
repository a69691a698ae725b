//! What a store on an engine counts of itself.

use std::sync::Arc;

use deriva_api::{BlobCheck, CommitCounters, Counter, DiskRoom, Error, ErrorKind, StoreCounters};

use super::disk_reserve::DiskReserve;

/// The counters of one open store, which both of its halves tell.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) commits: Arc<CommitCounters>,
    pub(super) room: Arc<DiskRoom>,
    damaged: Arc<Counter>,
}

impl Counted {
    pub(super) fn new(reserve: DiskReserve) -> Self {
        Self {
            commits: Arc::default(),
            room: Arc::new(DiskRoom::new(reserve.bytes)),
            damaged: Arc::default(),
        }
    }

    /// What is told; of a store that may only be read nothing that is about writing.
    pub(super) fn counters(&self, writable: bool) -> StoreCounters {
        let mut counters = StoreCounters::default();
        counters.damaged = Some(Arc::clone(&self.damaged));
        if writable {
            counters.commits = Some(Arc::clone(&self.commits));
            counters.disk = Some(Arc::clone(&self.room));
        }
        counters
    }

    /// A call failed.
    pub(super) fn failed(&self, error: &Error) {
        if error.kind() == ErrorKind::Corrupt {
            self.damaged.add(1);
        }
    }

    /// Blobs were verified.
    pub(super) fn verified(&self, found: &[BlobCheck]) {
        let damaged = |check: &&BlobCheck| **check == BlobCheck::Damaged;
        self.damaged
            .add(found.iter().filter(damaged).count() as u64);
    }
}
