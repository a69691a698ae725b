//! A collection that is killed leaves a store of which nothing is missing, and the next one goes on.

use conformance::proof::KilledCollections;
use rstest::rstest;

/// Two for each failpoint, and as many at random moments.
const ROUNDS: u64 = 72;

#[rstest]
#[case("sled")]
#[case("sled?durability=buffered")]
#[case("redb")]
#[case("redb?durability=buffered")]
#[cfg_attr(feature = "rocksdb", case("rocksdb"))]
fn a_killed_collection_is_continued_by_the_next(#[case] store: &str) {
    let killed = KilledCollections {
        program: env!("CARGO_BIN_EXE_conformance").into(),
        store: store.to_owned(),
        rounds: ROUNDS,
        seed: 1,
    };
    let report = killed.run().unwrap_or_else(|broken| panic!("{broken}"));
    let at_failpoints: u64 = report.at_failpoints.values().sum();
    assert!(at_failpoints >= 8 && report.halfway > 0, "{report:?}");
}
