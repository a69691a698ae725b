//! A layer that counts calls.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{Blob, BlobLayer, BlobStore, CAddr, DagLayer, DagStore, Result};
use parking_lot::Mutex;

use crate::hook::{Hook, Hooked, Operation};

/// Wraps stores so that every call is counted. Clones, and all stores wrapped by them, count together.
#[derive(Clone, Debug, Default)]
pub struct CountingLayer(Counts);

impl CountingLayer {
    /// A layer that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the counts can be read.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.clone()
    }
}

impl BlobLayer for CountingLayer {
    fn wrap(&self, inner: Arc<dyn BlobStore>) -> Arc<dyn BlobStore> {
        let hook = Arc::new(self.0.clone());
        Arc::new(Hooked { inner, hook })
    }
}

impl DagLayer for CountingLayer {
    fn wrap(&self, inner: Arc<dyn DagStore>) -> Arc<dyn DagStore> {
        let hook = Arc::new(self.0.clone());
        Arc::new(Hooked { inner, hook })
    }
}

/// How often each operation was called. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Mutex<HashMap<Operation, u64>>>);

impl Counts {
    /// How often `operation` was called since the last reset.
    #[must_use]
    pub fn of(&self, operation: Operation) -> u64 {
        self.0.lock().get(&operation).copied().unwrap_or(0)
    }

    /// How many calls there were of any operation since the last reset.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.lock().values().sum()
    }

    /// Begins again at zero.
    pub fn reset(&self) {
        self.0.lock().clear();
    }
}

#[async_trait]
impl Hook for Counts {
    fn name(&self) -> &'static str {
        "counting"
    }

    async fn before(&self, operation: Operation) -> Result<()> {
        *self.0.lock().entry(operation).or_default() += 1;
        Ok(())
    }

    async fn after(&self, _: Operation) -> Result<()> {
        Ok(())
    }

    fn damages(&self, _: CAddr) -> bool {
        false
    }

    fn read(&self, blob: Blob) -> Result<Blob> {
        Ok(blob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelStore;

    #[test]
    fn calls_are_counted_per_operation_and_store_kind() {
        let layer = CountingLayer::new();
        let blobs = BlobLayer::wrap(&layer, Arc::new(ModelStore::new()));
        let dag = DagLayer::wrap(&layer, Arc::new(ModelStore::new()));
        futures::executor::block_on(async {
            blobs.get(CAddr::MIN).await.unwrap();
            blobs.get(CAddr::MIN).await.unwrap();
            dag.get_many(&[CAddr::MIN]).await.unwrap();
        });
        let counts = layer.counts();
        assert_eq!(counts.of(Operation::BlobGet), 2);
        assert_eq!(counts.of(Operation::DagGetMany), 1);
        assert_eq!(counts.of(Operation::BlobGetMany), 0);
        assert_eq!(blobs.to_string(), "counting(model)");
        assert_eq!(counts.total(), 3);
        counts.reset();
        assert_eq!(counts.total(), 0);
        assert_eq!(counts.of(Operation::BlobGet), 0);
    }
}
