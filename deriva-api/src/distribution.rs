//! How often a number was how large.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How often a number was how large: counts by powers of four, and the exact sum. Adding costs some instructions and no
/// memory, so it may be done for every step.
///
/// ```
/// use deriva_api::Distribution;
///
/// let mut lengths = Distribution::default();
/// for length in [0, 1, 3, 4, 5, 1000] {
///     lengths.add(length);
/// }
/// assert_eq!((lengths.count(), lengths.sum()), (6, 1013));
/// // Up to 1, up to 4, up to 16.
/// assert_eq!((0..3).map(|power| lengths.up_to(power)).collect::<Vec<_>>(), [2, 4, 5]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    counts: [u64; Self::POWERS],
    sum: u64,
}

impl Distribution {
    /// The number of bounds: `4^0` to `4^31`; the last one bounds nothing.
    pub const POWERS: usize = 32;

    /// The number of the first bound, a power of four, that is not below `value`.
    #[must_use]
    pub const fn power(value: u64) -> usize {
        let bits = u64::BITS - value.saturating_sub(1).leading_zeros();
        let power = bits.div_ceil(2) as usize;
        if power < Self::POWERS {
            power
        } else {
            Self::POWERS - 1
        }
    }

    /// The bound of this number: `4^power`.
    #[must_use]
    pub const fn bound(power: usize) -> u64 {
        1 << (2 * power)
    }

    /// What was counted elsewhere: for each power how many, and the sum.
    #[must_use]
    pub const fn from_parts(counts: [u64; Self::POWERS], sum: u64) -> Self {
        Self { counts, sum }
    }

    /// Adds a number.
    pub const fn add(&mut self, value: u64) {
        self.add_times(value, 1);
    }

    /// Adds a number that was seen N times.
    pub const fn add_times(&mut self, value: u64, times: u64) {
        self.counts[Self::power(value)] += times;
        self.sum = self.sum.saturating_add(value.saturating_mul(times));
    }

    /// Adds all that another one has.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many numbers there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// How many of them are no larger than the bound of this number.
    #[must_use]
    pub fn up_to(&self, power: usize) -> u64 {
        self.counts.iter().take(power + 1).sum()
    }
}

/// A [`Distribution`] that many add to at once.
///
/// ```
/// let waits = deriva_api::SharedDistribution::default();
/// waits.add(3);
/// waits.add(1000);
/// assert_eq!((waits.load().count(), waits.load().sum()), (2, 1003));
/// ```
#[derive(Debug, Default)]
pub struct SharedDistribution {
    counts: [AtomicU64; Distribution::POWERS],
    sum: AtomicU64,
}

impl SharedDistribution {
    /// Adds a number.
    pub fn add(&self, value: u64) {
        self.counts[Distribution::power(value)].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// What was added so far. What is added meanwhile may be there in part.
    #[must_use]
    pub fn load(&self) -> Distribution {
        let counts = std::array::from_fn(|power| self.counts[power].load(Relaxed));
        Distribution::from_parts(counts, self.sum.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_lies_at_or_below_its_bound_and_above_the_one_before() {
        for value in (0..2000).chain([u64::MAX / 5, u64::MAX]) {
            let power = Distribution::power(value);
            let is_last = power == Distribution::POWERS - 1;
            assert!(value <= Distribution::bound(power) || is_last, "{value}");
            assert!(
                power == 0 || value > Distribution::bound(power - 1),
                "{value}"
            );
        }
    }

    #[test]
    fn what_many_add_is_what_one_would_have() {
        let (shared, mut alone) = (SharedDistribution::default(), Distribution::default());
        for value in [0, 3, 3, 1 << 50] {
            shared.add(value);
            alone.add(value);
        }
        assert_eq!(shared.load(), alone);
    }

    #[test]
    fn what_is_merged_counts_as_if_it_had_been_added() {
        let (mut one, mut other, mut both) = Default::default();
        for value in [3, 70, 70, 1 << 40] {
            let to: &mut Distribution = if value == 70 { &mut one } else { &mut other };
            to.add(value);
            Distribution::add(&mut both, value);
        }
        one.merge(&other);
        assert_eq!(one, both);
        assert_eq!((both.count(), both.sum()), (4, 143 + (1 << 40)));
        both.add_times(u64::MAX, 2);
        assert_eq!((both.count(), both.sum()), (6, u64::MAX), "no overflow");
    }
}
