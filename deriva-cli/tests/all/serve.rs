//! `deriva serve`, as a process: settings, what it prints, how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Bench, err};

/// A server that runs, and what it says.
pub(crate) struct Serving {
    child: Child,
    said: BufReader<ChildStderr>,
    pub(crate) url: String,
    http: String,
}

impl Serving {
    /// Of a store in a bench, with the settings that there are.
    pub(crate) fn of(bench: &Bench, store: &str) -> Self {
        Self::begun(bench, store, &[])
    }

    fn begin(bench: &Bench, more: &[&str]) -> Self {
        Self::begun(bench, "sled:served", more)
    }

    pub(crate) fn begun(bench: &Bench, store: &str, more: &[&str]) -> Self {
        let mut child = bench
            .command(&["--store", store, "serve"])
            .args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.starts_with("ready: deriva://127.0.0.1:"), "{line}");
        let line = line.trim().trim_start_matches("ready: ");
        let (url, http) = line.split_once(", http://").unwrap();
        let (url, http) = (url.to_owned(), http.to_owned());
        Self {
            child,
            said,
            url,
            http,
        }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Ends it, as it should.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        let (code, said) = self.end();
        assert_eq!(code, Some(0), "{said}");
    }

    /// Its exit code, and the rest of what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

/// A test that fails leaves no server behind.
impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_says_when_it_is_ready_answers_and_ends_at_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let bench = Bench::new();
        let serving = Serving::begin(&bench, &[]);
        assert!(serving.get("/readyz").contains(" 200 "));
        assert!(serving.get("/metrics").contains("deriva_build_info"));
        assert!(serving.get("/activity").contains(" 200 "));
        serving.signal(signal);
        let (code, said) = serving.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("stopping") && said.ends_with("stopped\n"),
            "{said}"
        );
    }
}

#[test]
fn a_hang_up_reads_tokens_again_and_a_mistake_in_them_is_told() {
    let bench = Bench::new();
    let text = "[[token]]\nrole = \"read\"\nsecret = \"0123456789abcdef\"\n";
    bench.file("tokens.toml", text);
    let mut serving = Serving::begin(&bench, &["--tokens", "tokens.toml"]);
    serving.signal(Signal::HUP);
    let mut line = String::new();
    serving.said.read_line(&mut line).unwrap();
    assert_eq!(line, "tokens and certificates were read again\n");
    bench.file("tokens.toml", "[[token]]\n");
    serving.signal(Signal::HUP);
    line.clear();
    serving.said.read_line(&mut line).unwrap();
    assert_eq!(line, "tokens and certificates stay as they were:\n");
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().0, Some(0));
}

