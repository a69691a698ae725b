//! `--otlp`: what a collector gets of a call, and what the caller notices of the collector.

#[path = "../../../../deriva-otel/tests/all/collector.rs"]
mod collector;

mod away;
mod interrupted;
mod sent;
mod wrong;

use std::process::Output;
use std::time::Duration;

use collector::{Collector, Received};
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::common::{Bench, addr};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// A pipeline of heavy steps, this many.
fn burning(bench: &Bench, steps: usize, units: u64) {
    let pipeline = format!(
        r#"
name = "burn"
root = "in"
[sources.files]
include = ["*.txt"]
[steps.burn]
function = "bench.burn/1"
params = {{ units = {units} }}
each = "files"
[outputs]
"burnt" = "burn"
"#
    );
    bench.file("p.toml", pipeline);
    for step in 0..steps {
        bench.file(&format!("in/{step}.txt"), step.to_string());
    }
}

/// A recipe that computes, and one that fails.
fn recipes() -> (Bench, String, String) {
    let bench = Bench::new();
    bench.file("word.txt", "word");
    let leaf = addr(&bench.line(&["put", "word.txt"]));
    let loud = bench.line(&["recipe", "text.upper/1", "--input", &leaf]);
    let wrong = bench.line(&["recipe", "compress.unzstd/1", "--input", &leaf]);
    (bench, loud, wrong)
}

/// Runs with these variables.
fn with(bench: &Bench, variables: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = bench.command(args);
    command.envs(variables.iter().copied());
    command.output().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A field of a span.
fn field(span: &Span, key: &str) -> Option<String> {
    collector::attribute(&span.attributes, key)
}

/// The sample of the requests that ended so.
fn requests(received: &Received, result: &str) -> Option<f64> {
    received.number("deriva_materialize_total", &[("result", result)])
}

/// A collector, and what it is called.
async fn collector() -> (Collector, String) {
    let collector = Collector::start().await;
    let url = collector.url();
    (collector, url)
}
