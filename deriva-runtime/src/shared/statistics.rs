//! How many computations were checked, and what came of it: by function, since the handle was built.

use std::collections::BTreeMap;
use std::time::SystemTime;

use deriva_api::FunctionId;
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

impl std::ops::AddAssign for Checks {
    fn add_assign(&mut self, other: Self) {
        self.checked += other.checked;
        self.violated += other.violated;
        self.last = self.last.max(other.last);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Statistics(Mutex<BTreeMap<FunctionId, Checks>>);

impl Statistics {
    pub(crate) fn add(&self, function: &FunctionId, checks: Checks) {
        if checks == Checks::default() {
            return;
        }
        let mut all = self.0.lock();
        match all.get_mut(function) {
            Some(known) => *known += checks,
            None => drop(all.insert(function.clone(), checks)),
        }
    }

    pub(crate) fn all(&self) -> BTreeMap<FunctionId, Checks> {
        self.0.lock().clone()
    }
}
