//! Which calls begin a store, which ask before they destroy, and how long one waits for another.

use std::process::Stdio;

use crate::common::{self, Bench, addr, err};

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn what_only_reads_begins_no_store() {
    let bench = Bench::new();
    for args in [
        &["status"][..],
        &["status", "--store", "redb:deep/er"],
        &["get", "abcdef"],
        &["show", ZEROS],
        &["explain", ZEROS],
        &["why", ZEROS],
        &["diff", ZEROS, ZEROS],
        &["graph", ZEROS],
        &["root", "ls"],
        &["root", "rm", "x"],
        &["root", "set", "x", ZEROS],
        &["collect", "--dry-run"],
        &["collect"],
        &["scrub"],
        &["invalidate", ZEROS],
        &["state-digest"],
    ] {
        let text = bench.fails(3, args);
        assert!(
            text.contains("no store here") && text.contains("next: "),
            "{args:?}: {text}"
        );
    }
    std::fs::create_dir(bench.path(".deriva")).unwrap();
    bench.fails(3, &["status"]);
    assert_eq!(common::files(&bench.path("")), 0);
    assert_eq!(
        bench.json(&["status", "--store", "memory:", "--json"])["recipes"],
        0
    );
}

/// Stores that are put together are opened, scrubbed and collected as one is; none is made by a call that reads, nor
/// any where the URI has a mistake.
#[test]
fn stores_that_are_put_together_are_one_store() {
    let bench = Bench::new();
    let stack = "retry(split(blobs=files:media, dag=redb:graph), attempts=3)";
    let on = |args: &[&'static str]| [args, &["--store", stack]].concat();
    let text = bench.fails(3, &on(&["status"]));
    assert!(text.contains("files:media"), "{text}");
    let text = bench.fails(
        2,
        &[
            "put",
            "x",
            "--store",
            "split(blobs=files:media, dag=redb:graph?cash=1)",
        ],
    );
    assert!(text.contains("cash") && text.contains("next: "), "{text}");
    assert_eq!(common::files(&bench.path("")), 0);

    bench.file("big", "x".repeat(100_000));
    let put = bench.ok(&on(&["put", "big"]));
    assert!(bench.path("media").exists() && bench.path("graph").exists());
    let status = bench.json(&on(&["status", "--json"]));
    assert_eq!(status["blobs"], 1);
    assert_eq!(
        bench.ok(&on(&["get", addr(&put).leak()])),
        "x".repeat(100_000)
    );
    let upper = bench.line(&on(&["recipe", "text.upper/1", "-i", addr(&put).leak()]));
    bench.ok(&on(&["get", upper.leak()]));
    bench.ok(&on(&["scrub"]));
    let taken = bench.json(&on(&["collect", "--without-roots", "--json"]));
    assert_eq!((&taken["recipes"], &taken["blobs"]), (&1.into(), &1.into()));
    let status = bench.json(&on(&["status", "--json"]));
    assert_eq!(
        (&status["recipes"], &status["blobs"]),
        (&0.into(), &1.into())
    );

    // Half of it is not enough, but for copies, which are made anew.
    std::fs::remove_dir_all(bench.path("graph")).unwrap();
    let text = bench.fails(3, &on(&["status"]));
    assert!(text.contains("redb:graph"), "{text}");
    bench.ok(&[
        "put",
        "big",
        "--store",
        "tiered(fast=files:fast, slow=sled:slow)",
    ]);
    std::fs::remove_dir_all(bench.path("fast")).unwrap();
    let status = bench.json(&[
        "status",
        "--json",
        "--store",
        "tiered(fast=files:fast, slow=sled:slow)",
    ]);
    assert_eq!(status["blobs"], 1);
}

/// A stack is held against other processes as its stores are.
#[test]
fn a_stack_is_locked_by_its_stores() {
    let bench = Bench::new();
    bench.file("a", "x");
    let stack = "limit(split(blobs=files:media, dag=redb:graph))";
    bench.ok(&["put", "a", "--store", stack]);
    let held = std::fs::File::open(bench.path("media/lock")).unwrap();
    held.lock().unwrap();
    let text = bench.fails(6, &["status", "--store", stack]);
    assert!(text.contains("--wait 30s"), "{text}");
    drop(held);
    bench.ok(&["status", "--store", stack]);
}

/// A run reads none of the stores that are put together as a source.
#[test]
fn no_store_of_a_stack_is_a_source() {
    let bench = Bench::new();
    bench.file("a.txt", "x");
    bench.file("p.toml", "name = \"p\"\noutput = \"out\"\n[sources.f]\ninclude = [\"**\"]\nexclude = [\"p.toml\"]\n[steps.u]\nfunction = \"hash.blake3/1\"\neach = \"f\"\n[outputs]\n\"u\" = \"u\"\n");
    let stack = "split(blobs=files:media, dag=redb:graph)";
    for _ in 0..2 {
        bench.ok(&["run", "p.toml", "--store", stack]);
        assert_eq!(common::files(&bench.path("out/u")), 1);
    }
}

#[test]
fn a_dry_run_tells_of_a_store_that_is_yet_to_be_made() {
    let bench = Bench::new();
    bench.file("in/a.txt", "x");
    let file = "name = \"p\"\nroot = \"in\"\n[sources.f]\ninclude = [\"./a.txt\"]\n[steps.u]\nfunction = \"text.upper/1\"\neach = \"f\"\n[outputs]\n\"u\" = \"u\"\n";
    bench.file("p.toml", file);
    let dry = bench.ok(&["run", "p.toml", "--explain"]);
    assert!(dry.contains("text.upper/1"), "{dry}");
    assert!(!bench.path(".deriva").exists());

    let mut child = bench
        .command(&["run", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), file.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(bench.read("out/u/a.txt"), "X");
}

#[test]
fn a_pattern_that_can_match_nothing_is_a_mistake() {
    let bench = Bench::new();
    for pattern in ["../a.txt", "/etc/a.txt", "x/../a.txt", "./../a"] {
        let file = format!(
            "name = \"p\"\n[sources.f]\ninclude = [\"{pattern}\"]\n[steps.u]\nfunction = \"text.upper/1\"\neach = \"f\"\n[outputs]\n\"u\" = \"u\"\n"
        );
        bench.file("p.toml", file);
        let text = bench.fails(2, &["run", "p.toml"]);
        assert!(
            text.contains("can match nothing") && text.contains("3:12"),
            "{text}"
        );
    }
}

#[test]
fn a_home_folder_in_a_uri_is_no_folder_of_that_name() {
    let bench = Bench::new();
    bench.file("a", "x");
    for store in ["sled:~/x", "redb:~", "files:~me/x"] {
        let text = bench.fails(2, &["put", "a", "--store", store]);
        assert!(text.contains("$HOME"), "{text}");
    }
    assert!(!bench.path("~").exists() && !bench.path("~me").exists());
    bench.ok(&["put", "a", "--store", "sled:./~/x"]);
}

#[test]
fn hints_speak_of_the_command() {
    let bench = Bench::new();
    bench.file("a", "x");
    let text = bench.fails(2, &["put", "a", "--store", "files:x"]);
    assert!(
        text.contains("sled:PATH") && !text.contains("builder"),
        "{text}"
    );
    let own = bench.line(&["recipe", "own.one/1", "--allow-unknown"]);
    let text = bench.fails(2, &["get", &own]);
    assert!(
        text.contains("deriva functions") && !text.contains("builder"),
        "{text}"
    );
    let help = bench.ok(&["--help"]);
    assert!(
        help.starts_with("Stores bytes") && help.contains("redb:PATH"),
        "{help}"
    );
}

#[test]
fn what_destroys_asks_first() {
    let bench = Bench::new();
    bench.file("a", "x");
    let a = addr(&bench.ok(&["put", "a"]));
    let upper = bench.line(&["recipe", "text.upper/1", "-i", &a]);
    bench.ok(&["get", &upper]);
    let text = bench.fails(2, &["collect"]);
    assert!(
        text.contains("no root") && text.contains("--without-roots"),
        "{text}"
    );
    assert_eq!(bench.json(&["status", "--json"])["outputs"], 1);
    let dry = bench.json(&["collect", "--dry-run", "--json"]);
    assert_eq!(dry["recipes"], 1);

    let text = bench.fails(3, &["invalidate", "--function", "nope/1"]);
    assert!(text.contains("function: nope/1"), "{text}");
    let text = bench.fails(3, &["recipe", "text.uper/1", "-i", &a]);
    assert!(
        text.contains("text.upper") && text.contains("--allow-unknown"),
        "{text}"
    );
    let own = bench.line(&["recipe", "own.one/1", "-i", &a, "--allow-unknown"]);
    assert_eq!(own.len(), 64);
    // A program's own function is known by its recipes, and one without any is none the less known.
    assert!(
        bench
            .ok(&["invalidate", "--function", "text.lower/1"])
            .contains("forgot 0")
    );

    let taken = bench.json(&["collect", "--without-roots", "--json"]);
    assert_eq!(taken["recipes"], 2);
}

#[test]
fn many_that_wait_are_all_served() {
    let bench = Bench::new();
    const CLIENTS: usize = 8;
    let children: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let name = format!("f{n}");
            bench.file(&name, &name);
            bench
                .command(&["put", &name, "--wait", "10min"])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", err(&output));
    }
    assert_eq!(bench.json(&["status", "--json"])["blobs"], CLIENTS);
}

#[test]
fn who_does_not_wait_is_told_that_one_can() {
    let bench = Bench::new();
    bench.file("a", "x");
    let mut holder = bench
        .command(&["put", "a", "-", "--wait", "10min"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Held until its stdin ends; opened at some time from now on.
    let told = loop {
        assert!(holder.try_wait().unwrap().is_none(), "the holder gave up");
        let output = bench.run(&["put", "a"]);
        match output.status.code() {
            Some(6) => break err(&output),
            Some(0) => {}
            code => panic!("{code:?}: {}", err(&output)),
        }
    };
    assert!(told.contains("--wait 30s"), "{told}");
    let told = bench.fails(6, &["put", "a", "--wait", "1ms"]);
    assert!(told.contains("wait longer"), "{told}");
    bench.fails(2, &["put", "a", "--wait", "soon"]);
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
}

#[test]
fn explain_speaks_as_show_does() {
    let bench = Bench::new();
    bench.file("a", "x");
    let a = addr(&bench.ok(&["put", "a"]));
    let upper = bench.line(&["recipe", "text.upper/1", "-i", &a]);
    bench.ok(&["get", &upper]);
    let explained = bench.json(&["explain", &upper, "--json"]);
    let shown = bench.json(&["show", &upper, "--json"]);
    let node = explained["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|node| node["addr"] == upper.as_str())
        .unwrap();
    assert_eq!(node["output"], shown["output"]);
    assert_eq!(node["bytes"], 1);
    assert!(node["output"]["cost_seconds"].is_number());
    assert!(node.get("len").is_none());
}

#[test]
fn a_param_that_is_unknown_is_told_before_one_that_is_missing() {
    let bench = Bench::new();
    let text = bench.fails(
        2,
        &["recipe", "bytes.repeat/1", "-i", ZEROS, "-p", "tmes:=3"],
    );
    assert!(
        text.contains("no such param") && text.contains("did you mean `times`"),
        "{text}"
    );
}

#[test]
fn a_number_that_was_written_as_text_is_told_how_to_be_written() {
    let bench = Bench::new();
    bench.file("a", "abc");
    let a = addr(&bench.ok(&["put", "a"]));
    let text = bench.fails(2, &["recipe", "bytes.slice/1", "-i", &a, "-p", "len=1"]);
    assert!(
        text.contains("next: ") && text.contains("`len:=5`"),
        "{text}"
    );
    bench.ok(&["recipe", "bytes.slice/1", "-i", &a, "-p", "len:=1"]);
}

#[test]
fn a_byte_order_mark_in_json_is_called_so() {
    let bench = Bench::new();
    bench.file("a", "\u{feff}{}");
    let a = addr(&bench.ok(&["put", "a"]));
    let recipe = bench.line(&["recipe", "json.merge/1", "-i", &a]);
    let text = bench.fails(1, &["get", &recipe]);
    assert!(text.contains("byte order mark"), "{text}");
}
