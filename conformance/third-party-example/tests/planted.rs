//! Exactly the cases that the planted mistakes break fail.

mod common;

use std::collections::BTreeSet;

use common::Database;
use deriva_testkit::{Level, Outcome, Subject, Suite};

/// What fails when a range loses its last byte.
const RANGE: &[&str] = &[
    "a_damaged_blob_store_never_lies",
    "a_flipped_bit_is_corrupt",
    "a_large_blob_round_trips",
    "a_lost_file_is_noticed",
    "random_blob_calls_agree_with_the_model",
    "ranges_are_64_bits_wide",
    "ranges_are_slices",
];
/// What fails when a removed recipe leaves its edges.
const EDGES: &[&str] = &[
    "a_crash_leaves_edges_and_recipes_together",
    "acknowledged_recipes_survive_a_crash",
    "dependents_are_exact",
    "edges_match_recipes_after_a_race",
    "every_dag_call_can_fail_and_be_repeated",
    "inputs_of_every_number_have_edges",
    "order_of_operations_leaves_no_trace",
    "random_dag_calls_agree_with_the_model",
    "recipe_batches_of_every_size_are_removed",
    "remove_minds_dependents",
    "reopening_recipes_changes_nothing",
];

#[test]
fn planted_mistakes_fail_the_cases_about_them_and_no_others() {
    let mut failed = BTreeSet::new();
    let levels = [
        Level::Core,
        Level::Concurrency,
        Level::Durability,
        Level::Faults,
    ];
    for subject in [Subject::Blobs, Subject::Dag] {
        let suite = Suite::new().levels(&levels).subject(subject);
        for case in suite.run(Database::new).cases {
            if case.outcome == Outcome::Failed {
                println!("{}: {}", case.case.name, case.detail.unwrap_or_default());
                failed.insert(case.case.name);
            }
        }
    }
    let expected: BTreeSet<&str> = RANGE.iter().chain(EDGES).copied().collect();
    assert_eq!(failed, expected);
}
