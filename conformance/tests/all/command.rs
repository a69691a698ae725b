//! The command, called as people and CI call it.

use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

/// The broken store of these tests, and the case that notices.
const MUTANT: &str = "mutant:never_stores_the_empty_blob";
const CASE: &str = "the_empty_blob_is_a_blob";

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    command.args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Calls `check` for a few cases; what it printed, and its exit code.
fn check(stores: &str, report: &str) -> (String, Option<i32>) {
    let args = ["check", "--stores", stores, "--report", report];
    let cases = ["--case", CASE, "--case", "insert_is_idempotent"];
    let output = run(&[args.as_slice(), &cases].concat());
    assert_eq!(text(&output.stderr), "");
    (text(&output.stdout).to_owned(), output.status.code())
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn json_is_a_line_for_each_case_and_store() {
    let (text, code) = check("memory,files", "json");
    assert_eq!(code, Some(0));
    let lines = lines(&text);
    let stores: Vec<_> = lines.iter().map(|line| &line["store"]).collect();
    assert_eq!(stores, ["memory", "memory", "files", "files"]);
    let outcomes: Vec<_> = lines.iter().map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["held", "held", "held", "unsupported"]);
    for line in &lines {
        let keys: Vec<&str> = line
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let expected = [
            "case", "detail", "layers", "level", "outcome", "promise", "seconds", "store",
            "subject",
        ];
        assert_eq!(keys, expected);
        assert!(line["seconds"].as_f64().unwrap() > 0.0 && line["level"] == "core");
    }
}

#[test]
fn a_failure_is_told_in_every_format_and_by_the_exit_code() {
    for report in ["table", "json", "junit", "html"] {
        let (text, code) = check(MUTANT, report);
        assert_eq!(code, Some(1), "{report}");
        assert!(text.contains(CASE) && text.contains("fail"), "{text}");
    }
    let (text, _) = check(MUTANT, "json");
    let failed = lines(&text)
        .into_iter()
        .find(|line| line["outcome"] == "failed")
        .unwrap();
    assert!(failed["case"] == CASE && !failed["detail"].as_str().unwrap().is_empty());
}

#[test]
fn junit_reads_back() {
    let (text, _) = check(&format!("files,{MUTANT}"), "junit");
    let report = quick_junit::Report::deserialize_from_str(&text).unwrap();
    assert_eq!((report.tests, report.failures), (4, 1));
    let names: Vec<&str> = report
        .test_suites
        .iter()
        .map(|suite| suite.name.as_str())
        .collect();
    assert_eq!(names, ["files", MUTANT]);
}

#[test]
fn the_page_needs_nothing_beside_itself() {
    let (page, _) = check(&format!("files,{MUTANT}"), "html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for outside in [
        "src=", "<link", "<script", "@import", "url(", "http:", "https:",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Text of stores and cases is no markup.
    let (page, code) = check("memory,files", "html");
    assert_eq!(code, Some(0));
    assert!(page.contains("Every promise is kept"));
}

#[test]
fn the_table_ends_with_the_verdict() {
    let (text, _) = check("memory,files", "table");
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with("3 held, 1 unsupported, 0 failed: 2 cases on 2 stores"),
        "{last}"
    );
    assert!(!text.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn layers_are_columns_of_their_own() {
    let args = "check --stores memory --layers all --report json --case insert_is_idempotent";
    let output = run(&args.split(' ').collect::<Vec<_>>());
    let lines = lines(text(&output.stdout));
    let layers: Vec<_> = lines
        .iter()
        .map(|line| line["layers"].as_str().unwrap())
        .collect();
    assert_eq!(
        layers,
        ["none", "retry", "timeout", "limit", "tiered", "together"]
    );
}

#[test]
fn durability_is_proved_and_told() {
    let args = "check --stores files --level durability --report json";
    let output = run(&args.split(' ').collect::<Vec<_>>());
    let lines = lines(text(&output.stdout));
    let proof = lines
        .iter()
        .find(|line| line["case"] == conformance::check::PROOF)
        .unwrap();
    assert_eq!(
        (&proof["outcome"], &proof["level"]),
        (&"held".into(), &"durability".into())
    );
    assert_eq!(proof["declared"], "power-loss");
    let proved = proof["proved"].as_str().unwrap();
    assert!(["process-crash", "power-loss"].contains(&proved), "{proof}");
}

#[test]
fn output_goes_to_a_file_and_no_folder_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    let args = [
        "check", "--stores", "sled", "--case", CASE, "--report", "json", "--output",
    ];
    command.env("TMPDIR", folder.path()).args(args).arg(&file);
    command.assert().success().stdout("");
    assert_eq!(lines(&std::fs::read_to_string(&file).unwrap()).len(), 1);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "the report alone"
    );
}

#[test]
fn wrong_calls_are_usage_and_say_what_is_known() {
    for (args, told) in [
        ("check --stores slde", "did you mean `sled`"),
        ("check --stores memory,redis", "files, memory"),
        ("check --stores memory:/path", "TMPDIR"),
        ("check --stores memory+files+memory", "two halves"),
        ("check --stores mutant:nobody", "`mutants` lists"),
        ("check --stores sled?cahce=1MiB", "blob_threshold"),
        ("check --stores sled?cache=lots", "cache"),
        ("check --level cor", "core"),
        ("check --layers retri", "retry"),
        ("check --report xml", "junit"),
        (
            "check --case absent_is_nome",
            "did you mean `absent_is_none`",
        ),
        ("check --case absent_is_nome", "the_empty_blob_is_a_blob"),
        (
            "check --level faults --case absent_is_none",
            "leave out --level",
        ),
        (
            "check --stores memory --case absent_is_none -o /nowhere/x",
            "/nowhere/x",
        ),
        ("mutants --report xml", "json"),
        ("chekc", "check"),
        ("", "check"),
    ] {
        let output = run(&args.split_whitespace().collect::<Vec<_>>());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args}: {said}");
        assert!(said.contains(told), "{args}: {said}");
        assert_eq!(text(&output.stdout), "", "{args}");
    }
}

#[cfg(not(feature = "rocksdb"))]
#[test]
fn a_store_that_was_not_compiled_in_names_its_feature() {
    let output = run(&["check", "--stores", "rocksdb"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("feature `rocksdb`"));
}

#[test]
fn the_list_has_every_case() {
    let output = run(&["list", "--json"]);
    let lines = lines(text(&output.stdout));
    let selected = deriva_testkit::Suite::new();
    let names: Vec<&str> = selected.selected().map(|case| case.name).collect();
    let listed: Vec<_> = lines
        .iter()
        .map(|line| line["case"].as_str().unwrap())
        .collect();
    assert_eq!(listed, names);
    let listed = run(&["list"]);
    assert!(names.iter().all(|name| text(&listed.stdout).contains(name)));
}

/// Rewrite the page with `UPDATE_DOCS=1`.
#[test]
fn the_reference_page_of_promises_is_current() {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/promises.md");
    const OPENING: &str = "<!-- generated -->\n";
    let page = std::fs::read_to_string(FILE).unwrap();
    let (head, _) = page.split_once(OPENING).unwrap();
    let current = format!("{head}{OPENING}{}", conformance::reference::page());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(FILE, &current).unwrap();
    } else {
        assert!(
            page == current,
            "UPDATE_DOCS=1 writes docs/reference/promises.md anew"
        );
    }
}
