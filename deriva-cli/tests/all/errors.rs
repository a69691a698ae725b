//! Wrong calls and broken stores: exit codes, and messages that say what to do.

use crate::common::{self, Bench, err};

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
    bench.file("a", "x");
    bench.ok(&["put", "a"]);
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
    bench.file("a", "x");
    bench.ok(&["put", "a"]);
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

/// What a call is to end with: done, or refused as a mistake of usage.
const DONE: i32 = 0;
const USAGE: i32 = 2;

/// Runs the command, and fails where it does not end.
fn ends(bench: &Bench, args: &[&str], code: i32) {
    let command = bench.command(args);
    let mut command = assert_cmd::Command::from_std(command);
    let output = command
        .timeout(std::time::Duration::from_secs(240))
        .output();
    let output = output.expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
}

#[test]
fn numbers_work_or_are_refused_at_their_ends_and_beyond() {
    let bench = Bench::new();
    for n in 0..12 {
        bench.file(&format!("in/{n}"), format!("File {n}\n").repeat(500));
    }
    let pipeline = |fan_in: &str| {
        format!(
            "name = \"x\"\nroot = \"in\"\n[sources.files]\ninclude = [\"*\"]\n\
             [steps.zipped]\nfunction = \"compress.gzip/1\"\neach = \"files\"\n\
             [steps.all]\nfunction = \"bytes.concat/1\"\ninputs = [\"zipped\", \"files\"]\n{fan_in}\n\
             [outputs]\n\"all\" = \"all\"\n"
        )
    };
    bench.file("p.toml", pipeline(""));
    for memory in ["0", "1", "7", "8", "16EiB", "99999999EiB"] {
        ends(&bench, &["run", "p.toml", "--memory", memory], DONE);
        ends(
            &bench,
            &["invalidate", "--function", "compress.gzip/1", "--cascade"],
            DONE,
        );
    }
    for memory in ["", "x", "-1", "0x7", "nan", "inf"] {
        ends(&bench, &["run", "p.toml", "--memory", memory], USAGE);
    }
    for (jobs, code) in [
        ("-1", USAGE),
        ("0", USAGE),
        ("1", DONE),
        ("1024", DONE),
        ("1025", USAGE),
        ("65536", USAGE),
        ("18446744073709551616", USAGE),
    ] {
        ends(&bench, &["run", "p.toml", "--jobs", jobs], code);
    }
    for (fan_in, code) in [
        ("-1", USAGE),
        ("0", USAGE),
        ("1", USAGE),
        ("2", DONE),
        ("4294967296", DONE),
        ("8589934592", DONE),
        ("9223372036854775807", DONE),
        ("18446744073709551615", DONE),
        ("18446744073709551616", USAGE),
    ] {
        bench.file("fan.toml", pipeline(&format!("fan_in = {fan_in}")));
        ends(&bench, &["run", "fan.toml"], code);
    }
    let roots = bench.ok(&["root", "ls"]);
    let top = roots
        .split_whitespace()
        .find(|word| word.len() == 64)
        .unwrap();
    let most = usize::MAX.to_string();
    for limit in ["0", "1", &most] {
        ends(&bench, &["graph", top, "--limit", limit], DONE);
        ends(
            &bench,
            &["graph", top, "--limit", limit, "--svg", "g.svg"],
            DONE,
        );
        ends(&bench, &["diff", top, &top[..20], "--limit", limit], DONE);
    }
    ends(&bench, &["explain", top, "--jobs", "0"], USAGE);
    ends(&bench, &["explain", top, "--jobs", "1024"], DONE);
    ends(&bench, &["graph", top, "--limit", "-1"], USAGE);
    ends(
        &bench,
        &["diff", top, top, "--limit", "18446744073709551616"],
        USAGE,
    );
    for (rate, code) in [
        ("0", USAGE),
        ("16EiB", DONE),
        ("99999999EiB", DONE),
        ("x", USAGE),
    ] {
        ends(&bench, &["scrub", "--rate", rate], code);
        ends(&bench, &["scrub", "--rate", "16EiB", "--limit", rate], code);
    }
    for most in ["0", "1", "16EiB"] {
        ends(&bench, &["collect", "--derived-at-most", most], DONE);
    }
    ends(&bench, &["collect", "--derived-at-most", "-1"], USAGE);
}
