//! The commands of the page on choosing a store, as they stand there.

use crate::common::{Bench, err};

const PIPELINE: &str = r#"
name = "main"

[sources.files]
include = ["in/*.txt"]

[steps.packed]
function = "compress.zstd/1"
each = "files"

[outputs]
"packed" = "packed"
"#;

/// The commands under a heading.
fn commands(heading: &str) -> String {
    let page = include_str!("../../../docs/guide/choose-a-store.md");
    let (_, section) = page.split_once(&format!("### {heading}\n")).unwrap();
    let section = section.split("\n### ").next().unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// Runs them in a folder with a pipeline, a source and a film; answers with what they print.
fn follow(bench: &Bench, heading: &str) -> String {
    bench.file("pipeline.toml", PIPELINE);
    bench.file("incoming/film.mp4", vec![7; 3 << 20]);
    let text = commands(heading).replace("/srv/", "srv/");
    let output = bench.shell(&text);
    assert!(output.status.success(), "{text}\n{}", err(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_cache_for_ci_survives_its_job_and_keeps_no_old_sources() {
    let bench = Bench::new();
    bench.file("in/a.txt", "first ".repeat(20_000));
    let heading = "A cache for CI that must survive";
    let first = follow(&bench, heading);
    assert!(first.contains("computed 1, reused 0"), "{first}");
    let again = follow(&bench, heading);
    assert!(again.contains("everything was reused"), "{again}");
    bench.file("in/a.txt", "second ".repeat(20_000));
    follow(&bench, heading);
    let store = "redb:cache/deriva?durability=buffered";
    let status = bench.json(&["--store", store, "status", "--json"]);
    assert_eq!(
        (&status["recipes"], &status["blobs"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn a_small_device_runs_a_pipeline() {
    let bench = Bench::new();
    bench.file("in/a.txt", "text ".repeat(20_000));
    let told = follow(&bench, "A small device");
    assert!(told.contains("computed 1, reused 0"), "{told}");
}

#[test]
fn media_are_put_named_cut_and_scrubbed() {
    let bench = Bench::new();
    bench.file("in/a.txt", "text");
    let told = follow(&bench, "Tens of terabytes of media");
    assert!(told.contains("nothing is damaged"), "{told}");
    assert_eq!(
        std::fs::read(bench.path("head.bin")).unwrap(),
        vec![7; 1 << 20]
    );
    let store = "redb:srv/media/store?cache=1GiB";
    let roots = bench.ok(&["--store", store, "root", "ls"]);
    assert!(roots.contains("films/film.mp4"), "{roots}");
}
