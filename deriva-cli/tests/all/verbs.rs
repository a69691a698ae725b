//! Every verb once, as a user calls it, and what it prints.

use std::io::Write;
use std::process::Stdio;

use crate::common::{self, Bench, addr, err};

const HELLO: &str = "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f";

#[test]
fn put_prints_what_b3sum_prints() {
    let bench = Bench::new();
    bench.file("a.txt", "hello");
    bench.file("d/x/2.txt", "two");
    bench.file("d/1.txt", "one");
    let out = bench.ok(&["put", "a.txt", "d"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], format!("{HELLO}  a.txt"));
    assert!(
        lines[1].ends_with("  d/1.txt") && lines[2].ends_with("  d/x/2.txt"),
        "{out}"
    );
    let json = bench.json(&["put", "a.txt", "--json"]);
    assert_eq!(
        (json[0]["addr"].as_str(), json[0]["bytes"].as_u64()),
        (Some(HELLO), Some(5))
    );
    let missing = bench.fails(3, &["put", "nope.txt"]);
    assert!(missing.contains("path: nope.txt"), "{missing}");
}

#[test]
fn put_takes_stdin() {
    let bench = Bench::new();
    let mut child = bench
        .command(&["put", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{HELLO}  -\n")
    );
}

#[cfg(unix)]
#[test]
fn a_name_with_a_newline_is_escaped_as_b3sum_does() {
    let bench = Bench::new();
    bench.file("a\nb", "hello");
    assert_eq!(bench.ok(&["put", "a\nb"]), format!("\\{HELLO}  a\\nb\n"));
}

#[test]
fn a_recipe_is_computed_shown_explained_and_drawn() {
    let bench = Bench::new();
    bench.file("a.txt", "hello");
    bench.ok(&["put", "a.txt"]);
    let recipe = bench.line(&[
        "recipe",
        "bytes.repeat/1",
        "--input",
        "ea8f",
        "--param",
        "times:=2",
    ]);
    assert_eq!(recipe.len(), 64);

    let before = bench.json(&["explain", &recipe, "--json"]);
    assert_eq!(before["would_compute"], 1);
    assert_eq!(before["nodes"][0]["state"], "absent");
    assert!(bench.ok(&["show", &recipe]).contains("not computed yet"));
    let dot = bench.ok(&["graph", &recipe]);
    assert!(
        dot.starts_with("digraph")
            && dot.contains("bytes.repeat/1")
            && dot.contains("not computed")
    );

    assert_eq!(bench.ok(&["get", &recipe[..12]]), "hellohello");
    bench.ok(&["get", &recipe, "-o", "deep/out.txt"]);
    assert_eq!(bench.read("deep/out.txt"), "hellohello");
    assert_eq!(common::files(&bench.path("deep")), 1);

    assert_eq!(
        bench.json(&["explain", &recipe, "--json"])["would_compute"],
        0
    );
    assert!(
        bench
            .ok(&["explain", &recipe])
            .contains("nothing would be computed")
    );
    let shown = bench.json(&["show", &recipe, "--json"]);
    assert_eq!(shown["function"], "bytes.repeat/1");
    assert_eq!(shown["params"]["times"], 2);
    assert_eq!(shown["inputs"][0], HELLO);
    assert_eq!(shown["output"]["bytes"], 10);
    assert_eq!(bench.json(&["show", HELLO, "--json"])["kind"], "blob");

    bench.ok(&["graph", &recipe, "--svg", "g.svg"]);
    assert!(
        bench.read("g.svg").starts_with("<svg") && bench.read("g.svg").contains("output present")
    );
}

#[test]
fn functions_are_listed_with_their_params() {
    let bench = Bench::new();
    let list = bench.json(&["functions", "--json"]);
    let upper = list
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["name"] == "text.top")
        .unwrap();
    assert_eq!(upper["version"], "1");
    assert!(!upper["description"].as_str().unwrap().is_empty());
    assert!(upper["params"].is_array());
    assert!(bench.ok(&["functions"]).contains("text.upper/1"));
    assert!(
        !bench.path(".deriva").exists(),
        "listing functions needs no store"
    );
}

