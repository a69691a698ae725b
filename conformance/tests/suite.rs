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
