//! Signals in the middle of a run, and two processes at one store.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a signal must come while real work runs"
)]

use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Bench, err};
use rustix::process::{Pid, Signal, kill_process};

/// Many steps of some milliseconds each, so that a signal comes in the middle.
const BURN: &str = r#"
name = "burn"
root = "in"
[sources.files]
include = ["*.txt"]
[steps.burn]
function = "bench.burn/1"
params = { units = 6 }
each = "files"
[steps.all]
function = "bytes.concat/1"
inputs = ["burn"]
[outputs]
"all" = "all"
"#;

const FILES: u64 = 80;

fn burning() -> Bench {
    let bench = Bench::new();
    bench.file("p.toml", BURN);
    for i in 0..FILES {
        bench.file(&format!("in/{i}.txt"), i.to_string());
    }
    bench
}

fn start(bench: &Bench) -> Child {
    bench
        .command(&["run", "p.toml", "--json", "--jobs", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Ends a run by a signal somewhere in its middle, and checks that the next run continues from there to
/// the same result as an undisturbed one.
fn interrupt(name: Signal, mut check: impl FnMut(&Bench, Output)) {
    let undisturbed = burning();
    let began = Instant::now();
    let expected = undisturbed.json(&[
        "--store", "memory:", "run", "p.toml", "--json", "--jobs", "2",
    ]);
    // How long a run takes changes with what else the machine does. One that ended before its signal is
    // begun anew and asked sooner; one that had no result yet goes on, and is asked later.
    let mut wait = began.elapsed() / 2;
    let mut bench = burning();
    let mut interrupted = false;
    for _ in 0..30 {
        let child = start(&bench);
        std::thread::sleep(wait);
        kill_process(Pid::from_child(&child), name).unwrap();
        let asked = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(
            asked.elapsed() < Duration::from_secs(60),
            "it took {:?} to end",
            asked.elapsed()
        );
        if !output.status.success() {
            check(&bench, output);
        }
        match bench.json(&["status", "--json"])["outputs"]
            .as_u64()
            .unwrap()
        {
            0 => wait = wait * 3 / 2,
            kept if kept <= FILES => {
                interrupted = true;
                break;
            }
            _ => {
                bench = burning();
                wait /= 2;
            }
        }
    }
    assert!(interrupted, "no signal came in the middle of a run");
    let report = bench.json(&["run", "p.toml", "--json"]);
    let count = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(count("computed") + count("reused"), FILES + 1);
    assert!(count("reused") > 0, "nothing was kept: {report}");
    assert!(
        count("computed") > 0,
        "the signal came too late to test anything: {report}"
    );
    assert_eq!(report["outputs"], expected["outputs"]);
}

#[test]
fn ctrl_c_ends_promptly_and_the_next_run_continues() {
    interrupt(Signal::INT, |bench, output| {
        assert_eq!(output.status.code(), Some(130), "{}", err(&output));
        assert!(output.stdout.is_empty());
        assert!(
            err(&output).contains("run the same command again"),
            "{}",
            err(&output)
        );
        assert!(!bench.path("out").exists());
    });
}

#[test]
fn a_killed_run_loses_nothing_that_was_recorded() {
    interrupt(Signal::KILL, |_, output| {
        assert_eq!(output.status.code(), None)
    });
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let bench = Bench::new();
    // A `put` that waits for its input holds the store for as long as the test wants, unless a
    // `status` came first.
    let text = (1..20).find_map(|attempt| {
        let mut child = bench
            .command(&["put", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(200) * attempt);
        let output = bench.run(&["status"]);
        drop(child.stdin.take());
        child.wait().unwrap();
        (output.status.code() == Some(6)).then(|| {
            assert!(output.stdout.is_empty());
            err(&output)
        })
    });
    let text = text.expect("the store was never held");
    assert!(text.contains(".deriva") && text.contains("next:"), "{text}");
}

#[test]
fn an_audit_that_is_interrupted_says_where_it_continues() {
    let bench = Bench::new();
    let pipeline = BURN.replace("bench.burn/1", "text.upper/1");
    bench.file("p.toml", pipeline.replace("params = { units = 6 }\n", ""));
    for i in 0..600 {
        bench.file(&format!("in/{i}.txt"), i.to_string());
    }
    bench.ok(&["run", "p.toml"]);
    // Three batches, each of more than two seconds.
    let audit = ["audit", "--all", "--rate", "100", "--json"];
    let mut wait = Duration::from_secs(3);
    let next = (0..5).find_map(|_| {
        let child = bench
            .command(&audit)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(wait);
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", err(&output));
        assert!(output.stdout.is_empty());
        wait += Duration::from_millis(700);
        let told = err(&output);
        assert!(told.contains("next: "), "{told}");
        let cursor = told.split("--resume ").nth(1)?;
        Some(cursor.trim().to_owned())
    });
    let cursor = next.expect("the signal came before the first batch each time");
    let rest = bench.json(&["audit", "--all", "--json", "--resume", &cursor]);
    let audited = rest["audited"].as_u64().unwrap();
    assert!(audited > 0 && audited < 601, "{rest}");
}