#[test]
fn settings_are_printed_as_a_file_that_says_the_same() {
    let bench = Bench::new();
    let print = |args: &[&str]| bench.ok(args);
    let set = [
        "serve",
        "--print-config",
        "--listen",
        "127.0.0.1:7",
        "--set",
        "limits.batch=99",
    ];
    let first = print(&set);
    assert!(first.contains("listen = \"127.0.0.1:7\"\n"), "{first}");
    assert!(
        first.contains("from: --set\nlimits.batch = 99\n"),
        "{first}"
    );
    assert!(first.contains("# limits.stored_bytes =\n"), "{first}");
    bench.file("serve.toml", &first);
    let second = print(&["serve", "--print-config", "--config", "serve.toml"]);
    let values = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(values(&first), values(&second));
    let json = print(&["serve", "--print-config", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json.as_array().is_some_and(|all| all.len() > 20));
}

#[test]
fn wrong_settings_are_usage_and_say_what_to_do() {
    let bench = Bench::new();
    bench.file("wrong.toml", "lisen = 1\n[limits]\nbatch = \"x\"\n");
    bench.file("empty.pem", "");
    for (args, expected) in [
        (&["--config", "wrong.toml"][..], "wrong.toml has 2 mistakes"),
        (&["--config", "absent.toml"], "absent.toml"),
        (
            &["--listen", "nowhere"],
            "an address or a name, with a port",
        ),
        (&["--config", "."], "this is a folder"),
        (
            &["--listen", "127.0.0:80"],
            "an address or a name, with a port",
        ),
        (
            &["--http", "nowhere"],
            "off, or an address or a name, with a port",
        ),
        (
            &["--http", "0.0.0.0:0"],
            "--http-exposed-without-protection",
        ),
        (
            &["--http", "0.0.0.0:0", "--exposed-without-protection"],
            "--http-exposed-without-protection",
        ),
        (
            &["--listen", "0.0.0.0:0", "--http-exposed-without-protection"],
            "adds --exposed-without-protection",
        ),
        (&["--set", "limits.bach=1"], "did you mean `limits.batch`?"),
        (&["--set", "limits.batch"], "KEY=VALUE"),
        (&["--set", "limits.batch=0"], "a number from 1"),
        (&["--listen", "0.0.0.0:0"], "--exposed-without-protection"),
        (&["--tls-cert", "empty.pem"], "--tls-key"),
        (
            &["--tls-cert", "empty.pem", "--tls-key", "empty.pem"],
            "empty.pem",
        ),
        (&["--tokens", "absent.toml"], "absent.toml"),
        (
            &["--verify", "sometimes"],
            "a verification mode is off, dual",
        ),
    ] {
        let mut all = vec!["--store", "sled:fresh", "serve"];
        all.extend(args);
        for argument in ["--listen", "--http"] {
            if !args.contains(&argument) {
                all.extend([argument, "127.0.0.1:0"]);
            }
        }
        let ended = bench.run(&all);
        let said = err(&ended);
        assert!(
            matches!(ended.status.code(), Some(2 | 3)),
            "{args:?}: {said}"
        );
        assert!(said.contains(expected), "{args:?}: {said}");
        assert!(!bench.path("fresh").exists(), "{args:?} began a store");
    }
}

#[test]
fn mistakes_of_all_places_are_told_at_once_and_variables_that_set_nothing_are_some() {
    let bench = Bench::new();
    bench.file("wrong.toml", "lisen = 1\n");
    let args = ["--store", "sled:fresh", "serve", "--config", "wrong.toml"];
    let mut command = bench.command(&args);
    command.args(["--set", "limits.batch=0", "--tls-key", "key.pem"]);
    command.env("DERIVA_SERVE_LIMITS_REQUEST", "1");
    command.env("DERIVA_SERVE_LISTENS", "127.0.0.1:0");
    command.env("DERIVA_SERVE_HTTP", "here");
    let ended = command.output().unwrap();
    let said = err(&ended);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    for expected in [
        "wrong.toml has a mistake",
        "variable: DERIVA_SERVE_LIMITS_REQUEST\n",
        "did you mean `DERIVA_SERVE_LIMITS_REQUESTS`?",
        "did you mean `DERIVA_SERVE_LISTEN`?",
        "variable: DERIVA_SERVE_HTTP\n",
        "a number from 1",
        "--tls-cert",
    ] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    assert!(!bench.path("fresh").exists());
    let mut command = bench.command(&["--store", "sled:fresh", "serve", "--print-config"]);
    let ended = command.env("DERIVA_SERVE_LISTENS", "x").output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", err(&ended));
}

#[test]
fn it_listens_at_a_name_of_this_host_and_answers_no_http_where_that_is_off() {
    let bench = Bench::new();
    let args = ["--store", "sled:served", "serve", "--listen", "localhost:0"];
    let mut child = bench
        .command(&args)
        .args(["--http", "off"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    let code = child.wait().unwrap().code();
    let url = line.trim().strip_prefix("ready: ").unwrap_or_default();
    let is_own = ["deriva://127.0.0.1:", "deriva://[::1]:"];
    assert!(is_own.iter().any(|own| url.starts_with(own)), "{line}");
    assert!(!line.contains("http"), "{line}");
    assert_eq!(code, Some(0));
    let printed = bench.ok(&["serve", "--print-config", "--http", "off"]);
    assert!(
        printed.contains("from: --http\nhttp = \"off\"\n"),
        "{printed}"
    );
    bench.file("off.toml", "http = \"off\"\nlisten = \"localhost:1\"\n");
    let printed = bench.ok(&["serve", "--print-config", "--config", "off.toml"]);
    assert!(
        printed.contains("off.toml:1\nhttp = \"off\"\n"),
        "{printed}"
    );
}

#[test]
fn a_start_that_is_refused_tells_of_all_mistakes_and_begins_no_store() {
    let bench = Bench::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    // No resolver is asked for such a label.
    let nobody = format!("{}:0", "a".repeat(64));
    let cases: [(&[&str], i32, &[&str]); 4] = [
        (&["--listen", &taken, "--http", "off"], 6, &[&taken]),
        (&["--http", &taken], 6, &[&taken]),
        (&["--listen", &nobody, "--http", "off"], 6, &[&nobody]),
        (
            &[
                "--listen",
                "0.0.0.0:1",
                "--http",
                "0.0.0.0:2",
                "--tokens",
                "absent.toml",
            ],
            2,
            &["0.0.0.0:1", "0.0.0.0:2", "absent.toml"],
        ),
    ];
    for (args, code, expected) in cases {
        let listen: &[&str] = match args.contains(&"--listen") {
            true => &[],
            false => &["--listen", "127.0.0.1:0"],
        };
        let all = [&["--store", "sled:fresh", "serve"], listen, args].concat();
        let ended = bench.run(&all);
        assert_eq!(ended.status.code(), Some(code), "{}", err(&ended));
        for part in expected {
            assert!(err(&ended).contains(part), "{part} in {}", err(&ended));
        }
        assert!(!bench.path("fresh").exists(), "{args:?}");
    }
}

#[test]
fn names_of_hosts_are_told_from_numbers_with_mistakes() {
    let bench = Bench::new();
    for name in ["3f2a9c01:1", "node-7.example:1", "10.0.0.5a:1", "x:0"] {
        bench.ok(&["serve", "--print-config", "--listen", name]);
    }
    for number in [
        "127.0.0.256:1",
        "127.0.1:1",
        "0x7f:1",
        "127.0.0.1",
        ":1",
        "x:70000",
    ] {
        let ended = bench.run(&["serve", "--print-config", "--listen", number]);
        assert_eq!(ended.status.code(), Some(2), "{number}");
        assert!(
            err(&ended).contains("a name, with a port"),
            "{}",
            err(&ended)
        );
    }
}

#[test]
fn what_the_guide_shows_is_taken() {
    let guide = include_str!("../../../docs/guide/serve.md");
    let mut blocks = guide.split("```toml\n").skip(1);
    let mut block = || blocks.next().unwrap().split("```").next().unwrap();
    let bench = Bench::new();
    bench.file("tokens.toml", block());
    bench.file("serve.toml", block());
    assert!(blocks.next().is_none());
    let printed = bench.ok(&["serve", "--config", "serve.toml", "--print-config"]);
    assert!(
        printed.contains("serve.toml:6\nlimits.stored_bytes = \"500GiB\""),
        "{printed}"
    );
    let serving = Serving::begin(&bench, &["--tokens", "tokens.toml"]);
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().0, Some(0));
}

/// The example with all that it leaves out: a setting that is commented out has `#` and no space before it.
fn uncommented(example: &str) -> String {
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_example_in_deploy_has_every_setting_and_shows_defaults() {
    let example = include_str!("../../../deploy/deriva.toml");
    let bench = Bench::new();
    let settings = |file: &str, text: &str| -> Vec<serde_json::Value> {
        bench.file(file, text);
        let printed = bench.ok(&["serve", "--config", file, "--print-config", "--json"]);
        serde_json::from_str(&printed).unwrap()
    };
    let defaults = settings("empty.toml", "");
    let all = settings("all.toml", &uncommented(example));
    assert_eq!(all.len(), defaults.len());
    for setting in &all {
        let origin = setting["origin"].as_str().unwrap();
        assert!(origin.starts_with("all.toml:"), "not there: {setting}");
    }
    // What is left out is shown as it is without it, where it is anything then.
    let given = settings("given.toml", example);
    let left_out = given.iter().filter(|it| it["origin"] == "default");
    let mut count = 0;
    for setting in left_out {
        let shown = all.iter().find(|it| it["key"] == setting["key"]).unwrap();
        assert_eq!(shown["value"], setting["value"], "{}", setting["key"]);
        count += 1;
    }
    assert!(count >= 14, "{count}");
}

#[test]
fn the_example_in_deploy_serves_once_its_secrets_were_put_in_place() {
    let bench = Bench::new();
    bench.file("serve.toml", include_str!("../../../deploy/deriva.toml"));
    let tokens = include_str!("../../../deploy/tokens.toml");
    bench.file("tokens.toml", tokens);
    let refused = bench.run(&["--store", "memory:", "serve", "--config", "serve.toml"]);
    let said = err(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("openssl rand -hex 32"), "{said}");

    let mut text = uncommented(tokens);
    for role in ["read", "write", "admin"] {
        text = text.replacen("CHANGE ME", &format!("{role}-0123456789abcdef"), 1);
    }
    assert!(!text.contains("CHANGE ME"));
    bench.file("tokens.toml", text);
    let serving = Serving::begin(&bench, &["--config", "serve.toml"]);
    assert!(serving.get("/readyz").contains(" 200 "));
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().0, Some(0));
}
