//! `deriva invalidate` and `scrub`, as a user calls them.

use std::fs;
use std::path::PathBuf;

use crate::common;
use crate::common::Bench;

struct World {
    bench: Bench,
    leaf: String,
    upper: String,
    twice: String,
}

/// A leaf, a recipe over it and one over that, all computed.
fn world() -> World {
    let bench = Bench::new();
    bench.file("a", "x".repeat(50_000));
    let leaf = common::addr(&bench.ok(&["put", "a"]));
    let upper = bench.line(&["recipe", "text.upper/1", "-i", &leaf]);
    let twice = bench.line(&["recipe", "bytes.repeat/1", "-i", &upper, "-p", "times:=2"]);
    bench.ok(&["root", "set", "kept", &twice]);
    bench.ok(&["get", &twice, "-o", "out"]);
    World {
        bench,
        leaf,
        upper,
        twice,
    }
}

fn would_compute(bench: &Bench, addr: &str) -> u64 {
    let explained = bench.json(&["explain", addr, "--json"]);
    explained["would_compute"].as_u64().unwrap()
}

/// Damages the file of a blob.
fn flip(bench: &Bench, addr: &str) {
    let file: PathBuf = bench.path(&format!(".deriva/files/{}/{addr}", &addr[..2]));
    let mut bytes = fs::read(&file).unwrap();
    bytes[7] ^= 1;
    fs::write(&file, bytes).unwrap();
}

#[test]
fn outputs_are_forgotten_by_address_and_by_function() {
    let World {
        bench,
        upper,
        twice,
        ..
    } = world();
    let dry = bench.json(&["invalidate", &upper, "--cascade", "--dry-run", "--json"]);
    assert_eq!(
        (
            dry["recipes"].as_u64(),
            dry["outputs"].as_u64(),
            dry["bytes"].as_u64()
        ),
        (Some(2), Some(2), Some(150_000))
    );
    assert_eq!(
        (dry["depth"].as_u64(), dry["dry_run"].as_bool()),
        (Some(1), Some(true))
    );
    assert_eq!(would_compute(&bench, &twice), 0);

    let told = bench.ok(&["invalidate", &upper[..10]]);
    assert_eq!(told, "forgot 1 output (48.8 KiB) of 1 recipe, 0 deep\n");
    assert_eq!(would_compute(&bench, &upper), 1);
    assert_eq!(would_compute(&bench, &twice), 0);
    bench.ok(&["invalidate", "--function", "text.upper/1", "--cascade"]);
    assert_eq!(would_compute(&bench, &twice), 2);
    bench.ok(&["get", &twice, "-o", "again"]);
    assert_eq!(bench.read("again"), bench.read("out"));

    bench.fails(2, &["invalidate"]);
    bench.fails(2, &["invalidate", &upper, "--function", "text.upper/1"]);
    bench.fails(3, &["invalidate", &"0".repeat(64)]);
}

#[test]
fn a_scrub_heals_what_recipes_make_and_reports_the_rest() {
    let World {
        bench,
        leaf,
        upper,
        twice,
    } = world();
    let whole = bench.json(&["scrub", "--json"]);
    assert_eq!(
        (
            whole["recipes"].as_u64(),
            whole["blobs"].as_u64(),
            whole["corrupt"].as_u64()
        ),
        (Some(2), Some(3), Some(0))
    );
    assert!(bench.ok(&["scrub"]).contains("nothing is damaged"));

    let output = bench.json(&["show", &upper, "--json"])["output"]["addr"].clone();
    flip(&bench, output.as_str().unwrap());
    let healed = bench.ok(&["scrub", "--rate", "1GiB"]);
    assert!(
        healed.contains("1 corrupt, 0 missing: all healed"),
        "{healed}"
    );
    bench.ok(&["get", &twice, "-o", "again"]);

    flip(&bench, &leaf);
    let run = bench.run(&["scrub", "--json"]);
    assert_eq!(run.status.code(), Some(4), "{}", common::err(&run));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let finding = &report["findings"][0];
    assert_eq!(
        (report["corrupt"].as_u64(), report["unhealed"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(
        (finding["addr"].as_str(), finding["kind"].as_str()),
        (Some(&*leaf), Some("blob"))
    );
    assert_eq!(finding["needed_by"]["recipes"][0], upper);
    assert_eq!(finding["needed_by"]["roots"][0], "kept");
    let run = bench.run(&["scrub"]);
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(
        text.contains(&format!("recipe {upper}")) && text.contains("root kept"),
        "{text}"
    );

    // The one who computes with it hears the same.
    bench.ok(&["invalidate", &leaf, "--cascade"]);
    let error = bench.fails(4, &["get", &twice]);
    assert!(
        error.contains("roots: kept") && error.contains(&upper),
        "{error}"
    );
}

#[test]
fn a_scrub_continues_at_a_cursor() {
    let World { bench, .. } = world();
    let mut cursor = String::from("recipes");
    let (mut blobs, mut parts) = (0, 0);
    loop {
        let part = bench.json(&["scrub", "--json", "--limit", "1B", "--resume", &cursor]);
        blobs += part["blobs"].as_u64().unwrap();
        parts += 1;
        match part["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert!(parts > 2);
    assert_eq!(blobs, 3);
    let told = bench.ok(&["scrub", "--limit", "1B"]);
    assert!(told.contains("--resume recipes:"), "{told}");
    for wrong in [["--resume", "nowhere"], ["--rate", "fast"], ["--rate", "0"]] {
        bench.fails(2, &["scrub", wrong[0], wrong[1]]);
    }
}
