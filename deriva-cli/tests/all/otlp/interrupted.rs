//! A call that a signal ends is sent as well.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::collector::{Answer, Collector};
use super::{LONG, TRACE, TRACEPARENT, burning, collector, field, hex, requests};
use crate::common::{Bench, err};

/// More work than a test has time for: it ends by its signal.
fn start(bench: &Bench, url: &str, variables: &[(&str, &str)]) -> Child {
    burning(bench, 2000, 200);
    bench
        .command(&["run", "p.toml", "--jobs", "1", "--otlp", url])
        .envs(variables.iter().copied())
        .env("TRACEPARENT", TRACEPARENT)
        .env("OTEL_BSP_SCHEDULE_DELAY", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(run: &Child) {
    kill_process(Pid::from_child(run), Signal::INT).unwrap();
}

/// Waits until something was computed and sent.
async fn busy(collector: &Collector) {
    let busy = collector.once(|received| !received.named("compute").is_empty());
    tokio::time::timeout(LONG, busy).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_by_then_arrives() {
    let (collector, url) = collector().await;
    let bench = Bench::new();
    let run = start(&bench, &url, &[]);
    busy(&collector).await;
    signal(&run);
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", err(&output));
    assert!(output.stdout.is_empty());
    assert!(!err(&output).contains("note:"), "{}", err(&output));

    let received = collector.received();
    let command = received.only("deriva run");
    assert_eq!(hex(&command.trace_id), TRACE);
    assert_eq!(field(command, "process.exit.code").as_deref(), Some("130"));
    assert_eq!(field(command, "kind").as_deref(), Some("cancelled"));
    assert_eq!(requests(&received, "cancelled"), Some(1.0));
    for span in &received.spans {
        assert_eq!(hex(&span.trace_id), TRACE, "{}", span.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_call_that_waits_for_its_collector() {
    let (collector, url) = collector().await;
    let bench = Bench::new();
    let mut run = start(&bench, &url, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")]);
    busy(&collector).await;
    collector.answers(Answer::Hangs);
    signal(&run);
    let pid = Pid::from_child(&run);
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let told = lines
        .by_ref()
        .find(|line| line.as_ref().unwrap().starts_with("next:"));
    assert!(told.is_some(), "it says that it was interrupted");
    // One that comes before it listens again is not heard.
    let mut ended = tokio::task::spawn_blocking(move || run.wait().unwrap());
    let asked = async {
        loop {
            let _ = kill_process(pid, Signal::INT);
            if let Ok(ended) = tokio::time::timeout(Duration::from_millis(50), &mut ended).await {
                return ended.unwrap();
            }
        }
    };
    let ended = tokio::time::timeout(LONG, asked).await.unwrap();
    assert_eq!(ended.code(), Some(130));
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(
        rest.len() == 1 && rest[0].contains("a signal came"),
        "{rest:?}"
    );
}
