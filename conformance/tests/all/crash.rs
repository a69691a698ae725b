//! What a store acknowledged is there after its process was killed, again and again on one store, at
//! random moments and at every failpoint.

use std::collections::BTreeSet;

use conformance::proof::{Crash, prover};
use rstest::rstest;

/// One round of all failpoints and more, and as many kills at random moments.
const KILLS: u64 = 36;

#[rstest]
#[case("sled", &["commit-synced", "file-counts"])]
#[case("sled?durability=buffered", &["file-counts"])]
#[case("redb", &["commit-synced", "file-counts"])]
#[case("redb?durability=buffered", &["file-counts"])]
#[case("files", OF_ENGINES)]
#[case("files?durability=buffered", OF_ENGINES)]
#[cfg_attr(feature = "rocksdb", case("rocksdb", &["commit-synced", "engine-written", "file-counts"]))]
#[cfg_attr(
    feature = "rocksdb",
    case("rocksdb?durability=buffered", NEVER_FLUSHED)
)]
fn acknowledged_writes_survive_kills(#[case] store: &str, #[case] may_miss: &[&str]) {
    let crash = Crash {
        prover: prover(env!("CARGO_BIN_EXE_conformance"), store),
        kills: KILLS,
        seed: 1,
    };
    let report = crash
        .run(|_| {})
        .unwrap_or_else(|broken| panic!("{broken}"));
    let reached = report.at_failpoints.iter();
    let missed: BTreeSet<&str> = reached
        .filter(|(name, kills)| **kills == 0 && !may_miss.contains(*name))
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(missed, BTreeSet::new(), "{report}");
    assert!(report.acknowledged > 300, "{report}");
}

/// What a store that the writer does not flush may miss: files are deleted after a sync, which only the store
/// itself makes, every 500 ms.
#[cfg(feature = "rocksdb")]
const NEVER_FLUSHED: &[&str] = &[
    "commit-deleted",
    "engine-written",
    "file-counts",
    "file-removed",
];

/// Failpoints on the way of a commit of an engine, which a file store has none of.
const OF_ENGINES: &[&str] = &[
    "close",
    "commit-answered",
    "commit-applied",
    "commit-decided",
    "commit-deleted",
    "commit-placed",
    "commit-synced",
    "engine-written",
    "open-engine",
    "open-formatted",
];
