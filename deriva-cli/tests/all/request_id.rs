//! `--request-id`: what the caller calls a request, in the log and in its errors.

use crate::common::{Bench, addr, err};

/// A recipe that computes, and one that fails.
fn bench() -> (Bench, String, String) {
    let bench = Bench::new();
    bench.file("word.txt", "word");
    let leaf = addr(&bench.line(&["put", "word.txt"]));
    let loud = bench.line(&["recipe", "text.upper/1", "--input", &leaf]);
    let wrong = bench.line(&["recipe", "compress.unzstd/1", "--input", &leaf]);
    (bench, loud, wrong)
}

const PIPELINE: &str = r#"
name = "words"

[sources.words]
include = ["word.txt"]

[steps.made]
function = "text.upper/1"
each = "words"
"#;

#[test]
fn a_request_is_found_in_the_log_by_what_its_caller_calls_it() {
    let (bench, loud, _) = bench();
    bench.file("p.toml", PIPELINE);
    for args in [
        &["get", &loud][..],
        // What is there already is a request, too, where it has a name.
        &["get", &loud],
        &["run", "p.toml"],
    ] {
        let args = [args, &["--request-id", "order-17", "--log", "info"]].concat();
        let told = err(&bench.run(&args));
        let line = told.lines().find(|line| line.contains("materialized"));
        let line = line.unwrap_or_else(|| panic!("{args:?}: {told}"));
        assert!(line.contains("request=\"order-17\""), "{line}");
    }
    assert_eq!(
        bench.ok(&["get", &loud, "--request-id", "order-17"]),
        "WORD"
    );
}

#[test]
fn an_error_says_whose_it_is() {
    let (bench, _, wrong) = bench();
    let told = bench.fails(1, &["get", &wrong, "--request-id", "order-18"]);
    assert!(told.contains("\n  request: order-18\n"), "{told}");
    bench.file("p.toml", PIPELINE.replace("text.upper", "compress.unzstd"));
    let told = bench.fails(1, &["run", "p.toml", "--request-id", "order-19"]);
    assert!(told.contains("\n  request: order-19\n"), "{told}");
}

#[test]
fn what_is_no_request_id_is_a_mistake_of_the_call() {
    let (bench, loud, _) = bench();
    let long = "x".repeat(129);
    for wrong in ["", "two words", "line\nend", "\u{e4}", &long] {
        for verb in [&["get", &loud][..], &["run", "p.toml"]] {
            let told = bench.fails(2, &[verb, &["--request-id", wrong]].concat());
            assert!(told.contains("--request-id"), "{told}");
            assert!(told.contains("1 to 128 visible characters"), "{told}");
        }
    }
    bench.ok(&["get", &loud, "--request-id", &long[1..]]);
}
