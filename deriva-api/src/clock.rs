//! Time, passed in.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Where time comes from. Library code never asks the system: it asks the clock that it was given,
/// so that a test can hold time still and a simulation can repeat itself.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Time since a fixed but unspecified beginning; it never goes back.
    fn now(&self) -> Duration;
}

/// The system's monotonic clock, counted from the clock's creation.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock that begins now.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where system time enters"
    )]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
