//! What a run must not write over, what it must not take in, and what it removes.

use crate::common::{Bench, err};

/// A pipeline whose results lie where its sources are looked for.
fn up(root: &str, output: &str, path: &str) -> String {
    format!(
        "name = \"up\"\nroot = \"{root}\"\noutput = \"{output}\"\n\n\
         [sources.f]\ninclude = [\"**\"]\n\n\
         [steps.up]\nfunction = \"text.upper/1\"\neach = \"f\"\n\n\
         [outputs]\n\"{path}\" = \"up\"\n"
    )
}

#[test]
fn a_run_never_overwrites_what_it_reads() {
    let bench = Bench::new();
    bench.file("in/a.txt", "a");
    bench.file("p.toml", up("in", ".", "in"));
    let text = bench.fails(2, &["run", "p.toml"]);
    assert!(
        text.contains("would overwrite") && text.contains("a.txt"),
        "{text}"
    );
    // By way of `..`, and of a link.
    bench.fails(2, &["run", "p.toml", "--output", "in/../in/.."]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(bench.path("in"), bench.path("link")).unwrap();
        bench.file("l.toml", up("in", ".", "link"));
        bench.fails(2, &["run", "l.toml"]);
    }
    // The pipeline file and the store are no place for results either.
    bench.file("s.toml", up("in", ".deriva", "x"));
    bench.fails(2, &["run", "s.toml"]);
    let one = "name = \"q\"\nroot = \"in\"\noutput = \".\"\n[sources.f]\ninclude = [\"**\"]\n\
               [steps.c]\nfunction = \"bytes.concat/1\"\ninputs = [\"f\"]\n[outputs]\n\"q.toml\" = \"c\"\n";
    bench.file("q.toml", one);
    bench.fails(2, &["run", "q.toml"]);
    assert_eq!(bench.read("q.toml"), one);
    for file in ["in/a.txt", "q.toml"] {
        for option in ["--graph", "--timeline"] {
            bench.fails(2, &["run", "q.toml", "--output", "out", option, file]);
        }
    }
    assert_eq!(bench.read("in/a.txt"), "a");
}

#[test]
fn a_run_does_not_take_its_own_products_in() {
    let bench = Bench::new();
    bench.file("d/a.txt", "a");
    bench.file("p.toml", up("d", "d", "up"));
    let files = |args: &[&str]| {
        let mut all = vec!["run", "p.toml", "--json"];
        all.extend(args);
        bench.json(&all)["sources"]["files"].as_u64().unwrap()
    };
    assert_eq!(files(&[]), 1);
    assert_eq!(files(&[]), 1, "the output folder is the root");
    assert_eq!(files(&["--output", "d/other"]), 1);
    assert_eq!(files(&["--output", "elsewhere"]), 1);
    assert_eq!(files(&["--store", "sled:d/sub/store"]), 1);
    assert_eq!(files(&[]), 1, "stores and outputs of other runs");
    std::fs::rename(bench.path("d/other"), bench.path("d/moved")).unwrap();
    assert_eq!(files(&[]), 1, "a list goes with its folder");
    // The list may lie above the root.
    bench.file("p.toml", up("d", ".", "d/more"));
    assert_eq!(files(&[]), 1);
    assert_eq!(files(&["--output", "elsewhere"]), 1);
    bench.file("d/b.txt", "b");
    assert_eq!(files(&[]), 2);
}

#[test]
fn one_pipeline_goes_on_with_the_results_of_another_where_that_is_said() {
    let bench = Bench::new();
    bench.file("d/a.txt", "a");
    bench.file("p.toml", up("d", "out", "up"));
    bench.ok(&["run", "p.toml"]);
    let next = |root| up(root, "next", "up").replace("name = \"up\"", "name = \"next\"");
    bench.file("n.toml", next("out"));
    bench.ok(&["run", "n.toml"]);
    assert_eq!(bench.read("next/up/up/a.txt"), "A");
    bench.file("n.toml", next(".").replace("\"**\"", "\"out/**\""));
    let text = bench.fails(2, &["run", "n.toml"]);
    assert!(text.contains("1 file left out"), "{text}");
}

