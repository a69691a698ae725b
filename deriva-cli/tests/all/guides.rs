//! The README and the guides: what they show is run or compiled, or says why it is not. A block that is not held stands
//! below a line `<!-- not run: REASON -->`.

use std::path::{Path, PathBuf};

use crate::common::{Bench, err};

/// Guides whose Rust is that of programs which CI runs. That of all others is compiled as documentation of `deriva`.
const QUOTED: [(&str, &[&str]); 2] = [
    (
        "docs/guide/embed.md",
        &[
            "deriva/examples/embed/elsewhere.rs",
            "deriva/examples/embed/main.rs",
            "deriva/examples/embed/service.rs",
            "deriva/examples/embed/terms.rs",
            "deriva/examples/embed/told.rs",
            "deriva/examples/embed_time.rs",
            "deriva/tests/embed_guide.rs",
        ],
    ),
    (
        "docs/guide/write-a-store.md",
        &[
            "conformance/third-party-example/tests/common/mod.rs",
            "conformance/third-party-example/tests/conformance.rs",
            "conformance/third-party-example/examples/prove.rs",
        ],
    ),
];

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

/// Code of a page, between two lines of three backticks.
struct Block {
    /// Page and line.
    place: String,
    kind: String,
    text: String,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let text = std::fs::read_to_string(repository().join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The README and all guides.
fn pages() -> Vec<String> {
    let guides = std::fs::read_dir(repository().join("docs/guide")).unwrap();
    let guides = guides.map(|guide| guide.unwrap().file_name().into_string().unwrap());
    let guides = guides.filter(|guide| guide.ends_with(".md"));
    let mut pages: Vec<String> = guides.map(|guide| format!("docs/guide/{guide}")).collect();
    pages.push("README.md".to_owned());
    assert!(pages.len() >= 8, "{pages:?}");
    pages
}

/// The blocks of a page that do not say why they are not held.
fn blocks(page: &str) -> Vec<Block> {
    let text = read(page);
    let (mut blocks, mut before) = (Vec::new(), "");
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let code = lines.by_ref().map(|(line, _)| line);
            let code: Vec<&str> = code.take_while(|line| *line != "```").collect();
            let excuse = before.strip_prefix("<!-- not run: ");
            let excuse = excuse.and_then(|rest| rest.strip_suffix(" -->"));
            if excuse.is_none_or(|reason| reason.trim().is_empty()) {
                blocks.push(Block {
                    place: format!("{page}:{number}"),
                    kind: kind.to_owned(),
                    text: code.iter().map(|line| format!("{line}\n")).collect(),
                });
            }
        }
        before = line;
    }
    blocks
}

/// A folder and a store in which the commands of a page make sense.
fn scene(page: &str) -> Bench {
    let bench = Bench::new();
    bench.file("pipeline.toml", PIPELINE);
    bench.file("in/a.txt", "text ".repeat(20_000));
    bench.file("incoming/film.mp4", vec![7; 3 << 20]);
    let put = |name: &str, text: &str| {
        let file = bench.file(name, text);
        crate::common::addr(&bench.ok(&["put", file.to_str().unwrap()]))
    };
    let recipe = |args: &[&str]| bench.line(&[&["recipe"], args].concat());
    match page {
        "docs/guide/collect.md" | "docs/guide/invalidate-and-scrub.md" => {
            let notes = put("notes.txt", "hello world");
            let counts = recipe(&["text.word_count/1", "--input", &notes]);
            bench.ok(&["get", &counts]);
        }
        "docs/guide/why.md" => {
            for (text, times) in [("hello", "times:=2"), ("world", "times:=3")] {
                let leaf = put("leaf.txt", text);
                let upper = recipe(&["text.upper/1", "--input", &leaf]);
                recipe(&["bytes.repeat/1", "--input", &upper, "--param", times]);
            }
        }
        _ => {}
    }
    bench
}

