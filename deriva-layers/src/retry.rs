//! Transient failures: the call is made again.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use deriva_api::{Capabilities, Clock, Error, Result, RetryCounters, StoreCounters, SystemClock};
use parking_lot::Mutex;

use super::uri::Settings;
use crate::intercept::{Intercept, Operation};
use crate::{intercept_layer, trace};

/// Makes calls again that failed with an error that [`Error::is_retryable`] (`Unavailable`, and no
/// other: a `Timeout` is not retried), waiting longer each time. What fails for good is told at once,
/// and unchanged.
///
/// Every call may be repeated safely: puts, inserts, records and removals are idempotent. Where the
/// first attempt took effect although its answer was lost, the numbers that `forget` and `remove`
/// answer, and the `bool` of `remove_root`, are those of the last attempt, and so can be too low.
/// A stream goes on after the last item that it gave. A writer is retried while it is opened; its
/// `write`, `finish` and `abort` are made once, for a piece may have been taken already: begin a new
/// writer.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    attempts: usize,
    first_delay: Duration,
    max_delay: Duration,
    factor: f32,
    jitter: Option<u64>,
    clock: Arc<dyn Clock>,
    retries: Retries,
}

impl RetryLayer {
    /// Five attempts, 50 ms, 100 ms, 200 ms and 400 ms apart, each delay with up to as much again.
    #[must_use]
    pub fn new() -> Self {
        Self {
            attempts: 5,
            first_delay: Duration::from_millis(50),
            max_delay: Duration::from_secs(5),
            factor: 2.0,
            jitter: Some(0),
            clock: Arc::new(SystemClock::new()),
            retries: Retries::default(),
        }
    }

    /// How often a call is made at the most, the first attempt included: 1 or more; 0 counts as 1. Default: 5.
    #[must_use]
    pub fn attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How long to wait after the first attempt: any time, and no longer than [`RetryLayer::max_delay`].
    /// Default: 50 ms.
    #[must_use]
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// How many times longer each delay is than the one before: 1 or more; what is less, and what is no number,
    /// counts as 1. Default: 2.
    #[must_use]
    pub fn factor(mut self, factor: f32) -> Self {
        self.factor = factor.max(1.0);
        self
    }

    /// The longest delay, before jitter: any time. Default: 5 s.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// The seed of the jitter: each delay is prolonged by up to as much again, so that callers that
    /// failed together do not come back together. The same seed gives the same delays: processes that
    /// share a server should have one each. Default: 0.
    #[must_use]
    pub fn jitter(mut self, seed: u64) -> Self {
        self.jitter = Some(seed);
        self
    }

    /// Waits exactly as long as the other settings say.
    #[must_use]
    pub fn without_jitter(mut self) -> Self {
        self.jitter = None;
        self
    }

    /// Where time comes from. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where the counts can be read. Clones of the layer, and all stores wrapped by them, count
    /// together.
    #[must_use]
    pub fn retries(&self) -> Retries {
        self.retries.clone()
    }

    fn settings(&self) -> Settings {
        let default = Self::new();
        let jitter = |layer: &Self| {
            layer
                .jitter
                .map_or("none".to_owned(), |seed| seed.to_string())
        };
        Settings::default()
            .with("attempts", self.attempts, default.attempts)
            .with_time("first_delay", self.first_delay, default.first_delay)
            .with("factor", self.factor, default.factor)
            .with_time("max_delay", self.max_delay, default.max_delay)
            .with("jitter", jitter(self), jitter(&default))
    }

    fn interceptor(&self, store: &dyn Display) -> Retry {
        let delays = ExponentialBuilder::new()
            .with_max_times(self.attempts - 1)
            .with_min_delay(self.first_delay.min(self.max_delay))
            .with_max_delay(self.max_delay)
            .with_factor(self.factor);
        Retry {
            delays,
            jitter: self.jitter,
            clock: Arc::clone(&self.clock),
            counters: self.retries.of_a_store(),
            retries: self.retries.clone(),
            settings: self.settings(),
            store: store.to_string(),
        }
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

intercept_layer!(RetryLayer);

/// What a [`RetryLayer`] had to do. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Retries(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    /// What each store counts that was wrapped.
    stores: Mutex<Vec<Arc<RetryCounters>>>,
}

impl Retries {
    /// Calls with at least one transient failure.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// Attempts made beyond the first.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.sum(|counters| counters.again.get())
    }

    /// Calls that failed although they were made as often as allowed.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.sum(|counters| counters.spent.get())
    }

    fn sum(&self, of: impl Fn(&RetryCounters) -> u64) -> u64 {
        self.0
            .stores
            .lock()
            .iter()
            .map(|counters| of(counters))
            .sum()
    }

    /// Counters for one more store.
    fn of_a_store(&self) -> Arc<RetryCounters> {
        let counters = Arc::<RetryCounters>::default();
        self.0.stores.lock().push(Arc::clone(&counters));
        counters
    }
}

#[derive(Debug)]
struct Retry {
    delays: ExponentialBuilder,
    jitter: Option<u64>,
    clock: Arc<dyn Clock>,
    counters: Arc<RetryCounters>,
    retries: Retries,
    settings: Settings,
    store: String,
}

impl Retry {
    fn delays(&self) -> ExponentialBackoff {
        let call = self.retries.0.calls.fetch_add(1, Ordering::Relaxed);
        match self.jitter {
            // A seed for each call, far apart.
            Some(seed) => {
                let seed = seed ^ call.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                self.delays.with_jitter().with_jitter_seed(seed).build()
            }
            None => self.delays.build(),
        }
    }
}

impl Intercept for Retry {
    const NAME: &'static str = "retry";

    type Attempts = Option<ExponentialBackoff>;

    fn settings(&self) -> &str {
        self.settings.as_str()
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner
    }

    fn counters(&self) -> StoreCounters {
        let mut counters = StoreCounters::default();
        counters.retries = Some(Arc::clone(&self.counters));
        counters
    }

    async fn attempt<T, F>(
        &self,
        _operation: Operation,
        call: impl FnOnce() -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        call().await
    }

    async fn again(&self, attempts: &mut Self::Attempts, error: Error) -> Result<()> {
        if !error.is_retryable() {
            return Err(error);
        }
        let Some(delay) = attempts.get_or_insert_with(|| self.delays()).next() else {
            self.counters.spent.add(1);
            trace::retries_are_spent(&self.store, &error);
            return Err(error);
        };
        self.clock.sleep(delay).await;
        self.counters.again.add(1);
        Ok(())
    }
}