#[test]
fn put_leaves_stores_out() {
    let bench = Bench::new();
    bench.file("a.txt", "a");
    for _ in 0..3 {
        assert_eq!(bench.ok(&["put", "."]).lines().count(), 1);
    }
    let text = bench.fails(1, &["put", ".deriva"]);
    assert!(text.contains("this folder is a store"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_refused_or_escaped() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    std::fs::create_dir(bench.path("in")).unwrap();
    for name in [b"a\xff.txt", b"a\xfe.txt"] {
        let path = bench.path("in").join(OsStr::from_bytes(name));
        std::fs::write(path, name).unwrap();
    }
    bench.file("p.toml", up("in", "out", "up"));
    let text = bench.fails(2, &["run", "p.toml"]);
    assert!(
        text.contains(r"a\xfe.txt") && text.contains(r"a\xff.txt"),
        "{text}"
    );
    let put = bench.ok(&["put", "in"]);
    let lines: Vec<_> = put.lines().collect();
    assert!(
        lines[0].starts_with('\\') && lines[0].ends_with(r"in/a\xfe.txt"),
        "{put}"
    );
    assert!(lines[1].ends_with(r"in/a\xff.txt"), "{put}");
}

#[test]
fn a_file_becomes_a_folder_and_a_folder_a_file() {
    let bench = Bench::new();
    bench.file("in/x", "was a file");
    bench.file("in/y/z", "was a folder");
    bench.file("p.toml", up("in", "out", "up"));
    bench.ok(&["run", "p.toml"]);
    std::fs::remove_file(bench.path("in/x")).unwrap();
    std::fs::remove_dir_all(bench.path("in/y")).unwrap();
    bench.file("in/x/z", "is a folder");
    bench.file("in/y", "is a file");
    let dry = bench.json(&["run", "p.toml", "--dry-run", "--json"]);
    assert_eq!(dry["would_remove"], serde_json::json!(["up/x", "up/y/z"]));
    assert_eq!(bench.read("out/up/x"), "WAS A FILE");
    let run = bench.json(&["run", "p.toml", "--json"]);
    assert_eq!(run["removed"], dry["would_remove"]);
    assert_eq!(bench.read("out/up/x/z"), "IS A FOLDER");
    assert_eq!(bench.read("out/up/y"), "IS A FILE");
}

#[test]
fn an_edited_output_stays_and_what_is_in_the_way_is_told() {
    let bench = Bench::new();
    bench.file("in/x", "x");
    bench.file("in/old", "old");
    bench.file("p.toml", up("in", "out", "up"));
    bench.ok(&["run", "p.toml"]);
    std::fs::remove_file(bench.path("in/x")).unwrap();
    std::fs::remove_file(bench.path("in/old")).unwrap();
    bench.file("in/x/z", "z");
    bench.file("in/other", "other");
    bench.file("out/up/x", "mine");
    bench.file("out/up/old", "mine too");
    let text = bench.fails(1, &["run", "p.toml"]);
    assert!(
        text.contains("a file is where a folder") && text.contains("next:"),
        "{text}"
    );
    // What was about to be written is known, however the run ended.
    let list = bench.read("out/.deriva-outputs/up.json");
    assert!(
        list.contains("up/other") && !list.contains("up/old"),
        "{list}"
    );
    let output = bench.run(&["run", "p.toml", "--keep-going"]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert_eq!(
        bench.read("out/up/other"),
        "OTHER",
        "what can be written is"
    );
    assert_eq!(bench.read("out/up/x"), "mine");
    assert_eq!(bench.read("out/up/old"), "mine too");
    std::fs::remove_file(bench.path("out/up/x")).unwrap();
    bench.ok(&["run", "p.toml"]);
    assert_eq!(bench.read("out/up/x/z"), "Z");
}

#[test]
fn excluded_folders_are_not_entered() {
    let bench = Bench::new();
    bench.file("in/a.txt", "a");
    // Whoever enters this folder meets what cannot be read; modes would not stop root.
    bench.file("in/secret/deep/.deriva-outputs/x.json", "no list");
    let with = |pattern: &str| {
        let exclude = format!("include = [\"**\"]\nexclude = [\"{pattern}\"]");
        up("in", "out", "up").replace("include = [\"**\"]", &exclude)
    };
    for pattern in ["secret/**", "**/deep/**", "secret/deep/**/*"] {
        bench.file("p.toml", with(pattern));
        bench.ok(&["run", "p.toml"]);
    }
    bench.file("p.toml", with("nothing"));
    let text = bench.fails(4, &["run", "p.toml"]);
    assert!(text.contains("x.json") && text.contains("next:"), "{text}");
}

#[test]
fn a_thousand_mistakes_are_told_in_twenty() {
    let bench = Bench::new();
    let mut text = up("in", "out", "up");
    for i in 0..1000 {
        text.push_str(&format!("\"o{i}\" = \"none{i}\"\n"));
    }
    bench.file("p.toml", text);
    let told = bench.fails(2, &["run", "p.toml"]);
    assert!(
        told.contains("has 1000 mistakes") && told.contains("and 980 more"),
        "{told}"
    );
    assert_eq!(told.matches("there is no source or step").count(), 20);
}
