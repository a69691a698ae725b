//! How many computations were checked, and what came of it: by function, by all handles on a store.
//!
//! What is counted is here at once, and in the store when the request or audit ends that checked it
//! (`determinism/counts.rs`, which alone reads and writes it there).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use deriva_api::{CAddr, FunctionId};
use parking_lot::Mutex;

/// What came of checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checks {
    /// Computations whose output was compared with that of another run, or with what was recorded.
    pub(crate) checked: u64,
    /// Those of them that did not give the same.
    pub(crate) violated: u64,
    /// When that was last.
    pub(crate) last: Option<SystemTime>,
}

/// What came of checks of each function.
pub(crate) type Counts = BTreeMap<FunctionId, Checks>;

impl Checks {
    /// One computation, whose runs differed at this time, or agreed.
    pub(crate) fn one(differed: Option<SystemTime>) -> Self {
        Self {
            checked: 1,
            violated: u64::from(differed.is_some()),
            last: differed,
        }
    }
}

impl std::ops::AddAssign for Checks {
    fn add_assign(&mut self, other: Self) {
        self.checked = self.checked.saturating_add(other.checked);
        self.violated = self.violated.saturating_add(other.violated);
        self.last = self.last.max(other.last);
    }
}

/// The counts of a store.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    counts: Mutex<Parts>,
    /// How often something was counted, and how much of that the store has.
    counted: AtomicU64,
    written: AtomicU64,
    /// Where they lie in the store. Whoever writes holds it.
    pub(crate) place: tokio::sync::Mutex<Place>,
}

#[derive(Debug, Default)]
struct Parts {
    /// What the root says that the handles here write, with what is new.
    own: Counts,
    /// What other roots said when they were read.
    others: Counts,
}

/// Where the handles on a store write their counts.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// The root; it has no name before the first time.
    pub(crate) root: Option<String>,
    /// What it holds.
    pub(crate) blob: Option<CAddr>,
    /// Roots that were there before, readable or not.
    pub(crate) known: Vec<String>,
}

impl Statistics {
    /// Counts checks of a function.
    pub(crate) fn add(&self, function: &FunctionId, checks: Checks) {
        if checks == Checks::default() {
            return;
        }
        let mut parts = self.counts.lock();
        add(&mut parts.own, function, checks);
        self.counted.fetch_add(1, Ordering::Release);
    }

    /// Takes in what a root says: that of the handles here, or another.
    pub(crate) fn found(&self, counts: &Counts, is_own: bool) {
        let mut parts = self.counts.lock();
        let Parts { own, others } = &mut *parts;
        let into = if is_own { own } else { others };
        for (function, checks) in counts {
            add(into, function, *checks);
        }
    }

    /// Whether something was counted that the store does not have.
    #[inline]
    pub(crate) fn is_new(&self) -> bool {
        self.counted.load(Ordering::Acquire) != self.written.load(Ordering::Acquire)
    }

    /// What the root of the handles here is to say, and a mark for [`Statistics::is_written`].
    pub(crate) fn own(&self) -> (Counts, u64) {
        let parts = self.counts.lock();
        (parts.own.clone(), self.counted.load(Ordering::Acquire))
    }

    /// The store has what was counted up to this mark.
    pub(crate) fn is_written(&self, mark: u64) {
        self.written.store(mark, Ordering::Release);
    }

    /// All that is known.
    pub(crate) fn all(&self) -> Counts {
        let parts = self.counts.lock();
        let mut all = parts.own.clone();
        for (function, checks) in &parts.others {
            add(&mut all, function, *checks);
        }
        all
    }
}

fn add(counts: &mut Counts, function: &FunctionId, checks: Checks) {
    match counts.get_mut(function) {
        Some(known) => *known += checks,
        None => drop(counts.insert(function.clone(), checks)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_new_until_it_is_written() {
        let (statistics, function) = (Statistics::default(), "f/1".parse().unwrap());
        statistics.add(&function, Checks::default());
        assert!(!statistics.is_new());
        let found = Counts::from([(function.clone(), Checks::one(None))]);
        statistics.found(&found, true);
        statistics.found(&found, false);
        assert!(!statistics.is_new());
        statistics.add(&function, Checks::one(None));
        let (own, mark) = statistics.own();
        assert_eq!((own[&function].checked, statistics.is_new()), (2, true));
        statistics.add(&function, Checks::one(None));
        statistics.is_written(mark);
        assert!(
            statistics.is_new(),
            "the last one is not in what was written"
        );
        statistics.is_written(statistics.own().1);
        assert!(!statistics.is_new());
        assert_eq!(statistics.all()[&function].checked, 4);
    }
}
