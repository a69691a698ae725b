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