/// Runs a text that succeeds, and answers with what it prints.
fn run(bench: &Bench, place: &str, text: &str) -> String {
    let output = bench.shell(text);
    assert!(output.status.success(), "{place}: {text}\n{}", err(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn commands_do_what_they_are_shown_to_do() {
    let (mut shells, mut answers) = (0, 0);
    for page in pages() {
        let bench = scene(&page);
        for block in blocks(&page) {
            match block.kind.as_str() {
                "sh" => {
                    run(&bench, &block.place, &block.text.replace("/srv/", "srv/"));
                    shells += 1;
                }
                // After a command stands what it prints, or nothing where that does not matter.
                "console" => {
                    let (_, commands) = block.text.split_once("$ ").unwrap();
                    for command in commands.split("\n$ ") {
                        let (command, shown) = command.split_once('\n').unwrap_or((command, ""));
                        let printed = run(&bench, &block.place, command);
                        if !shown.is_empty() {
                            assert_eq!(printed.trim_end(), shown.trim_end(), "{}", block.place);
                            answers += 1;
                        }
                    }
                }
                _ => {}
            }
        }
    }
    assert!(shells >= 6 && answers >= 5, "{shells}, {answers}");
}

/// The lines of a text, without indentation.
fn lines(text: &str) -> String {
    let lines = text.lines().map(|line| format!("{}\n", line.trim()));
    lines.collect()
}

#[test]
fn rust_is_compiled_or_stands_in_a_program() {
    let compiled = read("deriva/src/lib.rs");
    let mut count = 0;
    for page in pages() {
        let quoted = QUOTED.iter().find(|(of, _)| *of == page);
        let programs = quoted.map(|(_, programs)| programs.iter().map(|path| lines(&read(path))));
        let programs: Option<Vec<String>> = programs.map(Iterator::collect);
        for Block { place, kind, text } in blocks(&page) {
            if !kind.starts_with("rust") {
                continue;
            }
            match &programs {
                Some(programs) => {
                    let is_there = |program: &String| program.contains(&lines(&text));
                    assert!(programs.iter().any(is_there), "{place}: nowhere:\n{text}");
                }
                None => {
                    let included = format!("include_str!(\"../../{page}\")");
                    assert!(compiled.contains(&included), "{page} is not compiled");
                    assert!(matches!(&*kind, "rust" | "rust,no_run"), "{place}: {kind}");
                }
            }
            count += 1;
        }
    }
    assert!(count >= 25, "{count} pieces");
}

#[test]
fn what_goes_into_a_cargo_toml_names_features_that_are_there() {
    let features = |of: &str| {
        let manifest: toml::Table = toml::from_str(&read(&format!("{of}/Cargo.toml"))).unwrap();
        manifest["features"].as_table().unwrap().clone()
    };
    let known = features("deriva");
    let mut count = 0;
    for page in pages() {
        for Block { place, text, .. } in blocks(&page).iter().filter(|block| block.kind == "toml") {
            // Lines of the table of dependencies, with or without its head.
            let text = match text.starts_with('[') {
                true => text.clone(),
                false => format!("[dependencies]\n{text}"),
            };
            // Settings and tokens of a server: `serve.rs` holds them.
            if place.contains("guide/serve.md") {
                continue;
            }
            let shown: toml::Table = toml::from_str(&text).unwrap();
            let deriva = &shown["dependencies"]["deriva"];
            assert!(deriva.get("path").is_some(), "{place}");
            let asked = deriva.get("features").and_then(toml::Value::as_array);
            for feature in asked.into_iter().flatten() {
                let feature = feature.as_str().unwrap();
                assert!(known.contains_key(feature), "{place}: {feature}");
                count += 1;
            }
        }
    }
    assert!(count >= 2, "{count} features");
}

#[test]
fn every_block_is_of_a_kind_that_is_held() {
    for page in pages() {
        for Block { place, kind, .. } in blocks(&page) {
            let held = matches!(&*kind, "sh" | "console" | "toml" | "rust" | "rust,no_run");
            assert!(held, "{place}: who holds a block `{kind}`?");
        }
    }
}

#[test]
fn every_example_is_listed_where_readers_begin() {
    let index = read("docs/README.md");
    for example in std::fs::read_dir(repository().join("deriva/examples")).unwrap() {
        let name = example.unwrap().file_name().into_string().unwrap();
        let link = format!("(../deriva/examples/{name})");
        assert!(index.contains(&link), "{name} is not in docs/README.md");
    }
}

#[test]
fn every_file_of_an_example_fits_on_two_screens() {
    let examples = repository().join("deriva/examples");
    let files = files_in(&examples);
    assert!(files.len() >= 12, "{files:?}");
    for file in files {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines < 100, "{} has {lines} lines", file.display());
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files_in(&path),
            false => vec![path],
        })
        .collect()
}
