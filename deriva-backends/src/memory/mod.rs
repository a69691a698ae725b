#![doc = include_str!("README.md")]

mod blobs;
mod dag;
mod graph;
mod snapshot;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{OpenedStore, Result, StoreFactory, StoreIdentity, StoreUri};
use parking_lot::RwLock;

use blobs::Blobs;
use graph::Graph;

/// A blob store and DAG store in memory. Clones share their contents.
#[derive(Clone, Default)]
pub struct MemoryStore {
    blobs: Arc<RwLock<Blobs>>,
    graph: Arc<RwLock<Graph>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn identity(&self) -> StoreIdentity {
        StoreIdentity::of(&self.blobs)
    }
}

impl fmt::Display for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory:")
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (blobs, dag) = (self.blobs.read().usage(), self.graph.read().usage());
        f.debug_struct("MemoryStore")
            .field("blobs", &blobs)
            .field("dag", &dag)
            .finish()
    }
}

/// Opens `memory:`, a new and empty [`MemoryStore`] each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryFactory;

#[async_trait]
impl StoreFactory for MemoryFactory {
    fn scheme(&self) -> &str {
        "memory"
    }

    fn description(&self) -> &str {
        "in the memory of this process, gone when it ends"
    }

    fn check(&self, uri: &StoreUri) -> Result<()> {
        uri.allow_options(&[])?;
        if !uri.path().is_empty() {
            return Err(uri
                .invalid("`memory:` takes no path")
                .hint("write `memory:`, or `sled:PATH` for a store that stays"));
        }
        Ok(())
    }

    async fn open(&self, uri: &StoreUri) -> Result<OpenedStore> {
        self.check(uri)?;
        let store = Arc::new(MemoryStore::new());
        Ok(OpenedStore {
            blobs: Some(store.clone()),
            dag: Some(store),
        })
    }
}
