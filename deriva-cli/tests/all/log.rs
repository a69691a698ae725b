//! `--log` and `RUST_LOG`: what is told on stderr, and nothing else anywhere.

use serde_json::Value;

use crate::common::{Bench, addr, err};

/// A recipe that computes, its address and what it gives.
fn bench() -> (Bench, String) {
    let bench = Bench::new();
    bench.file("word.txt", "word");
    let leaf = addr(&bench.line(&["put", "word.txt"]));
    let loud = bench.line(&["recipe", "text.upper/1", "--input", &leaf]);
    (bench, loud)
}

/// Runs with `RUST_LOG`, expects success and this output, and answers with stderr.
fn logged(bench: &Bench, variable: &str, args: &[&str]) -> String {
    let output = bench
        .command(args)
        .env("RUST_LOG", variable)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(output.stdout, b"WORD", "stdout has the result alone");
    err(&output)
}

#[test]
fn a_request_is_one_line_unless_more_is_asked_for() {
    let (bench, loud) = bench();
    assert_eq!(logged(&bench, "", &["get", &loud]), "");
    let told = logged(&bench, "", &["get", &loud, "--log", "human"]);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(" INFO materialize{"), "{told}");
    assert!(
        told.contains(&loud) && told.contains("materialized seconds="),
        "{told}"
    );
    assert!(
        !told.contains('\u{1b}'),
        "colours are for terminals: {told}"
    );
    // The variable alone logs; what the call says goes before it.
    for (variable, log, lines) in [
        ("deriva=info", None, true),
        ("warn", None, false),
        ("off", Some("info"), true),
        ("info", Some("off"), false),
        ("info", Some("human:warn"), false),
        ("trace", Some("human"), true),
    ] {
        let mut args = vec!["get", &loud];
        args.extend(log.into_iter().flat_map(|log| ["--log", log]));
        let told = logged(&bench, variable, &args);
        assert_eq!(!told.is_empty(), lines, "{variable} {log:?}: {told}");
    }
    let told = logged(&bench, "", &["get", &loud, "--log", "deriva=trace"]);
    for span in [
        "stage{nth=1",
        "plan{compute=0",
        "store.dag_get_many{store=\"sled\"",
        "close time.busy=",
    ] {
        assert!(told.contains(span), "{span} in {told}");
    }
}

#[test]
fn programs_read_a_line_of_json_each() {
    let (bench, loud) = bench();
    let told = logged(&bench, "", &["get", &loud, "--log", "json:debug"]);
    let lines: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let request = lines
        .iter()
        .find(|line| line["message"] == "materialized")
        .unwrap();
    assert_eq!(
        (&request["level"], &request["target"]),
        (&"INFO".into(), &"deriva".into())
    );
    assert!(request["seconds"].is_f64() && request["timestamp"].is_string());
    let span = &request["spans"][0];
    assert_eq!(
        (&span["name"], &span["addr"], &span["computed"]),
        (&"materialize".into(), &loud.as_str().into(), &1.into())
    );
}

#[test]
fn what_fails_is_told_as_ever_and_once_in_the_log() {
    let (bench, loud) = bench();
    let bad = bench.line(&["recipe", "compress.unzstd/1", "--input", &loud]);
    let quiet = bench.fails(1, &["get", &bad]);
    let told = bench.fails(1, &["get", &bad, "--log", "json"]);
    let (log, rest): (Vec<&str>, Vec<&str>) = told.lines().partition(|line| line.starts_with('{'));
    assert_eq!(rest, quiet.lines().collect::<Vec<_>>());
    assert_eq!(log.len(), 1, "{told}");
    let line: Value = serde_json::from_str(log[0]).unwrap();
    assert_eq!(line["message"], "not materialized");
    assert_eq!(line["spans"][0]["kind"], "invalid");
}

#[test]
fn a_filter_that_is_none_is_a_mistake_of_the_call_and_a_note_of_the_variable() {
    let (bench, loud) = bench();
    for (wrong, near) in [
        ("deubg", "did you mean `debug`?"),
        ("yaml:info", "the levels are off"),
        ("deriva=", "the levels are off"),
    ] {
        let told = bench.fails(2, &["get", &loud, "--log", wrong]);
        assert!(told.contains("--log") && told.contains(near), "{told}");
    }
    let told = logged(&bench, "deriva=loud", &["get", &loud]);
    assert!(told.starts_with("note: RUST_LOG is no filter"), "{told}");
}
