//! Several layers at once.

use std::fmt::{self, Debug};
use std::sync::Arc;

use deriva_api::{BlobLayer, BlobStore, DagLayer, DagStore, Error, ErrorKind, OpenedStore, Result};

use super::{LimitLayer, ReadOnlyLayer, RetryLayer, TieredLayer, TimeoutLayer};

/// A stack of layers; the first added is the outermost. It is a layer itself.
#[derive(Clone, Default)]
pub struct Layers {
    blobs: Vec<Arc<dyn BlobLayer>>,
    dag: Vec<Arc<dyn DagLayer>>,
}

impl Layers {
    /// The names that [`Layers::named`] knows. `none` adds nothing; `all` is
    /// `retry,timeout,limit,tiered`.
    pub const NAMES: &[&str] = &[
        "none",
        "retry",
        "timeout",
        "limit",
        "read-only",
        "tiered",
        "all",
    ];

    /// No layers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Layers by name, with their default settings, separated by commas: `retry,timeout`. A tiered
    /// layer has `fast` in front.
    ///
    /// # Errors
    /// `Invalid` for an unknown name, listing the known ones.
    pub fn named(names: &str, fast: &OpenedStore) -> Result<Self> {
        names.split(',').try_fold(Self::new(), |layers, name| {
            Ok(match name.trim() {
                "none" => layers,
                "retry" => layers.layer(RetryLayer::new()),
                "timeout" => layers.layer(TimeoutLayer::default()),
                "limit" => layers.layer(LimitLayer::default()),
                "read-only" => layers.layer(ReadOnlyLayer::new()),
                "tiered" => layers.layer(TieredLayer::new(fast.clone())),
                "all" => layers
                    .layer(RetryLayer::new())
                    .layer(TimeoutLayer::default())
                    .layer(LimitLayer::default())
                    .layer(TieredLayer::new(fast.clone())),
                unknown => {
                    return Err(Error::new(ErrorKind::Invalid, "unknown layer")
                        .with("layer", unknown)
                        .hint(format!("known layers: {}", Self::NAMES.join(", "))));
                }
            })
        })
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
