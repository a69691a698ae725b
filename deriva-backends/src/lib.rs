//! Stores for deriva: where blobs and the graph of recipes live.
//!
//! | store | URI | blobs | DAG | choose it for |
//! |---|---|---|---|---|
//! | [`memory`] | `memory:` | yes | yes | tests, caches, work that need not outlive the process |
//! | `sled` | `sled:PATH` | yes | yes | one program on one machine; the default |
//! | `redb` | `redb:PATH` | yes | yes | the same, with faster reads, less disk and exact crash safety |
//! | `rocksdb` | `rocksdb:PATH` | yes | yes | large stores and fast writes; needs a C++ build |
//! | [`files`] | `files:PATH` | yes | | large blobs, files that other tools read |
//!
//! [`registry`] knows the schemes; [`deriva_api::StoreRegistry::open`] opens a URI.

#[macro_use]
#[doc(hidden)]
pub mod failpoints;
pub mod files;
mod folder;
mod handles;
#[cfg(any(feature = "sled", feature = "redb", feature = "rocksdb"))]
mod kv;
pub mod memory;
mod options;
mod reading;
#[cfg(feature = "redb")]
pub mod redb;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
#[cfg(feature = "sled")]
pub mod sled;
mod threads;
mod unopened;

use std::sync::Arc;

#[cfg(any(feature = "sled", feature = "redb", feature = "rocksdb"))]
pub use kv::ReadPolicy;
pub use options::Durability;
pub use threads::check_threads;

use deriva_api::{StoreFactory, StoreRegistry};

pub(crate) const SCHEME_FILES: &str = "files";

/// A registry that knows every store that was compiled in.
#[must_use]
pub fn registry() -> StoreRegistry {
    let mut registry = StoreRegistry::new();
    #[cfg(not(feature = "sled"))]
    registry.note_absent("sled", "sled");
    #[cfg(not(feature = "redb"))]
    registry.note_absent("redb", "redb");
    #[cfg(not(feature = "rocksdb"))]
    registry.note_absent("rocksdb", "rocksdb");
    for factory in factories() {
        // The schemes are distinct, so none is refused.
        registry.register(factory).ok();
    }
    registry
}

fn factories() -> Vec<Arc<dyn StoreFactory>> {
    vec![
        Arc::new(memory::MemoryFactory),
        Arc::new(files::FilesFactory),
        #[cfg(feature = "sled")]
        Arc::new(sled::SledFactory),
        #[cfg(feature = "redb")]
        Arc::new(redb::RedbFactory),
        #[cfg(feature = "rocksdb")]
        Arc::new(rocksdb::RocksDbFactory),
    ]
}
