//! A span for each call of a store.

use std::fmt::Display;
use std::sync::Arc;

use deriva_api::{BlobLayer, DagLayer, Error, OpenedStore, Result};
use tracing::field::display;
use tracing::{Instrument, Level, Span, enabled, warn};

use crate::intercept::{Intercept, Operation};
use crate::intercept_layer;

/// Makes a span of `tracing` around each call of a store: of the level `TRACE`, the target `deriva`, and named `store.`, the
/// contract and the method, as in `store.blob_put`. Its fields are the name that the layer was given (`store`), how many
/// blobs, recipes or addresses it was about (`items`), how many bytes of blobs went through (`bytes`), and the `kind` of the
/// error where it failed. A stream has one for its first item, and a writer one for each of being opened, finished and
/// aborted.
///
/// Where nobody wants such spans a call costs what any layer does, one boxed future. The layer does not show in what the store
/// prints.
#[derive(Clone, Debug)]
pub struct TraceLayer {
    store: Arc<str>,
}

impl TraceLayer {
    /// Around a store of this name.
    #[must_use]
    pub fn new(store: &str) -> Self {
        Self {
            store: store.into(),
        }
    }

    fn interceptor(&self, _store: &dyn Display) -> Self {
        self.clone()
    }
}

/// Puts a [`TraceLayer`] of this name around both halves of a store: for a builder's `around_each_store`.
#[must_use]
pub fn trace_each(place: &str, store: OpenedStore) -> OpenedStore {
    let layer = TraceLayer::new(place);
    OpenedStore {
        blobs: store.blobs.map(|blobs| BlobLayer::wrap(&layer, blobs)),
        dag: store.dag.map(|dag| DagLayer::wrap(&layer, dag)),
    }
}

intercept_layer!(TraceLayer);

impl Intercept for TraceLayer {
    const NAME: &'static str = "trace";
    const IS_SHOWN: bool = false;

    type Attempts = ();

    async fn attempt<T, F>(
        &self,
        operation: Operation,
        call: impl FnOnce() -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        if operation.is_part || !is_wanted() {
            return call().await;
        }
        let span = operation.span(&self.store);
        let ended = async move { call().await }.instrument(span.clone()).await;
        if let Err(error) = &ended {
            span.record("kind", display(error.kind()));
        }
        ended
    }

    fn carried(&self, operation: Operation, items: u64, bytes: u64) {
        if !operation.is_part && is_wanted() {
            Span::current()
                .record("items", items)
                .record("bytes", bytes);
        }
    }
}

/// Whether anybody looks at calls of stores.
fn is_wanted() -> bool {
    enabled!(target: "deriva", Level::TRACE)
}

/// A call failed for the last time that it was made.
pub(crate) fn retries_are_spent(store: &str, error: &Error) {
    warn!(target: "deriva", store, %error, "retries are spent");
}