#[test]
fn roots_are_set_moved_listed_and_removed() {
    let bench = Bench::new();
    bench.file("a.txt", "hello");
    bench.ok(&["put", "a.txt"]);
    assert_eq!(bench.ok(&["root", "ls"]), "");
    bench.ok(&["root", "set", "keep", "ea8f"]);
    assert_eq!(bench.json(&["root", "ls", "--json"])[0]["addr"], HELLO);
    assert!(bench.ok(&["root", "ls"]).contains("keep"));
    bench.ok(&["root", "rm", "keep"]);
    bench.fails(3, &["root", "rm", "keep"]);
}

#[test]
fn status_counts_and_the_digest_follows_the_content() {
    let (one, two) = (Bench::new(), Bench::new());
    for bench in [&one, &two] {
        bench.file("a.txt", "hello");
    }
    one.ok(&["put", "a.txt"]);
    let status = one.json(&["status", "--json"]);
    for key in [
        "recipes",
        "outputs",
        "blobs",
        "blob_bytes",
        "roots",
        "cache_bytes",
        "verification",
    ] {
        assert!(!status[key].is_null(), "{key}: {status}");
    }
    assert_eq!(
        (status["blobs"].as_u64(), status["blob_bytes"].as_u64()),
        (Some(1), Some(5))
    );
    assert!(one.ok(&["status"]).contains("blob store"));
    let empty = two.line(&["state-digest", "--store", "memory:"]);
    assert_ne!(one.line(&["state-digest"]), empty);
    two.ok(&["put", "a.txt"]);
    assert_eq!(two.line(&["state-digest"]), one.line(&["state-digest"]));
}

#[test]
fn completions_and_the_manual_are_printed() {
    let bench = Bench::new();
    assert!(bench.ok(&["completions", "bash"]).contains("deriva"));
    let man = bench.ok(&["man"]);
    assert!(man.contains(".TH") && man.contains("keep\\-going") && man.contains("Exit codes"));
    assert!(bench.ok(&["--help"]).contains("130  interrupted"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let bench = Bench::new();
    bench.file("big", vec![b'x'; 3 << 20]);
    let big = addr(&bench.ok(&["put", "big"]));
    let mut child = bench
        .command(&["get", &big])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), err(&output)),
        (Some(0), String::new())
    );
}

#[test]
fn a_large_file_comes_back_as_it_was() {
    let bench = Bench::new();
    let bytes: Vec<u8> = (0..9_000_001u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    bench.file("large", &bytes);
    let large = addr(&bench.ok(&["put", "large"]));
    bench.ok(&["get", &large, "-o", "copy"]);
    assert_eq!(std::fs::read(bench.path("copy")).unwrap(), bytes);
}

#[test]
fn get_writes_through_links_and_into_pipes() {
    let bench = Bench::new();
    bench.file("a", "bytes");
    let a = common::addr(&bench.ok(&["put", "a"]));
    bench.file("target", "old");
    std::os::unix::fs::symlink(bench.path("target"), bench.path("link")).unwrap();
    bench.ok(&["get", &a, "-o", "link"]);
    assert!(bench.path("link").is_symlink());
    assert_eq!(std::fs::read(bench.path("target")).unwrap(), b"bytes");
    let pipe = bench.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::read(pipe).unwrap())
    };
    bench.ok(&["get", &a, "-o", "pipe"]);
    assert_eq!(reader.join().unwrap(), b"bytes");
    assert!(!pipe.metadata().unwrap().is_file());
}

#[test]
fn putting_a_damaged_blob_again_repairs_it_by_whatever_way() {
    for way in ["a", "folder", "-"] {
        let bench = Bench::new();
        let text = "0123456789".repeat(10_000);
        bench.file("a", &text);
        bench.file("folder/b", &text);
        let a = common::addr(&bench.ok(&["put", "a"]));
        let file = bench.path(&format!(".deriva/files/{}/{a}", &a[..2]));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[5] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        bench.fails(4, &["get", &a]);
        let input = std::fs::File::open(bench.path("a")).unwrap();
        let put = bench.command(&["put", way]).stdin(input).output().unwrap();
        assert!(put.status.success(), "{way}");
        assert_eq!(common::addr(&String::from_utf8(put.stdout).unwrap()), a);
        assert_eq!(bench.ok(&["get", &a]).len(), 100_000, "{way}");
    }
}
