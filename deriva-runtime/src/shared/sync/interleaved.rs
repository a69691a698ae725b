//! Locks and counters under a scheduler that chooses, by a seed, which thread goes on.
//!
//! Such threads are coroutines of one thread of the system, so the values themselves stay what they are in
//! programs: only the points are added. Memory orderings weaker than the strongest are not tried.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner};

thread_local! {
    static EXPLORING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a test under this many schedules: the same ones each time, others where `DERIVA_SEED` is set. A
/// schedule that fails, or in which everybody waits, is printed so that `shuttle::replay` repeats it.
pub(crate) fn explore(schedules: usize, test: impl Fn() + Send + Sync + 'static) {
    let seed = std::env::var("DERIVA_SEED").map_or(1, |seed| seed.parse().unwrap());
    EXPLORING.set(true);
    let scheduler = RandomScheduler::new_from_seed(seed, schedules);
    let mut config = Config::new();
    // The usual 60 KiB are too few for code that is not optimized.
    config.stack_size = 1 << 20;
    Runner::new(scheduler, config).run(test);
    EXPLORING.set(false);
}

/// Lets another thread go first, or none.
fn point() {
    // Not while a failed schedule is cleared away.
    if EXPLORING.get() && !std::thread::panicking() {
        shuttle::thread::sleep(Duration::ZERO);
    }
}

/// A mutex.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        taken(|| self.0.try_lock(), || self.0.lock())
    }
}

/// A lock that many may have who only read.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(parking_lot::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        taken(|| self.0.try_read(), || self.0.read())
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        taken(|| self.0.try_write(), || self.0.write())
    }
}

/// Takes a lock. To block would stop the thread that has it, too.
fn taken<G>(try_to: impl Fn() -> Option<G>, block: impl FnOnce() -> G) -> G {
    loop {
        point();
        match try_to() {
            Some(guard) => return guard,
            None if EXPLORING.get() => shuttle::thread::yield_now(),
            None => return block(),
        }
    }
}

/// A flag.
#[derive(Debug, Default)]
pub(crate) struct AtomicBool(std::sync::atomic::AtomicBool);

impl AtomicBool {
    pub(crate) fn load(&self, order: Ordering) -> bool {
        point();
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: bool, order: Ordering) {
        point();
        self.0.store(value, order);
    }
}

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        /// A counter.
        #[derive(Debug, Default)]
        pub(crate) struct $name(std::sync::atomic::$name);

        #[allow(dead_code, reason = "not every counter is counted up and down")]
        impl $name {
            pub(crate) fn load(&self, order: Ordering) -> $value {
                point();
                self.0.load(order)
            }

            pub(crate) fn fetch_add(&self, by: $value, order: Ordering) -> $value {
                point();
                self.0.fetch_add(by, order)
            }

            pub(crate) fn fetch_sub(&self, by: $value, order: Ordering) -> $value {
                point();
                self.0.fetch_sub(by, order)
            }
        }
    };
}

atomic!(AtomicU64, u64);
