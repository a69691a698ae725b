//! `--metrics` and `--metrics-listen`: what a batch job counted, for Prometheus.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::common::{Bench, addr, err};

const PIPELINE: &str = r#"
name = "words"

[sources.words]
include = ["*.txt"]

[steps.loud]
function = "text.upper/1"
each = "words"
"#;

fn bench(files: usize) -> Bench {
    let bench = Bench::new();
    bench.file("pipeline.toml", PIPELINE);
    for file in 0..files {
        bench.file(&format!("{file}.txt"), format!("word {file}"));
    }
    bench
}

#[test]
fn a_run_writes_what_it_counted() {
    let bench = bench(3);
    bench.run(&["run", "pipeline.toml", "--metrics", "first.prom"]);
    let first = bench.read("first.prom");
    for line in [
        "deriva_materialize_total{result=\"computed\"} 1\n",
        "deriva_compute_duration_seconds_count{function=\"text.upper/1\"} 3\n",
        "deriva_recipes 3\n",
        "# TYPE deriva_store_operations_total counter\n",
    ] {
        assert!(first.contains(line), "{line} in {first}");
    }
    bench.run(&["run", "pipeline.toml", "--metrics", "second.prom"]);
    let second = bench.read("second.prom");
    assert!(second.contains("deriva_materialize_total{result=\"computed\"} 0\n"));
    assert!(!second.contains("deriva_compute_duration_seconds_count{"));
}

#[test]
fn what_failed_writes_what_it_counted_too() {
    let bench = bench(1);
    let leaf = addr(&bench.line(&["put", "0.txt"]));
    let bad = bench.line(&["recipe", "compress.unzstd/1", "--input", &leaf]);
    bench.fails(1, &["get", &bad, "--metrics", "failed.prom"]);
    let text = bench.read("failed.prom");
    assert!(
        text.contains("deriva_materialize_total{result=\"failed\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("deriva_compute_failures_total{function=\"compress.unzstd/1\",kind="));
    // What is no folder.
    let refused = bench.run(&["get", &leaf, "--metrics", "0.txt/there.prom"]);
    assert!(!refused.status.success());
    assert!(err(&refused).contains("0.txt"), "{}", err(&refused));
}

#[test]
fn a_run_tells_what_it_counted_so_far_to_who_asks() {
    for doubling in 0..8 {
        let bench = bench(100 << doubling);
        let mut command =
            bench.command(&["run", "pipeline.toml", "--metrics-listen", "127.0.0.1:0"]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut run = command.spawn().unwrap();
        let mut told = BufReader::new(run.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("metrics: http://").unwrap();
        let (host, path) = url.split_at(url.find('/').unwrap());
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(host)?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = asked();
        std::io::copy(&mut told, &mut std::io::sink()).unwrap();
        assert!(run.wait().unwrap().success());
        // Where the run had ended by then, the next one is longer.
        if let Ok(answer) = answer
            && !answer.is_empty()
        {
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(
                answer.contains("content-type: text/plain; version=0.0.4"),
                "{answer}"
            );
            assert!(answer.contains("deriva_build_info{version="), "{answer}");
            return;
        }
    }
    panic!("no run was long enough to be asked");
}

#[test]
fn an_address_that_cannot_be_had_is_said_before_anything_is_done() {
    let bench = bench(1);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let refused = bench.fails(6, &["run", "pipeline.toml", "--metrics-listen", &addr]);
    assert!(refused.contains("--metrics-listen"), "{refused}");
    assert!(!bench.path(".deriva").exists());
    bench.fails(2, &["run", "pipeline.toml", "--metrics-listen", "here"]);
}
