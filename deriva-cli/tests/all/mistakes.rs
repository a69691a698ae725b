//! Mistakes in a pipeline file: all at once, each with its place.

use crate::common::Bench;

const WRONG: &str = r#"name = "x"
rot = "in"

[sources.files]
include = ["[a"]

[steps.one]
functoin = "text.upper/1"
each = "files"

[steps.two]
function = "text.uper/1"
each = "fils"

[steps.three]
function = "text.top/1"
params = { n = "ten", limit = 3 }
each = "files"

[steps.four]
function = "text.upper/1"

[steps.five]
function = "text.upper/7"
inputs = ["six"]

[steps.six]
function = "bytes.concat/1"
inputs = ["five"]
fan_in = 1
verify = "dua"

[steps.seven]
function = "text.upper/1"
each = "files"
verify = true

[steps.eight]
function = "text.upper/1"
each = "files"
verify = "quorum:2/4"

[outputs]
"../out" = "one"
"o" = "nothing-like-it"
"#;

#[test]
fn all_mistakes_are_told_with_line_and_column() {
    let bench = Bench::new();
    bench.file("p.toml", WRONG);
    let text = bench.fails(2, &["run", "p.toml"]);
    for (place, what) in [
        ("2:1", "unknown key `rot`"),
        ("5:12", "not a pattern"),
        ("7:8", "needs `function`"),
        ("8:1", "unknown key `functoin`"),
        ("12:12", "unknown function `text.uper`"),
        ("13:8", "no source or step `fils`"),
        ("17:16", "`n` must be int, found text"),
        ("17:23", "no param `limit`"),
        ("20:8", "needs `each` or `inputs`"),
        ("24:12", "no version `7`"),
        ("30:10", "`fan_in` must be a whole number of 2 or more"),
        (
            "31:10",
            "off, dual, sampled:RATE or quorum:AGREE/OF (found dua)",
        ),
        ("36:10", "`verify` must be text, found boolean"),
        ("41:10", "quorum AGREE/OF"),
    ] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("p.toml:{place}: ")));
        assert!(
            line.is_some_and(|line| line.contains(what)),
            "{place} {what}\n{text}"
        );
    }
    assert!(text.contains("circle: five reads six reads five"), "{text}");
    for hint in [
        "did you mean `root`?",
        "did you mean `function`?",
        "did you mean `text.upper`?",
        "did you mean `files`?",
    ] {
        assert!(text.contains(hint), "{hint}\n{text}");
    }
    assert!(
        text.contains("  13 | each = \"fils\"\n     |        ^^^^^^\n"),
        "{text}"
    );
    assert!(
        !bench.path(".deriva").exists(),
        "a wrong file makes no store"
    );
}

#[test]
fn syntax_errors_have_a_place() {
    let bench = Bench::new();
    bench.file("p.toml", "name = \n[steps\n");
    let text = bench.fails(2, &["run", "p.toml"]);
    assert!(
        text.contains("p.toml:1:") && text.contains("p.toml:2:"),
        "{text}"
    );
}

#[test]
fn wrong_outputs_are_told() {
    let bench = Bench::new();
    bench.file(
        "p.toml",
        "name = \"x\"\n[sources.f]\ninclude = [\"*.toml\"]\n[steps.all]\nfunction = \"bytes.concat/1\"\ninputs = [\"f\"]\n\
         [outputs]\n\"../a\" = \"all\"\n\"b/\" = \"all\"\n\"c\" = \"all\"\n\"c/d\" = \"all\"\n\"e\" = \"al\"\n",
    );
    let text = bench.fails(2, &["run", "p.toml"]);
    for (place, what) in [
        ("8:1", "without `..`"),
        ("9:1", "one file, not a folder"),
        ("11:1", "overwrite each other"),
        ("12:7", "did you mean `all`?"),
    ] {
        assert!(
            text.contains(&format!("p.toml:{place}: ")) && text.contains(what),
            "{place} {what}\n{text}"
        );
    }
}

#[test]
fn what_only_the_files_show_is_told_in_the_same_way() {
    let bench = Bench::new();
    bench.file("in/a.txt", "a");
    bench.file("in/b.txt", "b");
    bench.file(
        "p.toml",
        "name = \"x\"\nroot = \"in\"\n[sources.f]\ninclude = [\"*.txt\"]\n[sources.none]\ninclude = [\"*.rs\"]\n\
         [steps.one]\nfunction = \"text.upper/1\"\ninputs = [\"f\"]\n",
    );
    let text = bench.fails(2, &["run", "p.toml"]);
    assert!(text.contains("p.toml:6:11: no file of `none`"), "{text}");
    assert!(
        text.contains("p.toml:9:10: ") && text.contains("exactly 1"),
        "{text}"
    );
}

#[test]
fn mistakes_in_outputs_are_told_beside_those_in_steps() {
    let bench = Bench::new();
    bench.file(
        "p.toml",
        "name = \"x\"\n[sources.s]\ninclude = [\"*\"]\n[steps.a]\nfunction = \"text.uper/1\"\neach = \"s\"\n[outputs]\n\"../up\" = \"a\"\n\"b\" = \"zz\"\n",
    );
    let text = bench.fails(2, &["run", "p.toml"]);
    for at in ["5:", "8:", "9:"] {
        assert!(text.contains(at), "{at} in {text}");
    }
}

#[test]
fn what_is_no_text_is_no_pipeline() {
    let bench = Bench::new();
    bench.file("p.toml", [0xff, 0xfe, 0x00]);
    bench.fails(2, &["run", "p.toml"]);
    bench.fails(2, &["run", "."]);
}
