//! A store that can be read and not changed.

use std::fmt::Display;

use deriva_api::{Capabilities, Error, ErrorKind, Result};

use crate::intercept::{Intercept, Operation};
use crate::intercept_layer;

/// Refuses every write with [`ErrorKind::Unsupported`] before it reaches the store, also one that
/// would change nothing; reads and `flush` pass. [`Capabilities::writable`] is false.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnlyLayer;

impl ReadOnlyLayer {
    /// A layer that refuses writes.
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    fn interceptor(&self, store: &dyn Display) -> ReadOnly {
        ReadOnly {
            store: store.to_string(),
        }
    }
}

intercept_layer!(ReadOnlyLayer);

#[derive(Debug)]
struct ReadOnly {
    store: String,
}

impl Intercept for ReadOnly {
    const NAME: &'static str = "read-only";

    type Attempts = ();

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        inner.writable(false)
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
        if operation.writes {
            return Err(
                Error::new(ErrorKind::Unsupported, "the store is read-only here")
                    .during(operation.name)
                    .with("store", &self.store)
                    .hint("use the store without the read-only layer to change it"),
            );
        }
        call().await
    }

    async fn again(&self, (): &mut (), error: Error) -> Result<()> {
        Err(error)
    }
}
