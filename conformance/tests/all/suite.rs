//! Every case on every store, and the same under layers.
//!
//! Without layers each case is a test of its own on each store of [`EVERY`]; where two stores differ in
//! where blobs lie and nothing else, the second runs the cases for blobs alone. Under layers one test
//! runs the cases of a pair of store and stack: every stack over one store of each kind, without the
//! cases that take seconds. `conformance check --stores all --layers all` runs the full product.

use conformance::UriFixture;
use conformance::stores::{EVERY, Store};
use deriva_testkit::{Level, Suite, blob_store_conformance, dag_store_conformance};
use rstest::rstest;

/// Makes the tests of each store, and the list of their names.
macro_rules! stores {
    ($($(#[$attribute:meta])* $what:ident $name:ident = $store:literal;)+) => {
        $($(#[$attribute])* mod $name {
            use super::*;
            stores! { @ $what $store }
        })+

        const COVERED: &[&str] = &[$($store),+];
    };
    (@ blobs $store:literal) => {
        blob_store_conformance!(store, UriFixture::of($store, "none"));
    };
    (@ both $store:literal) => {
        blob_store_conformance!(store, UriFixture::of($store, "none"));
        dag_store_conformance!(graph, UriFixture::of($store, "none"));
    };
}

stores! {
    both memory = "memory";
    blobs files = "files";
    blobs files_buffered = "files?durability=buffered";
    both sled = "sled";
    both sled_buffered = "sled?durability=buffered";
    blobs sled_all_in_files = "sled?durability=buffered&blob_threshold=64";
    both redb = "redb";
    both redb_buffered = "redb?durability=buffered";
    blobs redb_all_in_files = "redb?durability=buffered&blob_threshold=64";
    blobs redb_few_in_files = "redb?durability=buffered&blob_threshold=1MiB";
    #[cfg(feature = "rocksdb")]
    both rocksdb = "rocksdb";
    #[cfg(feature = "rocksdb")]
    both rocksdb_buffered = "rocksdb?durability=buffered";
    #[cfg(feature = "rocksdb")]
    blobs rocksdb_all_in_files = "rocksdb?durability=buffered&blob_threshold=64";
    #[cfg(feature = "rocksdb")]
    blobs rocksdb_few_in_files = "rocksdb?durability=buffered&blob_threshold=1MiB";
    both split_redb_files = "redb+files";
    both split_sled_memory = "sled+memory";
    both split_memory_files = "memory+files?durability=buffered";
}

#[test]
fn every_store_is_covered() {
    assert_eq!(COVERED, EVERY);
    assert!(Store::every().len() > Store::compiled_in().len());
}

/// Cases that take seconds on some store, or are about engines that no layer comes near.
const HEAVY: [&str; 6] = [
    "a_large_blob_round_trips",
    "a_wide_fan_in",
    "a_wide_fan_out",
    "a_long_chain",
    "random_blob_calls_agree_with_the_model",
    "random_dag_calls_agree_with_the_model",
];

#[rstest]
#[case::memory("memory")]
#[case::files("files?durability=buffered")]
#[case::sled("sled?durability=buffered")]
#[case::redb("redb?durability=buffered")]
#[cfg_attr(feature = "rocksdb", case::rocksdb("rocksdb?durability=buffered"))]
#[case::split("memory+files?durability=buffered")]
fn holds_under(
    #[case] store: &'static str,
    #[values("retry", "timeout", "limit", "tiered", "together")] stack: &'static str,
) {
    let suite = Suite::new().levels(&[Level::Core, Level::Concurrency, Level::Faults]);
    let light = suite.selected().map(|case| case.name);
    let light: Vec<&str> = light.filter(|name| !HEAVY.contains(name)).collect();
    let suite = suite.cases(&light).expect("the cases are selected ones");
    let report = suite.run(move || UriFixture::of(store, stack));
    assert!(report.held(), "{report}");
    assert!(report.cases.len() > 40, "{report}");
}
