//! Which crate may know which: the edges of the house, from `cargo metadata`. And the arrows between the folders of
//! the runtime, from what their files use.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Each crate with all the crates of this workspace that its code may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("deriva-api", &[]),
    ("deriva-backends", &["deriva-api"]),
    ("deriva-draw", &["deriva-api"]),
    ("deriva-functions", &["deriva-api"]),
    ("deriva-layers", &["deriva-api"]),
    ("deriva-runtime", &["deriva-api"]),
    (
        "deriva-metrics",
        &["deriva-api", "deriva-layers", "deriva-runtime"],
    ),
    ("deriva-otel", &["deriva-api", "deriva-metrics"]),
    ("deriva-proto", &["deriva-api"]),
    ("deriva-client", &["deriva-api", "deriva-proto"]),
    ("deriva-testkit", &["deriva-api"]),
    (
        "deriva",
        &[
            "deriva-api",
            "deriva-backends",
            "deriva-client",
            "deriva-functions",
            "deriva-layers",
            "deriva-metrics",
            "deriva-otel",
            "deriva-runtime",
        ],
    ),
    ("deriva-server", &["deriva", "deriva-draw", "deriva-proto"]),
    ("deriva-cli", &["deriva", "deriva-draw", "deriva-server"]),
    (
        "deriva-bench",
        &["deriva", "deriva-proto", "deriva-server", "deriva-testkit"],
    ),
    (
        "deriva-fuzz",
        &[
            "deriva",
            "deriva-api",
            "deriva-cli",
            "deriva-proto",
            "deriva-server",
        ],
    ),
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
    ("deriva-metrics", &["deriva-testkit"]),
    ("deriva-otel", &["deriva-backends", "deriva-runtime"]),
    ("deriva-runtime", &["deriva-backends", "deriva-testkit"]),
    ("deriva", &["deriva-testkit"]),
    (
        "deriva-cli",
        &["deriva-client", "deriva-proto", "deriva-testkit"],
    ),
    (
        "conformance",
        &["deriva", "deriva-client", "deriva-runtime", "deriva-server"],
    ),
    ("deriva-server", &["deriva-proto"]),
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
    assert_eq!(
        names,
        BTreeSet::from(["conformance", "deriva-bench", "deriva-fuzz"])
    );
}

/// Each part of the runtime with the parts that it uses, no more and no less. Wings stand over one ground floor and
/// know no other wing, but for those named here.
const ARROWS: &[(&str, &[&str])] = &[
    ("cache", &[]),
    ("schedule", &[]),
    ("timeline", &[]),
    ("shared", &["cache"]),
    ("execute", &["shared"]),
    (
        "materialize",
        &["determinism", "schedule", "shared", "timeline"],
    ),
    ("explain", &["schedule", "shared"]),
    ("invalidate", &["shared"]),
    // What differs is forgotten with all that was made from it.
    ("determinism", &["invalidate", "shared"]),
    // Outputs are dropped in one place.
    ("collect", &["invalidate", "shared"]),
    // It heals by an ordinary request of the handle that it has.
    ("scrub", &["shared"]),
    (
        "handle",
        &[
            "cache",
            "determinism",
            "execute",
            "explain",
            "materialize",
            "shared",
        ],
    ),
];

/// The parts that each part of the runtime uses: what follows `crate::` in its code.
fn arrows() -> Edges {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deriva-runtime/src");
    let mut arrows = Edges::new();
    for file in rust_files(&src) {
        let place = file.strip_prefix(&src).unwrap().with_extension("");
        let part = place.iter().next().unwrap().to_str().unwrap().to_owned();
        // Schedules of what several parts do together, and faults planted anywhere.
        if ["lib", "interleavings", "planted"].contains(&part.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let used = arrows.entry(part).or_default();
        for line in code {
            for rest in line.split("crate::").skip(1) {
                let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
                used.insert(rest[..end.unwrap_or(rest.len())].to_owned());
            }
        }
    }
    for (part, used) in &mut arrows {
        used.remove(part);
        used.remove("planted");
    }
    arrows
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true if path.ends_with("tests") => Vec::new(),
            true => rust_files(&path),
            false if path.file_name().is_some_and(|name| name == "tests.rs") => Vec::new(),
            false => vec![path],
        })
        .collect()
}

#[test]
fn the_wings_of_the_runtime_know_the_ground_floor_and_no_other_wing() {
    let set = |used: &&[&str]| used.iter().map(ToString::to_string).collect();
    let allowed: Edges = ARROWS
        .iter()
        .map(|(part, used)| (part.to_string(), set(used)))
        .collect();
    let found = arrows();
    for (part, used) in &found {
        let allowed = allowed.get(part).unwrap_or_else(|| {
            panic!("deriva-runtime/src/{part} has no place in the house yet: add it to ARROWS")
        });
        let forbidden: Vec<_> = used.difference(allowed).collect();
        assert!(forbidden.is_empty(), "{part} may not use {forbidden:?}");
        let unused: Vec<_> = allowed.difference(used).collect();
        assert!(
            unused.is_empty(),
            "{part} does not use {unused:?}: take it out of ARROWS"
        );
    }
    assert_eq!(found.len(), ARROWS.len(), "a part is gone");
}

/// Services know nothing of the bag that holds them.
#[test]
fn on_the_ground_floor_one_file_alone_knows_what_all_share() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deriva-runtime/src/shared");
    let files = rust_files(&shared);
    let knows = |file: &&PathBuf| fs::read_to_string(file).unwrap().contains("Inner");
    let know: Vec<_> = files.iter().filter(knows).collect();
    assert_eq!(know, [&shared.join("mod.rs")]);
}
