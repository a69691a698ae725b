//! A shard behind its lock, and its lowest priority beside it.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use deriva_api::{Blob, CAddr};
use parking_lot::{Mutex, MutexGuard};

use super::priority::{Clock, Priority};
use super::shard::Shard;

/// Aligned so that no two are in one cache line.
#[repr(align(128))]
pub(super) struct Part {
    shard: Mutex<Shard>,
    /// Written under the lock, read without.
    lowest: AtomicU64,
}

impl Part {
    pub(super) fn get(&self, addr: CAddr, clock: &Clock) -> Option<Blob> {
        // A hit changes no order.
        self.shard.lock().get(addr, clock)
    }

    /// The lowest priority in the order of the shard, when it was last changed.
    pub(super) fn lowest(&self) -> Priority {
        Priority::from_bits(self.lowest.load(Relaxed))
    }

    pub(super) fn lock(&self) -> Changing<'_> {
        Changing {
            shard: self.shard.lock(),
            lowest: &self.lowest,
        }
    }
}

impl Default for Part {
    fn default() -> Self {
        Self {
            shard: Mutex::default(),
            lowest: AtomicU64::new(Priority::NONE.bits()),
        }
    }
}

/// A locked shard; its lowest priority is published before the lock is given up.
pub(super) struct Changing<'a> {
    shard: MutexGuard<'a, Shard>,
    lowest: &'a AtomicU64,
}

impl Deref for Changing<'_> {
    type Target = Shard;

    fn deref(&self) -> &Shard {
        &self.shard
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.lowest.store(self.shard.lowest().bits(), Relaxed);
    }
}
