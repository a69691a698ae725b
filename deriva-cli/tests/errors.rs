//! Wrong calls and broken stores: exit codes, and messages that say what to do.

mod common;

use common::{Bench, err};

#[test]
fn usage_errors_exit_with_2() {
    let bench = Bench::new();
    bench.fails(2, &["frobnicate"]);
    bench.fails(2, &["get", "not-hex"]);
    bench.fails(2, &["recipe", "no-version"]);
    bench.fails(2, &["recipe", "text.upper/1", "--param", "n:=NaN"]);
    bench.fails(2, &["run", "p.toml", "--jobs", "0"]);
    assert!(
        !bench.path(".deriva").exists(),
        "a wrong call makes no store"
    );
}

#[test]
fn what_is_not_there_exits_with_3() {
    let bench = Bench::new();
    let text = bench.fails(3, &["get", "abcdef"]);
    assert!(
        text.starts_with("error: ") && text.contains("abcdef"),
        "{text}"
    );
    bench.fails(3, &["show", &"0".repeat(64)]);
    bench.fails(3, &["run", "nope.toml"]);
}

#[test]
fn an_ambiguous_prefix_lists_the_candidates() {
    let bench = Bench::new();
    for i in 0..40 {
        bench.file(&format!("d/{i}"), i.to_string());
    }
    let out = bench.ok(&["put", "d"]);
    let digit = (0..16)
        .map(|d| format!("{d:x}"))
        .find(|d| {
            out.lines()
                .filter(|line| line.starts_with(d.as_str()))
                .count()
                > 1
        })
        .unwrap();
    let text = bench.fails(2, &["get", &digit]);
    assert!(
        text.contains("error:") && text.matches(&format!(" {digit}")).count() > 1,
        "{text}"
    );
}

#[test]
fn a_wrong_recipe_is_refused_when_it_is_made() {
    let bench = Bench::new();
    bench.file("a", "x");
    bench.ok(&["put", "a"]);
    let zeros = "0".repeat(64);
    let text = bench.fails(2, &["recipe", "text.upper/1", "-i", &zeros, "-i", &zeros]);
    assert!(text.contains("expected: exactly 1"), "{text}");
    let text = bench.fails(2, &["recipe", "text.top/1", "-i", &zeros, "-p", "n=ten"]);
    assert!(text.contains("param: n"), "{text}");
}

#[test]
fn a_failure_deep_in_the_graph_tells_the_path() {
    let bench = Bench::new();
    bench.file("a", "not zstd");
    bench.ok(&["put", "a"]);
    let a = common::addr(&bench.ok(&["put", "a"]));
    let inner = bench.line(&["recipe", "compress.unzstd/1", "-i", &a]);
    let outer = bench.line(&["recipe", "text.upper/1", "-i", &inner]);
    let text = bench.fails(1, &["get", &outer]);
    let upper = text
        .find("text.upper/1")
        .unwrap_or_else(|| panic!("{text}"));
    assert!(text[upper..].contains("compress.unzstd/1"), "{text}");
    assert!(
        !text.contains("Error {") && !text.contains("Some("),
        "{text}"
    );
}

#[test]
fn missing_inputs_are_all_named_before_any_work() {
    let bench = Bench::new();
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    let recipe = bench.line(&["recipe", "bytes.concat/1", "-i", &one, "-i", &two]);
    let text = bench.fails(3, &["get", &recipe]);
    assert!(
        text.contains(&one[..10]) && text.contains(&two[..10]),
        "{text}"
    );
    let explained = bench.ok(&["explain", &recipe]);
    assert!(
        explained.contains("would fail before any work"),
        "{explained}"
    );
}

#[test]
fn an_unknown_scheme_lists_the_known_ones() {
    let bench = Bench::new();
    let text = bench.fails(2, &["--store", "sleed:x", "status"]);
    assert!(text.contains("sled") && text.contains("memory"), "{text}");
    bench.fails(2, &["--store", "sled:x?cash=1", "status"]);
    bench.fails(2, &["--store", "x", "status"]);
}

#[test]
fn a_store_that_cannot_be_made_names_its_path() {
    let bench = Bench::new();
    // Root may write into any folder, so a file stands in the way instead.
    bench.file("blocked", "");
    let output = bench.run(&["--store", "sled:blocked/store", "status"]);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(err(&output).contains("blocked"), "{}", err(&output));
}

#[test]
fn a_failure_to_write_an_output_names_the_file() {
    let bench = Bench::new();
    bench.file("a", "x");
    bench.ok(&["put", "a"]);
    bench.file("blocked", "");
    let a = common::addr(&bench.ok(&["put", "a"]));
    let output = bench.run(&["get", &a, "-o", "blocked/out"]);
    assert!(!output.status.success());
    assert!(err(&output).contains("blocked"), "{}", err(&output));
}

#[test]
fn a_store_of_a_newer_format_is_left_alone() {
    let bench = Bench::new();
    bench.ok(&["status"]);
    let rows = sled::Config::new()
        .path(bench.path(".deriva/sled"))
        .segment_size(4 << 20)
        .open()
        .unwrap();
    rows.insert("mformat", 999u32.to_le_bytes().as_slice())
        .unwrap();
    rows.flush().unwrap();
    drop(rows);
    let text = bench.fails(2, &["status"]);
    assert!(
        text.contains("newer deriva") && text.contains("format: 999"),
        "{text}"
    );
}
