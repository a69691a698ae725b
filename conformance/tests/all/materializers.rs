//! Every case for materializers, on the runtime over stores of each kind.

use std::sync::Arc;

use conformance::UriFixture;
use conformance::runtime::DerivaFixture;
use deriva_testkit::materializer_conformance;

/// The runtime over the store of this name, under the stack of layers of this name.
fn over(store: &str, stack: &str) -> DerivaFixture {
    DerivaFixture(Arc::new(UriFixture::of(store, stack)))
}

materializer_conformance!(memory, over("memory", "none"));
materializer_conformance!(sled, over("sled", "none"));
materializer_conformance!(redb, over("redb", "none"));
#[cfg(feature = "rocksdb")]
materializer_conformance!(rocksdb, over("rocksdb", "none"));
materializer_conformance!(split_sled_files, over("sled+files", "none"));
materializer_conformance!(layers, over("memory", "together"));
