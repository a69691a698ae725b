//! The suite is itself tested: every mutant is caught by the case that it names, and every case is
//! named by a mutant.

use std::collections::BTreeSet;

use conformance::mutants::{self, Kind};

/// The mutant fails the case that is declared to catch it.
macro_rules! is_caught {
    ($name:ident) => {
        #[test]
        fn $name() {
            let all = mutants::all().iter();
            let mutant = all.clone().find(|mutant| mutant.name == stringify!($name));
            let mutant = mutant.expect("every mutant is declared");
            assert_eq!(
                mutant.caught(false),
                [mutant.caught_by],
                "{}",
                mutant.breaks
            );
        }
    };
}

conformance::each_mutant! { is_caught }

/// Without a break every case holds.
fn holds(kind: Kind) {
    let report = mutants::unbroken(kind);
    assert!(report.held(), "{report}");
}

#[test]
fn the_store_without_a_break_holds() {
    holds(Kind::Store);
}

#[test]
fn the_layer_without_a_break_holds() {
    holds(Kind::Layer);
}

#[test]
fn the_executor_without_a_break_holds() {
    holds(Kind::Executor);
}

#[test]
fn the_executor_layer_without_a_break_holds() {
    holds(Kind::ExecutorLayer);
}

#[test]
fn the_materializer_without_a_break_holds() {
    holds(Kind::Materializer);
}

#[test]
fn every_case_is_named_by_a_mutant() {
    let named: BTreeSet<&str> = mutants::all()
        .iter()
        .map(|mutant| mutant.caught_by)
        .collect();
    let suite = mutants::suite();
    let cases = suite.selected().map(|case| case.name);
    let unnamed: Vec<&str> = cases.filter(|name| !named.contains(name)).collect();
    assert!(
        unnamed.is_empty(),
        "a mutant is missing for: {}",
        unnamed.join(", ")
    );
}

/// What the case that catches a mutant tells of it.
fn told(mutant: &str) -> String {
    let mutant = mutants::all().iter().find(|one| one.name == mutant);
    let mutant = mutant.expect("every mutant is declared");
    let suite = mutants::suite().cases(&[mutant.caught_by]);
    let report = suite
        .expect("the declared case exists")
        .run(|| mutant.fixture());
    let failed = report.failed().next().expect("it is caught");
    failed.detail.clone().unwrap_or_default()
}

#[test]
fn a_failing_case_tells_its_line_both_answers_and_where_lists_differ() {
    let told_of_stat = told("tells_the_length_before_beyond_64");
    let lines: Vec<&str> = told_of_stat.lines().collect();
    assert!(lines[0].contains("cases/blob_sizes.rs:"), "{told_of_stat}");
    assert!(lines[0].contains("stat of 65"), "{told_of_stat}");
    assert_eq!(
        lines[1],
        "item 64 is the first that differs, of 65 where 65 were expected"
    );
    assert!(lines[2].starts_with("answered: Some("), "{told_of_stat}");
    assert!(lines[3].starts_with("expected: Some("), "{told_of_stat}");
    assert_eq!(lines.len(), 4, "{told_of_stat}");
    // A helper tells the line of the case that called it, and a wrong kind the words of the error.
    let usage = told("counts_a_blob_twice");
    assert!(usage.contains("cases/blob_batches.rs:"), "{usage}");
    let kind = told("calls_a_conflict_invalid");
    assert!(kind.contains("answered: invalid: another recipe"), "{kind}");
    assert!(kind.contains("expected: Some(Conflict)"), "{kind}");
    let refused = told("takes_root_names_of_any_length");
    assert!(refused.contains("answered: no error but ()"), "{refused}");
}
