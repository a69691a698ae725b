//! A collector that is away, refuses or hangs costs a note, and nothing else.

use std::net::TcpListener;

use super::collector::Answer;
use super::{collector, recipes, with};
use crate::common::{Bench, err};

/// A URL where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Calls that succeed and that fail are as they would be without a collector, but for one note, which says these, and the next
/// step.
fn costs_one_note(
    bench: &Bench,
    calls: &[(i32, &[&str])],
    variables: &[(&str, &str)],
    says: &[&str],
) {
    for (code, args) in calls {
        let quiet = bench.run(args);
        let told = with(bench, variables, args);
        assert_eq!(quiet.status.code(), Some(*code), "{}", err(&quiet));
        assert_eq!(told.status.code(), Some(*code), "{}", err(&told));
        assert_eq!(told.stdout, quiet.stdout);
        let (quiet, told) = (err(&quiet), err(&told));
        let note = told.strip_prefix(&quiet).unwrap();
        let lines: Vec<&str> = note.lines().collect();
        assert_eq!(lines.len(), 2, "{note}");
        assert!(lines[0].starts_with("note: "), "{note}");
        assert!(
            lines[1].starts_with("next: ") && lines[1].contains("4317"),
            "{note}"
        );
        for part in says {
            assert!(note.contains(part), "{part} in {note}");
        }
    }
}

#[test]
fn one_that_is_away_is_told_in_a_note() {
    let (bench, loud, wrong) = recipes();
    let url = nobody();
    let calls: [(i32, &[&str]); 4] = [
        (0, &["get", &loud]),
        (0, &["functions", "--json"]),
        (1, &["get", &wrong]),
        (3, &["--store", "sled:nowhere", "status"]),
    ];
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*url)];
    costs_one_note(
        &bench,
        &calls,
        &variables,
        &["not sent to", &url, "refused"],
    );
    // By the option it is the same.
    let told = err(&bench.run(&["get", &loud, "--otlp", &url]));
    assert!(
        told.starts_with("note: 4 spans and the metrics were not sent"),
        "{told}"
    );
    let told = err(&bench.run(&["functions", "--otlp", &url]));
    assert!(told.starts_with("note: 1 span was not sent"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_refuses_or_hangs_is_told_in_a_note() {
    let (collector, url) = collector().await;
    let (bench, loud, wrong) = recipes();
    let calls: [(i32, &[&str]); 2] = [(0, &["get", &loud]), (1, &["get", &wrong])];
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url);
    collector.answers(Answer::Refuses);
    costs_one_note(
        &bench,
        &calls,
        &[endpoint],
        &["not sent to", "PermissionDenied"],
    );
    collector.answers(Answer::Hangs);
    let soon = [endpoint, ("OTEL_EXPORTER_OTLP_TIMEOUT", "200")];
    costs_one_note(&bench, &calls, &soon, &["not sent to"]);
    assert!(collector.received().spans.is_empty());
}
