//! The suite is itself tested: every mutant is caught by the case that it names, and every case is
//! named by a mutant.

use std::collections::BTreeSet;

use conformance::mutants;

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

#[test]
fn without_a_break_every_case_holds() {
    let report = mutants::unbroken();
    assert!(report.held(), "{report}");
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
