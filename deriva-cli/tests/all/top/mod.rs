//! `deriva top` over real runs: on terminals whose screen is read, and where there is none.
#![cfg(unix)]

mod tmux;
mod untold;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::Bench;
use tmux::{Tmux, is_coloured};

/// Steps of a third of a second, for longer than any test looks; some that fail, and some that lie.
const PIPELINE: &str = r#"
name = "watched"
root = "in"
[sources.files]
include = ["*.txt"]
[sources.few]
include = ["few/*.txt"]
[steps.burnt]
function = "bench.burn/1"
params = { units = 300 }
each = "files"
[steps.broken]
function = "text.merge_counts/1"
each = "few"
[steps.liar]
function = "bench.liar/1"
params = { p = 1 }
each = "few"
verify = "dual"
"#;

const FILES: usize = 3000;

/// A run that can be watched, until it is dropped.
struct Run {
    child: Child,
    host: String,
    /// Open for as long as it writes there.
    _told: BufReader<ChildStderr>,
}

impl Run {
    fn start(bench: &Bench, listen: &str) -> Self {
        let mut command = bench.command(&["run", "p.toml", "--keep-going", "--jobs", "1"]);
        command.args(["--metrics-listen", listen]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("metrics: http://");
        let host = url.and_then(|url| url.strip_suffix("/metrics"));
        let host = host.unwrap_or_else(|| panic!("{line}")).to_owned();
        Self {
            child,
            host,
            _told: told,
        }
    }

    fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let host = &self.host;
        let ask = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        body.to_owned()
    }

