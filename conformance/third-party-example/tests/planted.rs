//! Exactly the cases that a planted mistake breaks fail, and none without one.

mod common;

use std::collections::BTreeSet;

use common::Database;
use deriva_testkit::{Outcome, Subject, Suite};

/// What fails when a range loses its last byte.
const RANGE: &[&str] = &["a_large_blob_round_trips", "ranges_are_slices"];
/// What fails when a removed recipe leaves its edges.
const EDGES: &[&str] = &[
    "acknowledged_recipes_survive_a_crash",
    "dependents_are_exact",
    "remove_minds_dependents",
];

#[test]
fn planted_mistakes_fail_the_cases_about_them_and_no_others() {
    let mut failed = BTreeSet::new();
    for subject in [Subject::Blobs, Subject::Dag] {
        let report = Suite::new().subject(subject).run(Database::new);
        for case in report.cases {
            if case.outcome == Outcome::Failed {
                println!("{}: {}", case.case.name, case.detail.unwrap_or_default());
                failed.insert(case.case.name);
            }
        }
    }
    let range: &[&str] = if cfg!(feature = "planted-range") {
        RANGE
    } else {
        &[]
    };
    let edges: &[&str] = if cfg!(feature = "planted-edges") {
        EDGES
    } else {
        &[]
    };
    let expected: BTreeSet<&str> = range.iter().chain(edges).copied().collect();
    assert_eq!(failed, expected);
}
