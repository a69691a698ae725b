//! Time, passed in.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use futures_timer::Delay;

/// Where time comes from. Library code never asks the system: it asks the clock that it was given,
/// so that a test can hold time still and a simulation can repeat itself.
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// Time since a fixed but unspecified beginning; it never goes back.
    fn now(&self) -> Duration;

    /// Date and time as people tell them, for what is remembered longer than a process lives; it may jump. Default: those of
    /// the system.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the date enters"
    )]
    fn date(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Waits until `now` has moved on by `duration` at least. Works on any async runtime; dropping
    /// the future ends the wait.
    async fn sleep(&self, duration: Duration);
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

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        Delay::new(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn the_system_clock_sleeps_no_shorter_than_asked() {
        let clock = SystemClock::new();
        let before = clock.now();
        block_on(clock.sleep(Duration::from_millis(5)));
        assert!(clock.now() - before >= Duration::from_millis(5));
    }
}
