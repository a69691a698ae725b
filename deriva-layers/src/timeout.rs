//! Calls that take too long fail.

use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    Capabilities, Clock, Counter, Error, ErrorKind, Result, StoreCounters, SystemClock,
};
use futures::future::{Either, FutureExt, select};

use super::uri::Settings;
use crate::intercept::{Intercept, Operation};
use crate::intercept_layer;

/// Gives every call a time limit. A call that has not answered by then fails with
/// [`ErrorKind::Timeout`], naming the operation, the limit and the store, and is dropped.
///
/// The limit is for each call, each item of a stream, and each piece given to a writer. A write that
/// ran out of time may still have taken effect; it may be repeated, as all calls may. Time counts
/// from the moment that the store first makes its caller wait, so a call that is answered at once sets
/// no timer, and a store that blocks its thread cannot be interrupted.
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    limit: Duration,
    clock: Arc<dyn Clock>,
}

impl TimeoutLayer {
    /// The limit unless told otherwise: 30 seconds.
    pub const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

    /// A layer with this limit for each call: any time. With zero a call fails unless it is answered at once.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Where time comes from. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn interceptor(&self, store: &dyn Display) -> Timeout {
        Timeout {
            limit: self.limit,
            clock: Arc::clone(&self.clock),
            store: store.to_string(),
            timeouts: Arc::default(),
            settings: Settings::default().with_time("limit", self.limit, Self::DEFAULT_LIMIT),
        }
    }
}

impl Default for TimeoutLayer {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

intercept_layer!(TimeoutLayer);

#[derive(Debug)]
struct Timeout {
    limit: Duration,
    clock: Arc<dyn Clock>,
    store: String,
    timeouts: Arc<Counter>,
    settings: Settings,
}

impl Timeout {
    fn error(&self, operation: Operation) -> Error {
        Error::new(ErrorKind::Timeout, "the store did not answer in time")
            .during(operation.name)
            .with("limit", format!("{:?}", self.limit))
            .with("store", &self.store)
            .hint("see what keeps the store, or raise the limit of the timeout layer")
    }
}

impl Intercept for Timeout {
    const NAME: &'static str = "timeout";

    type Attempts = ();

    fn settings(&self) -> &str {
        self.settings.as_str()
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner
    }

    fn counters(&self) -> StoreCounters {
        let mut counters = StoreCounters::default();
        counters.timeouts = Some(Arc::clone(&self.timeouts));
        counters
    }

    async fn attempt<T, F>(
        &self,
        operation: Operation,
        call: impl FnOnce() -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let mut call = pin!(call());
        // Most calls are answered at once; a timer would cost more than they do.
        if let Some(answer) = call.as_mut().now_or_never() {
            return answer;
        }
        match select(call, self.clock.sleep(self.limit)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                self.timeouts.add(1);
                Err(self.error(operation))
            }
        }
    }

    async fn again(&self, (): &mut (), error: Error) -> Result<()> {
        Err(error)
    }
}
