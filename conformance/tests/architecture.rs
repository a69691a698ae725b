//! Which crate may know which: the edges of the house, from `cargo metadata`.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Each crate with all the crates of this workspace that its code may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("deriva-api", &[]),
    ("deriva-backends", &["deriva-api"]),
    ("deriva-functions", &["deriva-api"]),
    ("deriva-layers", &["deriva-api"]),
    ("deriva-runtime", &["deriva-api"]),
    ("deriva-testkit", &["deriva-api"]),
    (
        "deriva",
        &[
            "deriva-api",
            "deriva-backends",
            "deriva-functions",
            "deriva-layers",
            "deriva-runtime",
        ],
    ),
    ("deriva-cli", &["deriva"]),
    ("deriva-bench", &["deriva", "deriva-testkit"]),
    (
        "conformance",
        &[
            "deriva",
            "deriva-api",
            "deriva-backends",
            "deriva-functions",
            "deriva-layers",
            "deriva-runtime",
            "deriva-testkit",
        ],
    ),
];

/// What tests and examples may use beyond that. A crate's tests may not reach around the house
/// either, but for the testkit, and a store to run a runtime on.
const ALLOWED_IN_TESTS: &[(&str, &[&str])] = &[
    ("deriva-backends", &["deriva-testkit"]),
    ("deriva-layers", &["deriva-testkit"]),
    ("deriva-runtime", &["deriva-backends", "deriva-testkit"]),
    ("deriva", &["deriva-testkit"]),
    ("deriva-cli", &["deriva-testkit"]),
    ("conformance", &["deriva", "deriva-runtime"]),
];

type Edges = BTreeMap<String, BTreeSet<String>>;

fn edges(wanted: impl Fn(DependencyKind) -> bool) -> Edges {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let packages = metadata.workspace_packages();
    let names: BTreeSet<String> = packages
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let internal = |package: &&cargo_metadata::Package| {
        let dependencies = package.dependencies.iter();
        let used = dependencies.filter(|used| wanted(used.kind) && names.contains(&used.name));
        (
            package.name.to_string(),
            used.map(|used| used.name.clone()).collect(),
        )
    };
    packages.iter().map(internal).collect()
}

fn allowed(lists: &[&[(&str, &[&str])]], name: &str) -> BTreeSet<String> {
    let of_name = lists
        .iter()
        .flat_map(|list| list.iter())
        .filter(|(known, _)| *known == name);
    of_name
        .flat_map(|(_, used)| used.iter().map(|used| used.to_string()))
        .collect()
}

#[test]
fn crates_use_only_what_they_may() {
    let found = edges(|kind| kind != DependencyKind::Development);
    for (name, used) in &found {
        assert!(
            ALLOWED.iter().any(|(known, _)| known == name),
            "{name} has no place in the house yet: add it to ALLOWED"
        );
        let forbidden: Vec<_> = used
            .difference(&allowed(&[ALLOWED], name))
            .cloned()
            .collect();
        assert!(forbidden.is_empty(), "{name} may not use {forbidden:?}");
    }
    // The rule means something only while the crates are there.
    assert!(
        found["deriva-backends"].contains("deriva-api")
            && found["deriva"].contains("deriva-runtime")
    );
}

#[test]
fn tests_use_only_what_they_may() {
    for (name, used) in edges(|kind| kind == DependencyKind::Development) {
        let allowed = allowed(&[ALLOWED, ALLOWED_IN_TESTS], &name);
        let forbidden: Vec<_> = used.difference(&allowed).collect();
        assert!(
            forbidden.is_empty(),
            "the tests of {name} may not use {forbidden:?}"
        );
    }
}

#[test]
fn only_what_serves_tests_is_unpublished() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let packages = metadata.workspace_packages();
    let unpublished = packages
        .iter()
        .filter(|package| package.publish.as_ref().is_some_and(Vec::is_empty));
    let names: BTreeSet<&str> = unpublished.map(|package| package.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["conformance", "deriva-bench"]));
}
