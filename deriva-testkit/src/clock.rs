//! A clock that stands still until it is moved.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use deriva_api::Clock;
use futures::FutureExt;
use parking_lot::Mutex;

/// A clock that begins at zero and goes on only when it is told to. Clones share the time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Duration,
    /// When each sleeper wants to wake. One that was dropped stays until its time has come.
    sleepers: Vec<(Duration, Waker)>,
}

impl ManualClock {
    /// A clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock on and wakes those whose time has come.
    pub fn advance(&self, by: Duration) {
        let mut state = self.0.lock();
        state.now += by;
        let now = state.now;
        let woken: Vec<_> = state
            .sleepers
            .extract_if(.., |(until, _)| *until <= now)
            .collect();
        drop(state);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// When the next sleeper wants to wake, counted from now; `None` while nobody sleeps.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let state = self.0.lock();
        let until = state.sleepers.iter().map(|(until, _)| *until).min();
        until.map(|until| until.saturating_sub(state.now))
    }

    /// Runs `future` and moves the clock on to the next sleeper whenever it waits: for futures that
    /// wait for nothing but this clock.
    pub async fn skip_through<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            loop {
                if let Poll::Ready(output) = future.poll_unpin(context) {
                    return Poll::Ready(output);
                }
                match self.next_wake() {
                    Some(wait) => self.advance(wait),
                    None => return Poll::Pending,
                }
            }
        })
        .await
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.0.lock().now
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.now().saturating_add(duration);
        poll_fn(|context| {
            let mut state = self.0.lock();
            if state.now >= until {
                return Poll::Ready(());
            }
            state.sleepers.push((until, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn time_moves_only_when_told_and_for_all_clones() {
        let clock = ManualClock::new();
        let other = clock.clone();
        assert_eq!(other.now(), Duration::ZERO);
        clock.advance(Duration::from_secs(3));
        assert_eq!(other.now(), Duration::from_secs(3));
    }

    #[test]
    fn sleepers_wake_when_their_time_has_come_and_not_before() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep(Duration::from_secs(2));
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_secs(1));
        assert!(sleep.as_mut().now_or_never().is_none());
        assert_eq!(clock.next_wake(), Some(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert!(sleep.now_or_never().is_some());
    }

    #[test]
    fn skipping_takes_no_time_of_the_system() {
        let clock = ManualClock::new();
        block_on(clock.skip_through(clock.sleep(Duration::from_secs(1 << 30))));
        assert_eq!(clock.now(), Duration::from_secs(1 << 30));
    }
}
