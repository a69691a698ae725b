//! Runs of pipelines in which something differs.

use std::fs;

use serde_json::Value;

use super::{Made, PIPELINE, lied, object, pipeline, text};
use crate::common::{Bench, err};

/// A run over one file whose output in upper case is a lie that was recorded.
fn run_over_a_lie() -> (Bench, Made) {
    let (bench, made) = lied();
    bench.file("p.toml", PIPELINE);
    bench.file("in/a.txt", text());
    (bench, made)
}

/// A step that lies always, one over it, and one that does not need it.
const LIAR: &str = r#"
name = "p"
root = "in"
[sources.files]
include = ["*.txt"]
[steps.liar]
function = "bench.liar/1"
params = { p = 1 }
each = "files"
[steps.above]
function = "bytes.concat/1"
each = "liar"
[steps.beside]
function = "text.upper/1"
each = "files"
[outputs]
"above" = "above"
"beside" = "beside"
"#;

fn lying(files: usize) -> Bench {
    let bench = Bench::new();
    pipeline(&bench, files);
    bench.file("p.toml", LIAR);
    bench
}

#[test]
fn a_run_that_meets_what_is_refused_ends_with_its_own_exit_code() {
    let (bench, made) = run_over_a_lie();
    bench.tells(5, &["audit", "--all"]);
    let dry = bench.json(&["run", "p.toml", "--dry-run", "--json"]);
    assert_eq!(dry["steps"][1]["condemned"], 1, "{dry}");
    let dry = bench.ok(&["run", "p.toml", "--dry-run"]);
    assert!(dry.contains("a run would fail"), "{dry}");
    let error = bench.fails(5, &["run", "p.toml"]);
    assert!(error.contains(&made.upper.to_string()), "{error}");
    let run = object(&bench, 5, &["run", "p.toml", "--keep-going", "--json"]);
    assert_eq!((&run["failed"], &run["violations"]), (&1.into(), &0.into()));
    assert!(run["outputs"]["digest/a.txt"].is_string(), "{run}");

    let given = bench.run(&["run", "p.toml", "--on-violation", "report", "--json"]);
    assert!(given.status.success(), "{}", err(&given));
    let run: Value = serde_json::from_slice(&given.stdout).unwrap();
    assert_eq!(run["doubted"], serde_json::json!(["upper/a.txt"]));
    assert!(bench.read("out/upper/a.txt").starts_with("0 RED\n"));
    let told = bench.ok(&[
        "run",
        "p.toml",
        "--on-violation",
        "report",
        "--verify",
        "dual",
    ]);
    assert!(
        told.contains("doubted, as what made it differs from run to run: upper/a.txt"),
        "{told}"
    );
}

#[test]
fn a_run_that_finds_violations_counts_them_and_has_its_own_exit_code() {
    let bench = lying(3);
    let told = bench.fails(5, &["run", "p.toml", "--verify", "dual"]);
    for expected in [
        "gave different outputs",
        "found_by: request",
        "liar: ",
        "first_difference",
    ] {
        assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
    }
    let bench = lying(3);
    let args = ["run", "p.toml", "--verify", "dual", "--keep-going"];
    let output = bench.run(&[&args[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(5), "{}", err(&output));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (key, count) in [
        ("verified", 6),
        ("violations", 3),
        ("computed", 3),
        ("failed", 3),
        ("skipped", 3),
    ] {
        assert_eq!(run[key], count, "{key}: {run}");
    }
    let violations = |step: usize| run["steps"][step]["violations"].as_u64();
    assert_eq!((violations(0), violations(1)), (Some(3), Some(0)));
    assert!(run["outputs"]["beside/2.txt"].is_string(), "{run}");
    assert!(err(&output).contains("liar: 0.txt"), "{}", err(&output));

    let bench = lying(3);
    let told = bench.tells(5, &args);
    assert!(
        told.contains("\nverified 6 recipes: the runs of 3 differ\n"),
        "{told}"
    );
    // A step alone may ask for it.
    let bench = lying(3);
    bench.file(
        "p.toml",
        LIAR.replace("p = 1 }", "p = 1 }\nverify = \"dual\""),
    );
    let run = object(&bench, 5, &["run", "p.toml", "--keep-going", "--json"]);
    assert_eq!(
        (&run["verified"], &run["violations"]),
        (&3.into(), &3.into())
    );
}

#[test]
fn what_a_run_doubts_is_written_and_told_and_not_kept() {
    let bench = lying(10);
    let args = [
        "run",
        "p.toml",
        "--verify",
        "dual",
        "--on-violation",
        "report",
    ];
    let told = bench.ok(&args);
    for expected in [
        "verified 30 recipes: the runs of 10 differ",
        "differs from run to run: above/0.txt",
        "doubted: 2 more",
    ] {
        assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
    }
    let before = fs::read(bench.path("out/above/3.txt")).unwrap();
    assert_eq!(before.len(), 1 + 8);
    let run = bench.json(&[&args[..], &["--json"]].concat());
    assert_eq!(run["doubted"].as_array().unwrap().len(), 10);
    assert_ne!(fs::read(bench.path("out/above/3.txt")).unwrap(), before);
    let status = bench.json(&["status", "--json"]);
    assert_eq!(
        (
            &status["outputs"],
            &status["verification"]["ledger_entries"]
        ),
        (&10.into(), &10.into())
    );
}
