//! What a store counted of itself at one moment.

use std::sync::Arc;

use deriva_api::{Counter, StoreCounters};

/// Where counters lie, and what they count. The room on a disk may fall.
#[derive(Debug)]
pub(super) struct Counted {
    places: Vec<Option<usize>>,
    numbers: Vec<u64>,
    /// They live as long, so that no others get their places.
    _counters: StoreCounters,
}

impl Counted {
    pub(super) fn of(counters: StoreCounters) -> Self {
        let StoreCounters {
            commits,
            disk,
            damaged,
            retries,
            timeouts,
            tiers,
            ..
        } = &counters;
        let places = vec![
            place(commits),
            place(disk),
            place(damaged),
            place(retries),
            place(timeouts),
            place(tiers),
        ];
        let mut numbers = Vec::new();
        let mut count = |counters: &[&Counter]| {
            numbers.extend(counters.iter().map(|counter| counter.get()));
        };
        damaged.iter().chain(timeouts).for_each(|it| count(&[it]));
        if let Some(it) = retries {
            count(&[&it.again, &it.spent]);
        }
        if let Some(it) = tiers {
            count(&[&it.fast_hits, &it.fast_misses, &it.faults]);
            count(&[&it.slow_hits, &it.slow_misses]);
            count(&[&it.promoted, &it.written, &it.evicted]);
        }
        if let Some(it) = commits {
            count(&[&it.bytes, &it.failed]);
            let (times, writers) = (it.times.load(), it.writers.load());
            numbers.extend([times.count(), writers.count(), writers.sum()]);
        }
        Self {
            places,
            numbers,
            _counters: counters,
        }
    }

    /// Whether these are the same counters later.
    pub(super) fn goes_on_as(&self, later: &Self) -> bool {
        let mut both = self.numbers.iter().zip(&later.numbers);
        self.places == later.places && both.all(|(before, now)| before <= now)
    }
}

fn place<T>(counters: &Option<Arc<T>>) -> Option<usize> {
    counters.as_ref().map(|it| Arc::as_ptr(it).addr())
}
