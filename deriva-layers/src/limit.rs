//! At most N calls at once.

use std::fmt::Display;

use deriva_api::{Capabilities, Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use super::uri::Settings;
use crate::intercept::{Intercept, Operation};
use crate::intercept_layer;

/// Lets a number of calls into the store at once; further ones wait, first come, first served.
///
/// A call holds a place from when it enters until it is answered or dropped. Streams and writers hold
/// one only while an item is fetched or a piece is taken, not in between: whoever keeps a list open
/// may make other calls meanwhile, also with a limit of 1. What was begun and is then neither polled
/// nor dropped keeps its place.
///
/// Each store that is wrapped has a limit of its own, so layers in layers never wait for each other.
#[derive(Clone, Copy, Debug)]
pub struct LimitLayer {
    calls: usize,
}

impl LimitLayer {
    /// The limit unless told otherwise: 64 calls.
    pub const DEFAULT_CALLS: usize = 64;

    /// A layer that lets `calls` calls in at once: 1 or more; 0 counts as 1.
    #[must_use]
    pub fn new(calls: usize) -> Self {
        Self {
            calls: calls.clamp(1, Semaphore::MAX_PERMITS),
        }
    }

    fn interceptor(&self, _store: &dyn Display) -> Limit {
        Limit {
            places: Semaphore::new(self.calls),
            settings: Settings::default().with("calls", self.calls, Self::DEFAULT_CALLS),
        }
    }
}

impl Default for LimitLayer {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CALLS)
    }
}

intercept_layer!(LimitLayer);

#[derive(Debug)]
struct Limit {
    places: Semaphore,
    settings: Settings,
}

impl Intercept for Limit {
    const NAME: &'static str = "limit";

    type Attempts = ();

    fn settings(&self) -> &str {
        self.settings.as_str()
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner
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
        let _place = self.places.acquire().await.map_err(|closed| {
            // Nothing closes the semaphore.
            Error::new(ErrorKind::Internal, "the limit lets nobody in any more")
                .during(operation.name)
                .caused_by(closed)
        })?;
        call().await
    }

    async fn again(&self, (): &mut (), error: Error) -> Result<()> {
        Err(error)
    }
}
