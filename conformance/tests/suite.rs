//! Every case of the testkit, on every store.

use conformance::UriFixture;
use deriva_testkit::{blob_store_conformance, dag_store_conformance};

mod memory {
    use super::*;
    blob_store_conformance!(store, UriFixture::new("memory", ""));
    dag_store_conformance!(graph, UriFixture::new("memory", ""));
}

mod files {
    use super::*;
    blob_store_conformance!(store, UriFixture::new("files", ""));
    blob_store_conformance!(buffered, UriFixture::new("files", "?durability=buffered"));
}

mod sled {
    use super::*;
    blob_store_conformance!(store, UriFixture::new("sled", ""));
    dag_store_conformance!(graph, UriFixture::new("sled", ""));
}

mod sled_buffered {
    use super::*;
    blob_store_conformance!(store, UriFixture::new("sled", "?durability=buffered"));
    dag_store_conformance!(graph, UriFixture::new("sled", "?durability=buffered"));
}

/// With a tiny threshold nearly every blob lies in a file of its own beside the engine.
mod sled_tiny_threshold {
    use super::*;
    blob_store_conformance!(
        store,
        UriFixture::new("sled", "?durability=buffered&blob_threshold=64")
    );
}

mod redb {
    use super::*;
    blob_store_conformance!(store, UriFixture::new("redb", ""));
    dag_store_conformance!(graph, UriFixture::new("redb", ""));
}

mod redb_buffered {
    use super::*;
    blob_store_conformance!(store, UriFixture::new("redb", "?durability=buffered"));
    dag_store_conformance!(graph, UriFixture::new("redb", "?durability=buffered"));
}

mod redb_tiny_threshold {
    use super::*;
    blob_store_conformance!(
        store,
        UriFixture::new("redb", "?durability=buffered&blob_threshold=64")
    );
}

#[cfg(feature = "rocksdb")]
mod rocksdb {
    use super::*;
    blob_store_conformance!(store, UriFixture::new("rocksdb", ""));
    dag_store_conformance!(graph, UriFixture::new("rocksdb", ""));
}

#[cfg(feature = "rocksdb")]
mod rocksdb_buffered {
    use super::*;
    blob_store_conformance!(store, UriFixture::new("rocksdb", "?durability=buffered"));
    dag_store_conformance!(graph, UriFixture::new("rocksdb", "?durability=buffered"));
}

#[cfg(feature = "rocksdb")]
mod rocksdb_tiny_threshold {
    use super::*;
    blob_store_conformance!(
        store,
        UriFixture::new("rocksdb", "?durability=buffered&blob_threshold=64")
    );
}
