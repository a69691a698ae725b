//! What is typed wrong.

use super::{TRACE, TRACEPARENT, burning, collector, field, hex, recipes, with};
use crate::common::{Bench, err};

#[test]
fn an_option_that_names_no_collector_is_a_mistake_of_the_call() {
    let bench = Bench::new();
    burning(&bench, 1, 1);
    for (url, next) in [
        ("", "http://HOST:PORT"),
        ("localhost:4317", "http://HOST:PORT"),
        ("http://", "http://HOST:PORT"),
        ("ftp://localhost:4317", "http://HOST:PORT"),
        ("https://localhost:4317", "on this machine"),
        ("http://localhost:4318/v1/traces", "4317"),
    ] {
        let told = bench.fails(2, &["run", "p.toml", "--otlp", url]);
        assert!(told.contains(&format!("\n  endpoint: {url}\n")), "{told}");
        assert!(told.contains("\nnext: ") && told.contains(next), "{told}");
    }
    assert!(!bench.path(".deriva").exists(), "nothing was begun");
    let told = bench.fails(2, &["run", "p.toml", "--otlp"]);
    assert!(told.contains("--otlp <URL>"), "{told}");
}

#[test]
fn a_variable_that_names_no_collector_is_told_and_not_fatal() {
    let (bench, loud, _) = recipes();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317");
    let secure = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317");
    for (variables, says) in [
        (&[secure][..], "https://collector:4317"),
        (
            &[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
            "http/protobuf",
        ),
        (&[endpoint, ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")], "soon"),
    ] {
        let output = with(&bench, variables, &["get", &loud]);
        assert!(output.status.success());
        assert_eq!(output.stdout, b"WORD");
        let told = err(&output);
        assert!(told.starts_with("note: nothing is sent"), "{told}");
        assert!(told.contains(says) && told.lines().count() == 1, "{told}");
    }
    // What the call asks for and cannot be done is fatal, whatever is in the way.
    let protocol = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
    let output = with(&bench, &protocol, &["get", &loud, "--otlp", endpoint.1]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_can_be_switched_off() {
    let (collector, url) = collector().await;
    let (bench, loud, _) = recipes();
    let off = ("OTEL_SDK_DISABLED", "true");
    let variables = [off, ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url)];
    let output = with(&bench, &variables, &["get", &loud]);
    assert_eq!((&*output.stdout, &*err(&output)), (&b"WORD"[..], ""));
    let output = with(&bench, &[off], &["get", &loud, "--otlp", &url]);
    assert_eq!(output.stdout, b"WORD");
    assert!(
        err(&output).contains("OTEL_SDK_DISABLED"),
        "{}",
        err(&output)
    );
    assert!(collector.received().spans.is_empty() && collector.received().metrics.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_cannot_be_read_is_told_and_the_call_is_one_of_its_own() {
    let (collector, url) = collector().await;
    let (bench, loud, _) = recipes();
    for wrong in [
        "nonsense",
        "00-0-0-01",
        "\u{1b}[2J",
        &TRACEPARENT.to_uppercase(),
    ] {
        let caller = [("TRACEPARENT", wrong)];
        let output = with(&bench, &caller, &["get", &loud, "--otlp", &url]);
        assert_eq!(output.stdout, b"WORD");
        let told = err(&output);
        assert!(
            told.starts_with("note: ") && told.contains("TRACEPARENT"),
            "{told}"
        );
        assert!(
            told.lines().count() == 1 && !told.contains('\u{1b}'),
            "{told}"
        );
    }
    let received = collector.received();
    let commands = received.named("deriva get");
    assert_eq!(commands.len(), 4);
    for command in commands {
        assert!(command.parent_span_id.is_empty());
        assert_eq!(field(command, "process.exit.code").as_deref(), Some("0"));
    }

    let caller = [("TRACEPARENT", TRACEPARENT), ("TRACESTATE", "nonsense")];
    let output = with(&bench, &caller, &["functions", "--otlp", &url]);
    let told = err(&output);
    assert!(told.starts_with("note: TRACESTATE is left out"), "{told}");
    let received = collector.received();
    let command = received.only("deriva functions");
    assert_eq!(
        (hex(&command.trace_id), &*command.trace_state),
        (TRACE.to_owned(), "")
    );

    // Who sends nothing does not look.
    let output = with(&bench, &[("TRACEPARENT", "nonsense")], &["get", &loud]);
    assert_eq!(err(&output), "");
}
