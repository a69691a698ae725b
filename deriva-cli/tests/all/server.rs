//! Every verb against a server: the same answers, words and exit codes as in this process.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::common::{Bench, err};
use crate::run::PIPELINE;
use crate::serve::Serving;
use crate::verification::lied;

/// What a call said, and how it ended.
#[derive(Debug, PartialEq)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Keys whose values are measured.
const MEASURED: &[&str] = &["cache_bytes", "seconds"];
/// How others of them end.
const TIMES: &[&str] = &["_millis", "_seconds"];

fn without_measurements(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let is_time = TIMES.iter().any(|end| key.ends_with(end));
                match is_time || MEASURED.contains(&key.as_str()) {
                    true => *value = Value::Null,
                    false => without_measurements(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_measurements),
        _ => {}
    }
}

/// Times and dates are left out: what is in a table is as wide as they are.
fn words(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let is_date = |word: &&str| word.len() == 24 && word.ends_with('Z');
        let words = line.split_whitespace().filter(|word| !is_date(word));
        let mut words: Vec<&str> = words.collect();
        if words.first() == Some(&"cache") {
            continue;
        }
        for at in 1..words.len() {
            let is_unit = ["s", "ms", "us"].contains(&words[at].trim_end_matches([',', ';']));
            if is_unit && words[at - 1].parse::<f64>().is_ok() {
                words[at - 1] = "N";
                words[at] = "TIME";
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n")
}

fn said(bench: &Bench, server: Option<&str>, args: &[&str]) -> Said {
    let mut command = bench.command(args);
    if let Some(server) = server {
        command.env("DERIVA_SERVER", server);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let out = match serde_json::from_str::<Value>(&text) {
        Ok(mut value) => {
            without_measurements(&mut value);
            value.to_string()
        }
        Err(_) => words(&text),
    };
    Said {
        code: output.status.code(),
        out,
        err: words(&err(&output)),
    }
}

/// The same files, and a store in which one recipe has a wrong output.
fn bench() -> Bench {
    let (bench, _) = lied();
    bench.file("p.toml", PIPELINE);
    bench.file("wrong.toml", PIPELINE.replace("text.upper", "text.uper"));
    bench.file("unfit.toml", PIPELINE.replace("\"words\"", "\"wrods\""));
    for name in ["a", "b", "sub/c"] {
        bench.file(&format!("in/{name}.txt"), format!("word {name}"));
    }
    bench.file("broken.gz", "no gzip");
    // More than is read at once.
    bench.file("large.bin", "0123456789abcdef".repeat(400_000));
    bench
}

/// The address of what `put` or `recipe` stores, in a store of its own.
fn addr_of(bench: &Bench, args: &[&str]) -> String {
    let args = [&["--store", "sled:apart"], args].concat();
    crate::common::addr(&bench.ok(&args))
}

fn table(bench: &Bench) -> Vec<Vec<String>> {
    let put = |file: &str| addr_of(bench, &["put", file]);
    let (a, b, broken) = (put("in/a.txt"), put("in/b.txt"), put("broken.gz"));
    let recipe = |args: &[&str]| addr_of(bench, &[&["recipe"], args].concat());
    let upper = recipe(&["text.upper/1", "-i", &a]);
    let other = recipe(&["text.upper/1", "-i", &b]);
    let unzipped = recipe(&["compress.gunzip/1", "-i", &broken]);
    let above = recipe(&["text.lower/1", "-i", &unzipped]);
    let unknown = recipe(&["nobody.knows/1", "-i", &a, "--allow-unknown"]);
    let lied = crate::verification::Made::of(&crate::verification::text()).0;
    let (joined, wrong) = (lied.joined.to_string(), lied.upper.to_string());
    let absent = "ab".repeat(32);
    let id = "a-request";
    let calls: &[&[&str]] = &[
        &["status", "--json"],
        &["put", "in/a.txt", "in/b.txt"],
        &["put", "in", "broken.gz", "large.bin", "--json"],
        &["put", "in/b.txt", "absent.txt"],
        &["recipe", "text.upper/1", "-i", &a[..12]],
        &["recipe", "text.upper/1", "-i", &b, "--json"],
        &["recipe", "text.uper/1", "-i", &a],
        &["recipe", "nobody.knows/1", "-i", &a, "--allow-unknown"],
        &["recipe", "text.upper/1", "-i", &a, "-i", &a],
        &["recipe", "text.upper/1", "-i", "ababab"],
        &["recipe", "text.top/1", "-i", &a, "-p", "n=3"],
        &["recipe", "compress.gunzip/1", "-i", &broken],
        &["recipe", "text.lower/1", "-i", &unzipped],
        &["explain", &upper],
        &["explain", &unknown],
        // Before a server has measured anything.
        &["explain", &above],
        &["why", &upper, "--json"],
        &["graph", &upper, "--json"],
        &["get", &upper],
        &["get", &upper, "--verify", "dual", "--no-perturb"],
        &["get", &upper, "-o", "out.txt", "--json"],
        &["get", &upper, "-o", "out.txt", "--json"],
        &["get", &a, "--request-id", id],
        &["get", &above],
        &["get", &above, "--request-id", id],
        &["get", &unknown],
        &["get", &absent],
        &["get", &absent[..9]],
        &["get", &upper, "--json"],
        &["show", &a],
        &["show", &upper[..10], "--json"],
        &["show", &absent],
        &["explain", &upper, "--json"],
        &["diff", &upper, &other],
        &["diff", &upper, &other, "--json"],
        &["diff", &upper, &upper],
        &["why", &other, "--previous", &upper],
        &["graph", &upper, "--svg", "graph.svg"],
        &["functions"],
        &["functions", "--json"],
        &["root", "set", "kept/a", &upper],
        &["root", "set", "deriva:mine", &upper],
        &["root", "set", "kept/b", &absent],
        &["root", "ls"],
        &["root", "rm", "kept/a", "--json"],
        &["root", "rm", "kept/a"],
        &["invalidate", &upper, "--dry-run"],
        &["invalidate", &upper, "--cascade", "--json"],
        &["invalidate", "--function", "text.upper/2"],
        &["invalidate", &absent],
        &["run", "p.toml", "--explain", "--json"],
        &["run", "p.toml", "--json"],
        &["run", "p.toml"],
        &["run", "p.toml", "--explain"],
        &["run", "wrong.toml"],
        &["run", "unfit.toml"],
        &["run", "absent.toml"],
        &["root", "ls", "--json"],
        &["scrub"],
        &["scrub", "--limit", "1KiB", "--json"],
        &["audit", &upper],
        &["audit", "--function", "text.upper/1", "--dry-run"],
        &["audit", "--root", "kept", "--json"],
        &["audit", "--root", "absent"],
        &["audit", "--function", "nobody.is/1"],
        &["ledger", "ls"],
        &["ledger", "show", &wrong],
        &["ledger", "show", &joined],
        &["get", &wrong],
        &["get", &wrong, "-o", "wrong.txt"],
        &["quarantine", "ls", "--json"],
        &["quarantine", "outputs", "text.upper/1"],
        &["quarantine", "outputs", "text.uper/1"],
        &["ledger", "release", &wrong],
        &["ledger", "release", &wrong],
        &["quarantine", "release", "text.upper/1"],
        &["get", &wrong, "-o", "right.txt"],
        &["status", "--json"],
        &["status"],
        &["state-digest"],
        &["collect", "--dry-run"],
        &["collect", "--unreferenced", "--json"],
        &["state-digest", "--json"],
        &["status", "--json"],
    ];
    let owned = |call: &&[&str]| call.iter().map(|&arg| arg.to_owned()).collect();
    calls.iter().map(owned).collect()
}

/// Verbs that a server does not do: they are done here, or on stores that they name.
const HERE: &[&str] = &["bisect", "completions", "help", "man", "serve", "top"];

fn verbs(bench: &Bench) -> BTreeSet<String> {
    let help = bench.ok(&["--help"]);
    let (_, rest) = help.split_once("Commands:\n").unwrap();
    let lines = rest.lines().take_while(|line| !line.is_empty());
    // What a verb is about may go on in the lines below it.
    let lines = lines.filter_map(|line| line.strip_prefix("  "));
    let verbs = lines.filter(|line| !line.starts_with(' '));
    let verbs = verbs.filter_map(|line| line.split_whitespace().next());
    verbs.map(str::to_owned).collect()
}

#[test]
fn every_verb_says_the_same_of_a_server() {
    let (here, there) = (bench(), bench());
    let calls = table(&here);
    let tried: BTreeSet<String> = calls.iter().map(|call| call[0].clone()).collect();
    let expected = verbs(&here);
    let expected = expected
        .iter()
        .filter(|verb| !HERE.contains(&verb.as_str()));
    assert_eq!(tried, expected.cloned().collect());
    let serving = Serving::of(&there, "sled:.deriva");
    let mut differing = Vec::new();
    for call in &calls {
        let args: Vec<&str> = call.iter().map(String::as_str).collect();
        let embedded = said(&here, None, &args);
        let served = said(&there, Some(&serving.url), &args);
        if served != embedded {
            differing.push(format!(
                "{args:?}\nhere:  {embedded:?}\nthere: {served:?}\n"
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    for file in ["out/counts.txt", "out/upper/sub/c.txt", "right.txt"] {
        assert_eq!(there.read(file), here.read(file), "{file}");
    }
    assert!(!Path::new(&there.path("wrong.txt")).exists());
    serving.stop();
}

#[test]
fn a_server_and_a_store_are_not_named_together_and_the_command_line_goes_first() {
    let bench = Bench::new();
    bench.file("a.txt", "a");
    let told = bench.fails(
        2,
        &["--store", "memory:", "--server", "deriva://x:1", "status"],
    );
    assert!(told.contains("leave --store or --server away"), "{told}");
    let with = |key: &str, value: &str, args: &[&str]| {
        let output = bench.command(args).env(key, value).output().unwrap();
        (output.status.code(), err(&output))
    };
    // Nobody is there.
    let gone = "deriva://127.0.0.1:9?attempts=1";
    let put = ["--store", "sled:mine", "put", "a.txt"];
    assert_eq!(with("DERIVA_SERVER", gone, &put).0, Some(0));
    assert_eq!(with("DERIVA_SERVER", "", &["put", "a.txt"]).0, Some(0));
    let (code, told) = with("DERIVA_STORE", "sled:mine", &["--server", gone, "status"]);
    assert_eq!(code, Some(6), "{told}");
    assert!(told.contains("127.0.0.1:9"), "{told}");
}

#[test]
fn what_only_this_process_can_do_is_refused_with_a_server() {
    let bench = Bench::new();
    bench.file("p.toml", PIPELINE);
    let addr = "ab".repeat(32);
    let server = ["--server", "deriva://127.0.0.1:9?attempts=1"];
    for (args, expected) in [
        (&["get", &addr, "--timeline", "t.json"][..], "--timeline"),
        (&["get", &addr, "--metrics", "m.prom"], "--metrics"),
        (
            &["get", &addr, "--on-violation", "report"],
            "--on-violation",
        ),
        (
            &["run", "p.toml", "--metrics-listen", "127.0.0.1:0"],
            "--metrics-listen",
        ),
        (&["run", "p.toml", "--keep-evidence"], "--keep-evidence"),
        (&["audit", "--all", "--no-perturb"], "--no-perturb"),
        (&["explain", &addr, "--jobs", "2"], "--jobs"),
        (
            &["quarantine", "ls", "--quarantine-after", "1"],
            "--quarantine-after",
        ),
        (&["--memory", "1GiB", "status"], "--memory"),
        (&["--wait", "1s", "status"], "--wait"),
    ] {
        let told = bench.fails(2, &[&server, args].concat());
        assert!(told.contains(&format!("options: {expected}")), "{told}");
    }
    for verb in [&["serve"][..], &["bisect", "sled:x"]] {
        let told = bench.fails(2, &[&server, verb].concat());
        assert!(told.contains("leave --server away"), "{told}");
    }
    for (url, expected) in [
        ("http://127.0.0.1:6733", "deriva://HOST:PORT"),
        ("127.0.0.1:6733", "deriva://HOST:PORT"),
        ("deriva://127.0.0.1", "deriva://HOST:PORT"),
        ("deriva://me:secret@127.0.0.1:1", "token_file"),
        ("deriva://127.0.0.1:1?atempts=3", "attempts"),
    ] {
        let told = bench.fails(2, &["--server", url, "status"]);
        assert!(told.contains(expected), "{url}: {told}");
        assert!(!told.contains("secret@"), "{told}");
    }
}

#[test]
fn a_store_of_a_server_is_a_store_for_what_is_computed_here() {
    let bench = bench();
    let serving = Serving::of(&bench, "sled:.deriva");
    let store = ["--store", serving.url.as_str()];
    let call = |args: &[&str]| bench.ok(&[&store, args].concat());
    let a = crate::common::addr(&call(&["put", "in/a.txt"]));
    let upper = call(&["recipe", "text.upper/1", "-i", &a]);
    assert_eq!(
        call(&["get", upper.trim(), "--timeline", "t.json"]),
        "WORD A"
    );
    assert!(bench.read("t.json").contains("text.upper"));
    // What its recipes give here.
    let told = bench.tells(5, &["bisect", &serving.url]);
    assert!(told.contains("text.upper/1"), "{told}");
    serving.stop();
}

/// The stores that a server may stand on.
const STORES: &[&str] = &[
    "sled:.served",
    "redb:.served",
    "split(blobs=files:.served/blobs, dag=redb:.served/graph)",
    "memory:",
    #[cfg(feature = "rocksdb")]
    "rocksdb:.served",
];

#[test]
fn the_corpus_pipeline_gives_the_same_over_each_engine_of_a_server() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pipeline = repository.join("examples/corpus/pipeline.toml");
    let (pipeline, input) = (pipeline.to_str().unwrap(), repository.join("examples"));
    let run = |bench: &Bench, server: Option<&str>| {
        let args = [
            "run",
            pipeline,
            "--input",
            input.to_str().unwrap(),
            "--json",
        ];
        let said = said(bench, server, &args);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        said.out
    };
    let here = Bench::new();
    let (first, second) = (run(&here, None), run(&here, None));
    assert_ne!(first, second, "the second run computes nothing");
    for store in STORES {
        let there = Bench::new();
        let serving = Serving::of(&there, store);
        assert_eq!(run(&there, Some(&serving.url)), first, "{store}");
        assert_eq!(run(&there, Some(&serving.url)), second, "{store}");
        for file in std::fs::read_dir(here.path("out")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_file() {
                let written = std::fs::read(there.path("out").join(name)).unwrap();
                assert_eq!(written, std::fs::read(&path).unwrap(), "{store}: {name}");
            }
        }
        serving.stop();
    }
}
