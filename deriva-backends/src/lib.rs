//! Stores for deriva: where blobs and the graph of recipes live.
//!
//! | store | URI | blobs | DAG | choose it for |
//! |---|---|---|---|---|
//! | [`memory`] | `memory:` | yes | yes | tests, caches, work that need not outlive the process |
//!
//! [`registry`] knows the schemes; [`deriva_api::StoreRegistry::open`] opens a URI.

mod dag;
mod expect;
pub mod memory;
mod paging;

use std::sync::Arc;

use deriva_api::{StoreFactory, StoreRegistry};

/// A registry that knows every store that was compiled in.
#[must_use]
pub fn registry() -> StoreRegistry {
    let mut registry = StoreRegistry::new();
    for factory in factories() {
        // The schemes are distinct, so none is refused.
        registry.register(factory).ok();
    }
    registry
}

fn factories() -> Vec<Arc<dyn StoreFactory>> {
    vec![Arc::new(memory::MemoryFactory)]
}
