//! `deriva collect`, as a user calls it.

use crate::common;
use crate::common::Bench;

/// A store with a leaf, a recipe that a root names and one that nothing needs.
fn filled() -> Bench {
    let bench = Bench::new();
    bench.file("a.txt", "hello");
    bench.ok(&["put", "a.txt"]);
    let make = |name: &str, input: &str| {
        let addr = bench.line(&["recipe", name, "--input", input]);
        bench.ok(&["get", &addr]);
        addr
    };
    let below = make("text.upper/1", "ea8f");
    let kept = make("bytes.concat/1", &below);
    make("hash.blake3/1", "ea8f");
    bench.ok(&["root", "set", "kept", &kept]);
    bench
}

#[test]
fn what_no_root_needs_is_taken_and_told() {
    let bench = filled();
    let dry = bench.json(&["collect", "--dry-run", "--json"]);
    assert_eq!(
        (dry["dry_run"].as_bool(), dry["recipes"].as_u64()),
        (Some(true), Some(1))
    );
    assert_eq!(bench.json(&["status", "--json"])["recipes"], 3);
    let text = bench.ok(&["collect", "--dry-run"]);
    assert!(
        text.contains("1 would be taken") && text.contains("of computation"),
        "{text}"
    );
    let done = bench.json(&["collect", "--json"]);
    for field in [
        "recipes",
        "outputs",
        "blobs",
        "bytes",
        "kept_recipes",
        "kept_blobs",
        "kept_bytes",
    ] {
        assert_eq!(done[field], dry[field], "{field}");
    }
    assert!(done["rebuild_seconds"].is_f64() && done["seconds"].is_f64());
    assert_eq!(bench.json(&["status", "--json"])["recipes"], 2);
    assert!(bench.ok(&["collect"]).contains("0 taken"));
    assert_eq!(bench.ok(&["state-digest"]), bench.ok(&["state-digest"]));
}

#[test]
fn leaves_that_nothing_refers_to_go_when_that_is_asked_for() {
    let bench = filled();
    bench.file("b.txt", "alone");
    bench.ok(&["put", "b.txt"]);
    bench.ok(&["collect"]);
    assert_eq!(bench.json(&["collect", "--json"])["blobs"], 0);
    let done = bench.json(&["collect", "--unreferenced", "--json"]);
    assert_eq!(
        (done["blobs"].as_u64(), done["bytes"].as_u64()),
        (Some(1), Some(5))
    );
}

#[test]
fn a_quota_drops_outputs_and_tells_what_it_could_not() {
    let bench = filled();
    let out = bench.run(&["collect", "--derived-at-most", "0B", "--json"]);
    let done: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    // The root and what is below it make the same bytes, which the root keeps.
    assert_eq!(done["derived_bytes"], 5);
    let out = bench.run(&["collect", "--derived-at-most", "1KiB"]);
    assert!(out.status.success() && common::err(&out).is_empty());
    let out = bench.run(&["collect", "--derived-at-most", "4B"]);
    assert!(
        common::err(&out).contains("5 B of outputs are left"),
        "{}",
        common::err(&out)
    );
    bench.fails(2, &["collect", "--derived-at-most", "much"]);
}
