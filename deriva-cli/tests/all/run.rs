//! `deriva run`: reuse, edits, failures, outputs, dry runs.

use crate::common::{Bench, err};

pub(crate) const PIPELINE: &str = r#"
name = "demo"
root = "in"

[sources.files]
include = ["**/*.txt"]

[steps.counts]
function = "text.word_count/1"
params = { kind = "words" }
each = "files"

[steps.merged]
function = "text.merge_counts/1"
inputs = ["counts"]

[steps.upper]
function = "text.upper"
each = "files"

[outputs]
"counts.txt" = "merged"
"upper/" = "upper"
"#;

fn demo() -> Bench {
    let bench = Bench::new();
    bench.file("p.toml", PIPELINE);
    for name in ["a", "b", "sub/c"] {
        bench.file(&format!("in/{name}.txt"), format!("word {name}"));
    }
    bench
}

#[test]
fn the_second_run_reuses_everything_and_an_edit_runs_only_its_branch() {
    let bench = demo();
    let run = || bench.json(&["run", "p.toml", "--json"]);
    let first = run();
    assert_eq!(
        (first["nodes"].as_u64(), first["computed"].as_u64()),
        (Some(7), Some(7)),
        "{first}"
    );
    for key in [
        "reused",
        "cutoff",
        "healed",
        "failed",
        "violations",
        "bytes",
    ] {
        assert!(first[key].is_u64(), "{key}: {first}");
    }
    assert!(first["seconds"].is_f64() && first["outputs"]["counts.txt"].is_string());
    assert_eq!(bench.read("out/upper/sub/c.txt"), "WORD SUB/C");
    let digest = bench.line(&["state-digest"]);

    let second = run();
    assert_eq!(
        (second["computed"].as_u64(), second["reused"].as_u64()),
        (Some(0), Some(7))
    );
    assert_eq!(second["outputs"], first["outputs"]);
    assert_eq!(
        bench.line(&["state-digest"]),
        digest,
        "a run that reuses all changes nothing"
    );
    assert!(
        bench
            .ok(&["run", "p.toml"])
            .contains("everything was reused")
    );

    bench.file("in/b.txt", "word changed");
    let third = run();
    assert_eq!(
        (third["computed"].as_u64(), third["reused"].as_u64()),
        (Some(3), Some(4)),
        "{third}"
    );
    let steps: Vec<_> = third["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["computed"].as_u64().unwrap())
        .collect();
    assert_eq!(steps.iter().sum::<u64>(), 3);
    assert!(steps.iter().all(|computed| *computed == 1));
    assert_eq!(bench.read("out/upper/b.txt"), "WORD CHANGED");
}

#[test]
fn roots_keep_the_outputs_and_follow_the_files() {
    let bench = demo();
    bench.ok(&["run", "p.toml"]);
    let names = || {
        let roots = bench.json(&["root", "ls", "--json"]);
        roots
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(),
        [
            "counts.txt",
            "upper/a.txt",
            "upper/b.txt",
            "upper/sub/c.txt"
        ]
        .map(|n| format!("pipeline/demo/{n}"))
    );
    std::fs::remove_file(bench.path("in/a.txt")).unwrap();
    bench.ok(&["run", "p.toml"]);
    assert_eq!(names().len(), 3);
}

#[test]
fn a_dry_run_writes_nothing_and_tells_why() {
    let bench = demo();
    let dry = bench.json(&["run", "p.toml", "--explain", "--json"]);
    assert_eq!(
        (dry["would_compute"].as_u64(), dry["reused"].as_u64()),
        (Some(7), Some(0))
    );
    assert!(!bench.path(".deriva").exists() && !bench.path("out").exists());
    bench.ok(&["run", "p.toml"]);
    bench.file("in/a.txt", "word changed");
    let text = bench.ok(&["run", "p.toml", "--explain"]);
    assert!(
        text.contains("3 of 7 recipes would run") && text.contains("such as a.txt"),
        "{text}"
    );
    let after = bench.json(&["run", "p.toml", "--json"]);
    assert_eq!(after["computed"], 3, "the dry run was right");
}

#[test]
fn a_dry_run_tells_of_lost_bytes_that_a_run_would_need() {
    let bench = demo();
    let json = |args: &[&str]| {
        let store = "split(blobs=files:media, dag=redb:graph)";
        bench.json(&[&["--store", store, "--json"], args].concat())
    };
    // Of all steps: never computed, lost, reused.
    let foretold = || {
        let dry = json(&["run", "p.toml", "--explain"]);
        let sum = |key: &str| {
            let steps = dry["steps"].as_array().unwrap().iter();
            steps.map(|step| step[key].as_u64().unwrap()).sum::<u64>()
        };
        [sum("never_computed"), sum("lost"), sum("reused")]
    };
    let lose = |recipe: &str| {
        let shown = json(&["show", recipe]);
        let content = shown["output"]["addr"].as_str().unwrap();
        std::fs::remove_file(bench.path("media").join(&content[..2]).join(content)).unwrap();
    };
    json(&["run", "p.toml"]);
    assert_eq!(foretold(), [0, 0, 7]);
    let roots = json(&["root", "ls"]);
    let mut roots = roots.as_array().unwrap().iter();
    let merged = roots.find(|root| root["name"] == "pipeline/demo/counts.txt");
    let merged = merged.unwrap()["addr"].as_str().unwrap();

    let counts = json(&["show", merged])["inputs"][0].take();
    lose(counts.as_str().unwrap());
    assert_eq!(foretold(), [0, 0, 7], "what was made from them is there");
    lose(merged);
    assert_eq!(foretold(), [0, 2, 5]);
    let run = json(&["run", "p.toml"]);
    assert_eq!((&run["healed"], &run["reused"]), (&2.into(), &5.into()));
}

#[test]
fn input_and_output_can_be_given() {
    let bench = demo();
    bench.file("other/x.txt", "only one");
    let report = bench.json(&[
        "run", "p.toml", "--input", "other", "--output", "there", "--json", "--jobs", "1",
    ]);
    assert_eq!(
        (
            report["nodes"].as_u64(),
            report["sources"]["files"].as_u64()
        ),
        (Some(3), Some(1))
    );
    assert_eq!(bench.read("there/upper/x.txt"), "ONLY ONE");
    assert!(!bench.path("out").exists());
}

#[test]
fn the_drawing_shows_what_ran() {
    let bench = demo();
    bench.ok(&["run", "p.toml", "--graph", "g.svg"]);
    let svg = bench.read("g.svg");
    assert!(
        svg.contains("upper: sub/c.txt") && svg.contains("#d5e6fb"),
        "{svg}"
    );
    assert_eq!(svg.matches("<g>").count(), 10);
}

const FAILING: &str = r#"
name = "failing"
root = "in"
[sources.files]
include = ["*.txt"]
[steps.plain]
function = "compress.unzstd/1"
each = "files"
[steps.all]
function = "bytes.concat/1"
inputs = ["plain"]
[steps.upper]
function = "text.upper/1"
each = "files"
[outputs]
"all" = "all"
"upper" = "upper"
"#;

#[test]
fn a_failure_stops_the_run_and_keep_going_finishes_the_rest() {
    let bench = Bench::new();
    bench.file("p.toml", FAILING);
    bench.file("in/bad.txt", "bad");
    let text = bench.fails(1, &["run", "p.toml", "--json"]);
    assert!(
        text.contains("compress.unzstd/1") && text.contains("plain: bad.txt"),
        "{text}"
    );

    let output = bench.run(&["run", "p.toml", "--keep-going", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |key: &str| report[key].as_u64().unwrap();
    assert_eq!((count("failed"), count("skipped")), (1, 1), "{report}");
    assert_eq!(count("computed") + count("reused"), 1);
    assert_eq!(bench.read("out/upper/bad.txt"), "BAD");
    assert!(!bench.path("out/all").exists());
    assert!(err(&output).contains("plain: bad.txt"), "{}", err(&output));
}

#[test]
fn a_tree_of_merges_gives_the_same_and_changes_little() {
    let bench = Bench::new();
    let tree = PIPELINE.replace("inputs = [\"counts\"]", "inputs = [\"counts\"]\nfan_in = 4");
    bench.file("flat.toml", PIPELINE.replace("demo", "flat"));
    bench.file("tree.toml", tree);
    for i in 0..60 {
        bench.file(&format!("in/{i:02}.txt"), format!("word w{i}"));
    }
    let flat = bench.json(&["run", "flat.toml", "--json", "--output", "flat"]);
    let tree = bench.json(&["run", "tree.toml", "--json", "--output", "tree"]);
    assert_eq!(flat["outputs"]["counts.txt"], tree["outputs"]["counts.txt"]);
    assert!(tree["steps"][1]["nodes"].as_u64() > Some(10), "{tree}");
    bench.file("in/30.txt", "word changed");
    let again = bench.json(&["run", "tree.toml", "--json", "--output", "tree"]);
    assert!(again["computed"].as_u64() < Some(14), "{again}");
}

#[test]
fn the_store_and_the_outputs_are_not_sources() {
    let bench = Bench::new();
    bench.file(
        "p.toml",
        PIPELINE
            .replace("root = \"in\"", "root = \".\"")
            .replace("**/*.txt", "**/*"),
    );
    bench.file("a.txt", "a");
    let first = bench.json(&["run", "p.toml", "--json"]);
    let second = bench.json(&["run", "p.toml", "--json"]);
    assert_eq!(first["sources"]["files"], 2);
    assert_eq!(
        (second["nodes"].as_u64(), second["computed"].as_u64()),
        (first["nodes"].as_u64(), Some(0))
    );
}

#[test]
fn the_corpus_example_runs_on_real_files() {
    let bench = Bench::new();
    let manifest = env!("CARGO_MANIFEST_DIR");
    let file = format!("{manifest}/../examples/corpus/pipeline.toml");
    let source = format!("{manifest}/src");
    let report = bench.json(&["run", &file, "--input", &source, "--json"]);
    assert!(report["computed"].as_u64() > Some(80), "{report}");
    assert!(bench.read("out/top-identifiers.txt").contains("self"));
    assert_eq!(
        bench.json(&["run", &file, "--input", &source, "--json"])["computed"],
        0
    );
}
