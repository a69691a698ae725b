//! What is put, and what becomes of the work when a file cannot be read or nobody reads the report.

#![cfg(unix)]

use std::io::{Read, Write};
use std::process::Stdio;

use crate::common::{Bench, addr, err};
use rustix::fs::{CWD, FileType, Mode, mknodat};

fn fifo(bench: &Bench, name: &str) {
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, bench.path(name), FileType::Fifo, mode, 0).expect("a FIFO");
}

#[test]
fn a_pipe_that_is_named_is_read() {
    let bench = Bench::new();
    fifo(&bench, "pipe");
    let child = bench
        .command(&["put", "pipe"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::fs::write(bench.path("pipe"), "through a pipe").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.ends_with("  pipe\n"), "{line}");
    assert_eq!(bench.ok(&["get", &addr(&line)]), "through a pipe");
}

#[test]
fn stdin_and_devices_are_read_by_their_names() {
    let bench = Bench::new();
    let mut child = bench
        .command(&["put", "/dev/stdin", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"typed").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert_eq!(bench.ok(&["get", &addr(&text)]), "typed");
    assert!(text.ends_with("  /dev/null\n"), "{text}");
}

#[test]
fn what_cannot_be_stored_takes_nothing_else_with_it() {
    let bench = Bench::new();
    bench.file("a", "one");
    bench.file("z", "two");
    let socket = std::os::unix::net::UnixListener::bind(bench.path("socket")).unwrap();
    let output = bench.run(&["put", "a", "nope", "socket", "z"]);
    drop(socket);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.lines().count(), 2, "{text}");
    let told = err(&output);
    assert!(
        told.contains("path: nope") && told.contains("path: socket"),
        "{told}"
    );
    assert!(
        told.contains("2 paths could not be stored; 2 files stored"),
        "{told}"
    );
    let last = text.lines().last().unwrap();
    assert_eq!(bench.ok(&["get", &addr(last)]), "two");
}

#[test]
fn an_unreadable_file_in_a_folder_is_named_and_the_others_are_stored() {
    // No permission binds root, so a file that reads fail on stands in: memory of a process at its address 0.
    let bench = Bench::new();
    bench.file("d/a", "one");
    bench.file("d/z", "two");
    std::os::unix::fs::symlink("/proc/self/mem", bench.path("d/m")).unwrap();
    std::os::unix::fs::symlink("/nowhere", bench.path("d/n")).unwrap();
    let output = bench.run(&["put", "d"]);
    let told = err(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("path: d/m") && told.contains("1 name below d left out"),
        "{told}"
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
    assert_eq!(bench.json(&["status", "--json"])["blobs"], 2);
}

#[test]
fn a_reader_that_goes_away_ends_the_report_and_not_the_work() {
    let bench = Bench::new();
    const FILES: usize = 3000;
    for n in 0..FILES {
        bench.file(&format!("d/{n}"), n.to_string());
    }
    let mut child = bench
        .command(&["put", "d"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    assert!(child.wait().unwrap().success());
    assert_eq!(bench.json(&["status", "--json"])["blobs"], FILES);
}

#[test]
fn a_failure_is_told_by_the_exit_code_also_where_nobody_reads() {
    let bench = Bench::new();
    bench.file("in/a", "no zstd");
    let mut text = "name = \"p\"\nroot = \"in\"\n[sources.f]\ninclude = [\"**\"]\n".to_owned();
    // A report that does not fit into a pipe.
    for n in 0..1500 {
        let name = format!("a-step-with-a-name-that-takes-much-room-in-a-report-{n}");
        text += &format!("[steps.{name}]\nfunction = \"text.upper/1\"\neach = \"f\"\n");
    }
    text += "[steps.u]\nfunction = \"compress.unzstd/1\"\neach = \"f\"\n[outputs]\n\"u\" = \"u\"\n";
    bench.file("p.toml", text);
    let mut child = bench
        .command(&["run", "p.toml", "--keep-going"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn names_cannot_steer_a_terminal() {
    let bench = Bench::new();
    bench.file("a", "x");
    let a = addr(&bench.ok(&["put", "a"]));
    bench.ok(&["root", "set", "evil\u{1b}[2J\nname", &a]);
    let text = bench.ok(&["root", "ls"]);
    assert!(
        text.contains("evil\\u{1b}[2J\\nname") && text.lines().count() == 2,
        "{text}"
    );
    let told = bench.fails(3, &["put", "no\u{1b}[2J\nerror: x"]);
    assert!(
        told.contains("no\\u{1b}[2J\\nerror: x") && !told.contains('\u{1b}'),
        "{told}"
    );
    let recipe = bench.line(&["recipe", "x.y/1", "--allow-unknown", "-p", "k\u{9b}=v"]);
    let shown = bench.ok(&["show", &recipe]);
    assert!(shown.contains("k\\u{9b}"), "{shown}");
    // What a program reads stays as it is.
    bench.file("e\u{1b}", "y");
    assert!(bench.ok(&["put", "e\u{1b}"]).ends_with("  e\u{1b}\n"));
}
