//! What stores count of themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::SharedDistribution;

/// What a store counts of itself: live numbers, by what they are about. What a store does not have is `None`.
///
/// A store begins them when it is opened, keeps them, and answers [`BlobStore::counters`](crate::BlobStore::counters)
/// with clones of the `Arc`s.
///
/// ```
/// use std::sync::Arc;
///
/// use deriva_api::{CommitCounters, StoreCounters};
///
/// let commits = Arc::new(CommitCounters::default());
/// let mut counters = StoreCounters::default();
/// counters.commits = Some(Arc::clone(&commits));
///
/// commits.done(std::time::Duration::from_millis(3), 2, 700);
/// assert_eq!(counters.commits.unwrap().writers.load().sum(), 2);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StoreCounters {
    /// Commits of a store that lets its callers share them.
    pub commits: Option<Arc<CommitCounters>>,
    /// Room on its disk, of a store that leaves some of it free.
    pub disk: Option<Arc<DiskRoom>>,
    /// Damaged blobs and rows that it met: calls that failed with [`Corrupt`](crate::ErrorKind::Corrupt), and blobs that it
    /// was asked to verify.
    pub damaged: Option<Arc<Counter>>,
    /// Calls that it makes again.
    pub retries: Option<Arc<RetryCounters>>,
    /// Calls that it gave up, as they took too long.
    pub timeouts: Option<Arc<Counter>>,
    /// Reads and copies, of a store with a fast tier before a slow one.
    pub tiers: Option<Arc<TierCounters>>,
}

/// A number that only rises, and that many add to.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Commits of a store: what is applied and made durable as one.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CommitCounters {
    /// What each took that was done, in nanoseconds.
    pub times: SharedDistribution,
    /// How many calls shared it.
    pub writers: SharedDistribution,
    /// Bytes that they wrote.
    pub bytes: Counter,
    /// Commits that failed, so that all who shared them were told so.
    pub failed: Counter,
}

impl CommitCounters {
    /// Counts one that was done.
    pub fn done(&self, took: Duration, writers: u64, bytes: u64) {
        self.times
            .add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        self.writers.add(writers);
        self.bytes.add(bytes);
    }
}

/// Room on the disk of a store, as it last looked.
#[derive(Debug)]
pub struct DiskRoom {
    free: AtomicU64,
    reserve: u64,
}

impl DiskRoom {
    /// Nobody has looked yet.
    const UNKNOWN: u64 = u64::MAX;

    /// Of a store that refuses writes where fewer than these bytes would be left free.
    #[must_use]
    pub const fn new(reserve: u64) -> Self {
        Self {
            free: AtomicU64::new(Self::UNKNOWN),
            reserve,
        }
    }

    /// Notes how many bytes are free.
    pub fn saw(&self, free: u64) {
        self.free.store(free, Relaxed);
    }

    /// Bytes that were free when the store last looked; `None` where it has not yet.
    #[must_use]
    pub fn free(&self) -> Option<u64> {
        let free = self.free.load(Relaxed);
        (free != Self::UNKNOWN).then_some(free)
    }

    /// Bytes that stay free: a write that would leave fewer is refused.
    #[must_use]
    pub const fn reserve(&self) -> u64 {
        self.reserve
    }
}

/// Calls that are made again where they fail for a while.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RetryCounters {
    /// Attempts beyond the first of a call.
    pub again: Counter,
    /// Calls that failed although they were made as often as allowed.
    pub spent: Counter,
}

/// Reads and copies of a store with a fast tier before a slow one. An address of a batch counts as a read.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct TierCounters {
    /// Reads that the fast tier answered.
    pub fast_hits: Counter,
    /// Reads that went on to the slow one.
    pub fast_misses: Counter,
    /// Those of them that the slow tier answered.
    pub slow_hits: Counter,
    /// Those of which it had nothing either.
    pub slow_misses: Counter,
    /// Copies that the fast tier took of what was read.
    pub promoted: Counter,
    /// Copies that it took of what was written.
    pub written: Counter,
    /// Copies that had to go for others.
    pub evicted: Counter,
    /// Calls of the fast tier that failed, and were made good by the slow one or left out.
    pub faults: Counter,
}

impl TierCounters {
    /// Counts addresses that the fast tier was asked for.
    pub fn read_fast(&self, hits: u64, misses: u64) {
        self.fast_hits.add(hits);
        self.fast_misses.add(misses);
    }

    /// Counts addresses that the slow tier was asked for.
    pub fn read_slow(&self, hits: u64, misses: u64) {
        self.slow_hits.add(hits);
        self.slow_misses.add(misses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_unknown_until_somebody_looks() {
        let room = DiskRoom::new(10);
        assert_eq!((room.free(), room.reserve()), (None, 10));
        room.saw(7);
        room.saw(12);
        assert_eq!(room.free(), Some(12));
    }

    #[test]
    fn a_commit_counts_with_all_that_is_known_of_it() {
        let commits = CommitCounters::default();
        commits.done(Duration::from_nanos(100), 3, 70);
        commits.done(Duration::MAX, 1, 5);
        let (times, writers) = (commits.times.load(), commits.writers.load());
        assert_eq!((times.count(), writers.count(), writers.sum()), (2, 2, 4));
        assert_eq!((commits.bytes.get(), commits.failed.get()), (75, 0));
    }
}
