//! What an entry is worth, and the clock that lets worth age.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Nanoseconds to read a blob again, whatever its length, and for each KiB of it: about what `sled:`
/// and `files:` took in decision 0005.
const READ_AGAIN: u64 = 40_000;
const READ_AGAIN_PER_KIB: u64 = 350;

/// An estimate of the time that it takes to read a blob of this length from a store again, and to verify
/// it: the least that an entry of the cache can cost.
#[must_use]
pub fn read_again(len: u64) -> Duration {
    Duration::from_nanos(
        (len / 1024)
            .saturating_mul(READ_AGAIN_PER_KIB)
            .saturating_add(READ_AGAIN),
    )
}

/// Nanoseconds saved for each byte held, by one hit: the cost of the blob, at least that of reading it
/// again, over the size of its entry.
pub(super) fn worth(cost: Duration, len: u64, size: u64) -> f64 {
    cost.max(read_again(len)).as_nanos() as f64 / size as f64
}

/// A number that is not negative, as its bits: these are ordered as the numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Priority(u64);

impl Priority {
    /// Above all others: that of a shard from which nothing can be evicted.
    pub(super) const NONE: Self = Self(u64::MAX);

    pub(super) fn bits(self) -> u64 {
        self.0
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// The clock of GreedyDual: the priority that is lost when nothing happens to an entry.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    /// The priority, from now on, of an entry that was used `frequency` times.
    pub(super) fn priority(&self, frequency: u32, worth: f64) -> Priority {
        Priority((self.now() + f64::from(frequency) * worth).to_bits())
    }

    /// An entry of this priority was evicted.
    pub(super) fn rise_to(&self, priority: Priority) {
        self.0.fetch_max(priority.0, Relaxed);
    }

    /// Goes a share of the way to a priority.
    pub(super) fn approach(&self, priority: Priority, share: f64) {
        let now = self.now();
        let way = (f64::from_bits(priority.0) - now).max(0.0) * share;
        self.0.fetch_max((now + way).to_bits(), Relaxed);
    }

    fn now(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_less_than_a_read_counts_as_a_read() {
        let leaf = worth(Duration::ZERO, 1024, 2048);
        assert_eq!(leaf, (40_000.0 + 350.0) / 2048.0);
        assert_eq!(worth(Duration::from_micros(40), 1024, 2048), leaf);
        assert_eq!(worth(Duration::from_micros(2048), 1024, 2048), 1000.0);
    }

    #[test]
    fn the_clock_never_goes_back() {
        let clock = Clock::default();
        clock.rise_to(clock.priority(3, 2.0));
        clock.rise_to(Priority(1.0f64.to_bits()));
        assert_eq!(clock.priority(1, 4.0), Priority(10.0f64.to_bits()));
        clock.approach(Priority(10.0f64.to_bits()), 0.25);
        clock.approach(Priority(1.0f64.to_bits()), 1.0);
        assert_eq!(clock.priority(1, 1.0), Priority(8.0f64.to_bits()));
    }
}
