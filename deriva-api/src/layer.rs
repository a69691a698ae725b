//! Layers: stores that wrap a store.

use std::sync::Arc;

use crate::{BlobStore, DagStore};

/// Wraps a blob store in another one that adds a single concern.
///
/// A layer forwards every call (deny `clippy::missing_trait_methods` on its `impl`), changes nothing
/// that a caller can observe beyond its concern, and prints as `name(inner)`.
pub trait BlobLayer: Send + Sync {
    /// Wraps `inner`.
    fn wrap(&self, inner: Arc<dyn BlobStore>) -> Arc<dyn BlobStore>;
}

/// Wraps a DAG store in another one; see [`BlobLayer`].
pub trait DagLayer: Send + Sync {
    /// Wraps `inner`.
    fn wrap(&self, inner: Arc<dyn DagStore>) -> Arc<dyn DagStore>;
}
