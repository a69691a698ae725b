//! Functions that wait for each other, so that what runs at once can be seen.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Where functions meet.
#[derive(Default)]
pub(super) struct Meeting {
    /// How many are there now, and how many there were at the most.
    there: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Meeting {
    /// Comes, waits until `wanted` are there at once or the patience ends, and leaves. Answers whether so
    /// many have met.
    pub(super) fn meet(&self, wanted: usize, patience: Duration) -> bool {
        let mut there = self.there.lock();
        there.0 += 1;
        there.1 = there.1.max(there.0);
        self.changed.notify_all();
        self.changed
            .wait_while_for(&mut there, |there| there.1 < wanted, patience);
        there.0 -= 1;
        there.1 >= wanted
    }

    /// Waits until `wanted` have been there at once, without coming; at most as long as the patience.
    pub(super) fn await_others(&self, wanted: usize, patience: Duration) -> bool {
        let mut there = self.there.lock();
        self.changed
            .wait_while_for(&mut there, |there| there.1 < wanted, patience);
        there.1 >= wanted
    }

    /// How many were there at the most.
    pub(super) fn most(&self) -> usize {
        self.there.lock().1
    }
}
