//! Layers: stores that wrap a store.

use std::fmt::{self, Debug};
use std::sync::Arc;

use crate::{BlobStore, DagStore, OpenedStore};

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

/// A stack of layers; the first added is the outermost. It is a layer itself.
#[derive(Clone, Default)]
pub struct Layers {
    blobs: Vec<Arc<dyn BlobLayer>>,
    dag: Vec<Arc<dyn DagLayer>>,
}

impl Layers {
    /// No layers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer for both kinds of store, inside those added before.
    #[must_use]
    pub fn layer(self, layer: impl BlobLayer + DagLayer + 'static) -> Self {
        let layer = Arc::new(layer);
        let mut layers = self;
        layers.blobs.push(Arc::clone(&layer) as Arc<dyn BlobLayer>);
        layers.dag.push(layer);
        layers
    }

    /// Adds a layer for blob stores alone.
    #[must_use]
    pub fn blob_layer(mut self, layer: impl BlobLayer + 'static) -> Self {
        self.blobs.push(Arc::new(layer));
        self
    }

    /// Adds a layer for DAG stores alone.
    #[must_use]
    pub fn dag_layer(mut self, layer: impl DagLayer + 'static) -> Self {
        self.dag.push(Arc::new(layer));
        self
    }

    /// Wraps what was opened.
    #[must_use]
    pub fn wrap(&self, store: OpenedStore) -> OpenedStore {
        OpenedStore {
            blobs: store.blobs.map(|blobs| BlobLayer::wrap(self, blobs)),
            dag: store.dag.map(|dag| DagLayer::wrap(self, dag)),
        }
    }
}

impl BlobLayer for Layers {
    fn wrap(&self, inner: Arc<dyn BlobStore>) -> Arc<dyn BlobStore> {
        let outward = self.blobs.iter().rev();
        outward.fold(inner, |inner, layer| layer.wrap(inner))
    }
}

impl DagLayer for Layers {
    fn wrap(&self, inner: Arc<dyn DagStore>) -> Arc<dyn DagStore> {
        let outward = self.dag.iter().rev();
        outward.fold(inner, |inner, layer| layer.wrap(inner))
    }
}

impl Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Layers({} for blobs, {} for the graph)",
            self.blobs.len(),
            self.dag.len()
        )
    }
}
