//! What becomes of recipes whose runs differ: refused, shown, doubted, released.

use std::fs;

use serde_json::Value;

use super::{file_of, lied};
use crate::common::{Bench, err};

#[test]
fn what_was_found_is_refused_shown_and_released() {
    let (bench, made) = lied();
    let (upper, twice) = (made.upper.to_string(), made.twice.to_string());
    bench.tells(5, &["audit", "--all", "--keep-evidence"]);

    let error = bench.fails(5, &["get", &twice]);
    for expected in [
        "differ from run to run",
        &upper,
        "deriva ledger show",
        "path:",
    ] {
        assert!(error.contains(expected), "{expected:?} is not in:\n{error}");
    }
    bench.fails(5, &["get", &upper, "-o", "out"]);
    bench.ok(&["get", &made.joined.to_string(), "-o", "out"]);
    assert!(
        bench
            .ok(&["why", &upper])
            .contains("runs gave different outputs")
    );
    let why = bench.json(&["why", &upper, "--json"]);
    assert_eq!(
        (&why["standing"], &why["would_compute"]),
        (&"condemned".into(), &false.into())
    );
    let explained = bench.ok(&["explain", &twice]);
    assert!(
        explained.contains("its runs differed: refused")
            && explained.contains("refused: 1 recipe")
            && explained.contains("a request would fail before any work"),
        "{explained}"
    );
    assert!(bench.ok(&["graph", &upper]).contains("runs differed"));
    let status = bench.ok(&["status"]);
    assert!(status.contains("the ledger has 1 recipe"), "{status}");
    let status = bench.json(&["status", "--json"]);
    assert_eq!(status["verification"]["ledger_entries"], 1);
    assert_eq!(status["verification"]["checked"], 3);

    let listed = bench.ok(&["ledger", "ls"]);
    assert!(
        listed.contains(&upper) && listed.contains("audit") && listed.contains("refused"),
        "{listed}"
    );
    let shown = bench.ok(&["ledger", "show", &upper[..8]]);
    for expected in [
        "function  text.upper/1",
        "found     1 time, last by audit",
        "perturbed yes",
        "1 run gave ",
        "differ at byte 4, line 1",
        "first     from byte 0: 3020524564",
        "\"0 REd.1 RED.\"",
        "second    from byte 0: ",
        "evidence  ",
        "state     refused",
    ] {
        assert!(shown.contains(expected), "{expected:?} is not in:\n{shown}");
    }
    let date = shown
        .lines()
        .find_map(|line| line.strip_prefix("last      20"));
    assert!(date.is_some_and(|date| date.ends_with('Z')), "{shown}");
    let json = bench.json(&["ledger", "ls", "--json"]);
    assert_eq!((&json["open"], &json["released"]), (&1.into(), &0.into()));
    let entry = &json["entries"][0];
    assert_eq!(
        (&entry["recipe"], &entry["released"]),
        (&upper.clone().into(), &false.into())
    );
    assert_eq!(entry["violation"]["difference"]["offset"], 4);
    assert_eq!(entry["evidence"].as_array().unwrap().len(), 2);
    for blob in entry["evidence"].as_array().unwrap() {
        bench.ok(&["get", blob.as_str().unwrap(), "-o", "evidence"]);
    }

    assert_eq!(bench.ok(&["ledger", "release", &upper[..8]]), "");
    bench.fails(3, &["ledger", "release", &upper]);
    bench.fails(3, &["ledger", "release", &upper[..8]]);
    assert!(bench.ok(&["get", &twice]).starts_with("0 RED\n"));
    let json = bench.json(&["ledger", "show", &upper, "--json"]);
    assert_eq!((&json["open"], &json["released"]), (&0.into(), &1.into()));
    assert!(bench.ok(&["audit", "--all"]).contains("all agree"));
    let status = bench.ok(&["status"]);
    assert!(
        status.contains("6 computations checked, 1 violated") && !status.contains("ledger"),
        "{status}"
    );
}

#[test]
fn what_is_doubted_is_given_out_where_that_is_asked_for() {
    let (bench, made) = lied();
    let twice = made.twice.to_string();
    bench.tells(5, &["audit", "--all"]);
    let report = ["get", &twice, "--on-violation", "report"];
    let given = bench.run(&report);
    assert!(given.status.success(), "{}", err(&given));
    assert!(given.stdout.starts_with(b"0 RED\n"));
    assert!(
        err(&given).contains("these bytes are doubted"),
        "{}",
        err(&given)
    );
    let file = bench.run(&[&report[..], &["-o", "out", "--json"]].concat());
    let told: Value = serde_json::from_slice(&file.stdout).unwrap();
    assert_eq!(told["doubted"], true);
    assert_eq!(bench.read("out").as_bytes(), given.stdout);
    // Nothing of it was kept.
    bench.fails(5, &["get", &twice]);
}

#[test]
fn a_lost_output_that_comes_out_in_another_way_is_a_violation() {
    let (bench, made) = lied();
    let upper = made.upper.to_string();
    let shown = bench.json(&["show", &upper, "--json"]);
    fs::remove_file(file_of(&bench, shown["output"]["addr"].as_str().unwrap())).unwrap();
    let told = bench.fails(5, &["get", &upper]);
    for expected in ["found_by: healing", "deriva ledger show"] {
        assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
    }
    assert!(!told.contains("cause:"), "it is told twice:\n{told}");
    let entry = bench.json(&["ledger", "ls", "--json"])["entries"][0].take();
    assert_eq!(entry["violation"]["found_by"], "healing");
    assert_eq!(entry["recipe"], upper);
}

#[test]
fn a_get_that_is_checked_tells_of_a_lie() {
    let bench = Bench::new();
    let lie = bench.line(&[
        "--store",
        "sled:.deriva",
        "recipe",
        "bench.liar/1",
        "-p",
        "p:=1",
    ]);
    // Nobody notices.
    assert_eq!(bench.run(&["get", &lie]).stdout.len(), 8);
    bench.ok(&["invalidate", &lie]);
    for mode in ["dual", "sampled:1", "quorum:2/3", "quorum:2/2"] {
        let told = bench.fails(5, &["get", &lie, "--verify", mode, "--keep-evidence"]);
        assert!(told.contains("gave different outputs"), "{mode}: {told}");
        bench.ok(&["ledger", "release", &lie]);
    }
    let output = bench.run(&["get", &lie, "--verify", "dual", "--on-violation", "report"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 8));
    assert!(err(&output).contains("doubted"), "{}", err(&output));
    let shown = bench.ok(&["ledger", "show", &lie]);
    assert_eq!(shown.matches("recipe    ").count(), 5, "{shown}");
    assert!(
        shown.contains("3 runs") || shown.contains("1 run gave"),
        "{shown}"
    );
    bench.fails(2, &["get", &lie, "--json"]);
}