    /// Waits until N more steps are done than at the call.
    fn goes_on(&self, steps: u64) {
        let count = || {
            let page = self.page("/metrics");
            let name = "deriva_compute_duration_seconds_count{function=\"bench.burn/1\"} ";
            let line = page.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(0, |count| count.parse::<u64>().unwrap())
        };
        let before = count();
        while count() < before + steps {}
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.file("p.toml", PIPELINE);
    for file in 0..FILES {
        bench.file(&format!("in/{file}.txt"), file.to_string());
    }
    for file in ["few/a.txt", "few/b.txt"] {
        bench.file(&format!("in/{file}"), file);
    }
    bench
}

/// The line with which the shell begins to watch; the number of its process is in the file `pid` then.
fn watch(bench: &Bench, run: &Run) -> String {
    let command = bench.command(&[]);
    let deriva = command.get_program().to_str().unwrap();
    let host = &run.host;
    format!("sh -c 'echo $$ >pid; exec \"{deriva}\" top {host} --interval 0.5'")
}

/// The words of the row of the function that takes all the time.
fn burnt(screen: &str) -> Vec<String> {
    let row = screen.lines().find(|line| line.starts_with("bench.burn/1"));
    let words = row.unwrap_or_default().split_whitespace();
    words.map(str::to_owned).collect()
}

#[test]
fn keys_do_what_they_say_on_80_columns_in_colour() {
    if !Tmux::is_there() {
        return;
    }
    let bench = bench();
    let run = Run::start(&bench, "127.0.0.1:0");
    let tmux = Tmux::start(&bench, (80, 24), true);
    tmux.enter(&watch(&bench, &run));
    let place = format!(" at {}  up ", run.host);
    let screen = tmux.shows(&[
        &place,
        "every 0.5 s",
        "requests  1 active",
        "1 active of 1",
        "computing ",
        "*functions by total time",
        "bench.burn/1 ",
        "text.merge_counts/1 ",
        "violation ",
        "errors and violations, ",
        "q quit",
    ]);
    assert_eq!(screen.lines().count(), 24, "{screen}");
    assert!(is_coloured(&tmux.painted()));
    tmux.wait("a rate", |screen| {
        let rate = burnt(screen).get(1).cloned().unwrap_or_default();
        rate.ends_with("/s") && rate != "-/s" && rate != "0/s"
    });
    let calls = |screen: &str| burnt(screen).iter().rev().nth(1).cloned();

    tmux.press(&["Space"]);
    let paused = tmux.shows(&["PAUSED"]);
    run.goes_on(2);
    assert_eq!(tmux.screen(), paused);
    tmux.press(&["Space"]);
    tmux.wait("going on", |screen| {
        let now = calls(screen);
        !screen.contains("PAUSED") && now.is_some() && now != calls(&paused)
    });

    tmux.press(&["s"]);
    tmux.shows(&["*functions by calls in a second"]);
    for _ in 0..4 {
        tmux.press(&["s"]);
    }
    let first = |screen: &str| {
        let mut lines = screen
            .lines()
            .skip_while(|line| !line.contains("functions by name"));
        lines.nth(2).unwrap_or_default().to_owned()
    };
    tmux.wait("in the order of names", |screen| {
        first(screen).starts_with("bench.burn/1")
    });
    tmux.press(&["S"]);
    tmux.wait("turned round", |screen| {
        screen.contains("turned round") && first(screen).starts_with("text.merge_counts/1")
    });

    tmux.press(&["?"]);
    tmux.shows(&["turn its order round", "shift-tab"]);
    tmux.press(&["?"]);
    tmux.press(&["Tab"]);
    tmux.shows(&["*stores by total time", "sled dag_"]);
    tmux.press(&["j", "j"]);
    tmux.shows(&["(3 to "]);
    tmux.press(&["BTab", "+"]);
    tmux.shows(&["*functions by name", "every 1 s"]);
    tmux.press(&["q"]);
    tmux.is_given_back(&bench, 0);
}

#[test]
fn everything_is_on_200_columns_without_colour_and_a_new_size_is_followed() {
    if !Tmux::is_there() {
        return;
    }
    let bench = bench();
    let run = Run::start(&bench, "127.0.0.1:0");
    let tmux = Tmux::start(&bench, (200, 50), false);
    tmux.enter(&watch(&bench, &run));
    let everything = [
        "stored ",
        "requests  1 active",
        "nodes ",
        "cache ",
        "memory    [",
        "checks ",
        "requests ",
        "functions by total time",
        "stores by total time",
        "bench.burn/1 ",
        "sled dag_",
        "violation ",
    ];
    let screen = tmux.shows(&everything);
    assert_eq!(screen.lines().count(), 50, "{screen}");
    let painted = tmux.painted();
    assert!(
        !is_coloured(&painted) && painted.contains('\u{1b}'),
        "{painted}"
    );
    tmux.resize(80, 24);
    tmux.wait("small", |screen| {
        screen.contains("bench.burn/1 ")
            && !screen.contains("stores by")
            && screen.contains("q quit")
    });
    tmux.resize(40, 10);
    tmux.wait("too small", |screen| {
        screen.replace('\n', " ").contains("too small")
    });
    tmux.resize(200, 50);
    tmux.shows(&everything);
    tmux.press(&["C-c"]);
    tmux.is_given_back(&bench, 0);
}

#[test]
fn an_instance_that_goes_is_told_and_one_that_comes_is_shown() {
    if !Tmux::is_there() {
        return;
    }
    let bench = bench();
    let run = Run::start(&bench, "127.0.0.1:0");
    let host = run.host.clone();
    let tmux = Tmux::start(&bench, (80, 24), true);
    tmux.enter(&watch(&bench, &run));
    tmux.shows(&["bench.burn/1 ", "q quit"]);
    drop(run);
    tmux.shows(&["no answer for ", "; trying again", "bench.burn/1 "]);
    let _again = Run::start(&bench, &host);
    tmux.shows(&["bench.burn/1 ", "q quit"]);
    let pid = bench.read("pid").trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    tmux.is_given_back(&bench, 130);
}

#[test]
fn where_there_is_no_terminal_one_look_is_printed() {
    let bench = bench();
    let run = Run::start(&bench, "127.0.0.1:0");
    run.goes_on(1);
    let url = format!("http://{}/metrics", run.host);
    let text = bench.ok(&["top", &url, "--interval", "0.1"]);
    for part in [
        "requests  1 active",
        "functions by total time",
        "bench.burn/1 ",
        "stores by total time",
        "computing ",
        "errors and violations, ",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");

    let told = |mut command: std::process::Command| -> Value {
        let output = command.output().unwrap();
        assert!(output.status.success());
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let mut command = bench.command(&["top", "--json", "--interval", "0.1"]);
    command.env("DERIVA_SERVER", &run.host);
    let look = told(command);
    assert_eq!(look["url"], format!("http://{}", run.host));
    assert_eq!(look["requests"]["active"], 1.0);
    assert!(look["interval_seconds"].as_f64() >= Some(0.1), "{look}");
    let request = &look["activity"]["requests"][0];
    assert_eq!(
        (&request["number"], &request["phase"]),
        (&1.into(), &"computing".into())
    );
    assert!(request["planned"].as_u64() > Some(FILES as u64), "{look}");
    let incidents = look["activity"]["incidents"].as_array().unwrap();
    let of = |what: &str, function: &str| {
        incidents
            .iter()
            .any(|it| it["what"] == what && it["function"] == function)
    };
    assert!(of("violation", "bench.liar/1"), "{look}");
    assert!(of("error", "text.merge_counts/1"), "{look}");
    // It answers with more than what is under way.
    assert!(run.page("/activity").contains("\"store\":\"sled:.deriva\""));
}
