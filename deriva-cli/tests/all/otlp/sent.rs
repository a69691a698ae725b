//! What arrives.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::{PARENT, TRACE, TRACEPARENT, burning, collector, field, hex, recipes, requests, with};
use crate::common::{Bench, err};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_a_part_of_the_trace_of_who_called() {
    let (collector, url) = collector().await;
    let bench = Bench::new();
    burning(&bench, 3, 1);
    let caller = [("TRACEPARENT", TRACEPARENT), ("TRACESTATE", "vendor=1")];
    let args = ["run", "p.toml", "--request-id", "night-1", "--otlp", &url];
    let output = with(&bench, &caller, &args);
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(err(&output), "", "nothing is said of what works");

    let received = collector.received();
    let command = received.only("deriva run");
    assert_eq!(hex(&command.trace_id), TRACE);
    assert_eq!(hex(&command.parent_span_id), PARENT);
    assert_eq!(command.trace_state, "vendor=1");
    assert_eq!(field(command, "process.exit.code").as_deref(), Some("0"));
    assert_eq!(field(command, "kind"), None);
    // Each output that is written is another request, which has nothing to compute.
    let requests = received.named("materialize");
    for request in &requests {
        assert_eq!(request.parent_span_id, command.span_id);
    }
    let named = |span: &&&Span| field(span, "request").as_deref() == Some("night-1");
    let request = requests.iter().find(named).unwrap();
    assert_eq!(field(request, "computed").as_deref(), Some("3"));
    let child = |name: &str, of: &Span| {
        let named = received.named(name);
        let mut below = named.iter().filter(|it| it.parent_span_id == of.span_id);
        let first = below.next().map(|span| (*span).clone());
        first.filter(|_| below.next().is_none())
    };
    let stage = child("stage", request).expect("one stage");
    child("plan", &stage).expect("one plan");
    let computed = received.named("compute");
    assert_eq!(computed.len(), 3);
    for span in computed {
        assert_eq!(span.parent_span_id, stage.span_id);
        let function = field(span, "function");
        assert_eq!(function.as_deref(), Some("bench.burn/1"));
    }
    for span in received.named("commit") {
        assert_eq!(span.parent_span_id, stage.span_id);
    }
    assert!(!received.named("commit").is_empty());
    for span in &received.spans {
        assert_eq!(hex(&span.trace_id), TRACE, "{}", span.name);
        assert!(span.start_time_unix_nano >= command.start_time_unix_nano);
    }
    assert_eq!(received.of_sender("service.name").unwrap(), "deriva");
    assert_eq!(super::requests(&received, "computed"), Some(1.0));
    let stored = received.number("deriva_recipes", &[]);
    assert_eq!(stored, Some(3.0), "the stores are asked before they close");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variable_alone_turns_it_on_and_the_option_goes_before_it() {
    let (collector, url) = collector().await;
    let (bench, loud, _) = recipes();
    let variable = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*url)];
    let output = with(&bench, &variable, &["get", &loud]);
    assert_eq!((&*output.stdout, &*err(&output)), (&b"WORD"[..], ""));
    let received = collector.received();
    let command = received.only("deriva get");
    assert!(
        command.parent_span_id.is_empty(),
        "nobody said whose part it is"
    );
    assert_eq!(received.only("materialize").parent_span_id, command.span_id);
    assert_eq!(received.metrics.len(), 1);

    let other = super::collector::Collector::start().await;
    let args = ["functions", "--otlp", &other.url()];
    let output = with(&bench, &variable, &args);
    assert_eq!(err(&output), "");
    other.received().only("deriva functions");
    assert!(other.received().metrics.is_empty(), "there is no store");
    assert_eq!(collector.received().spans.len(), received.spans.len());
    // Set to nothing, as a shell does.
    let nothing = [("OTEL_EXPORTER_OTLP_ENDPOINT", "")];
    let output = with(&bench, &nothing, &["get", &loud]);
    assert_eq!((&*output.stdout, &*err(&output)), (&b"WORD"[..], ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_is_sent_with_how_it_failed() {
    let (collector, url) = collector().await;
    let (bench, _, wrong) = recipes();
    let quiet = bench.fails(1, &["get", &wrong]);
    let told = bench.fails(1, &["get", &wrong, "--otlp", &url]);
    assert_eq!(told, quiet);
    let received = collector.received();
    let command = received.only("deriva get");
    assert_eq!(field(command, "process.exit.code").as_deref(), Some("1"));
    assert_eq!(field(command, "kind").as_deref(), Some("invalid"));
    let status = command.status.clone().unwrap();
    assert_eq!(status.code, i32::from(StatusCode::Error));
    assert_eq!(requests(&received, "failed"), Some(1.0));

    // Where not even a store is opened.
    bench.fails(3, &["--store", "sled:nowhere", "status", "--otlp", &url]);
    let received = collector.received();
    let command = received.only("deriva status");
    assert_eq!(field(command, "process.exit.code").as_deref(), Some("3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_says_whether_the_trace_is_recorded() {
    let (collector, url) = collector().await;
    let (bench, loud, _) = recipes();
    let not_recorded = TRACEPARENT.replace("-01", "-00");
    let caller = [("TRACEPARENT", &*not_recorded)];
    let output = with(&bench, &caller, &["get", &loud, "--otlp", &url]);
    assert_eq!((&*output.stdout, &*err(&output)), (&b"WORD"[..], ""));
    let received = collector.received();
    assert!(received.spans.is_empty());
    assert_eq!(requests(&received, "computed"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_and_the_collector_have_a_filter_each() {
    let (collector, url) = collector().await;
    let (bench, loud, _) = recipes();
    for (log, lines) in [("info", 1), ("off", 0), ("deriva=error", 0)] {
        let output = bench.run(&["get", &loud, "--log", log, "--otlp", &url]);
        let told = err(&output);
        assert_eq!(output.stdout, b"WORD");
        assert_eq!(told.lines().count(), lines, "{log}: {told}");
        bench.ok(&["invalidate", &loud]);
    }
    // A trace in the log does not send the calls of stores.
    let output = bench.run(&["get", &loud, "--log", "trace", "--otlp", &url]);
    assert!(err(&output).contains("store.dag_"), "{}", err(&output));
    let received = collector.received();
    assert_eq!(received.named("deriva get").len(), 4);
    assert_eq!(received.named("plan").len(), 4);
    let of_stores = received.spans.iter();
    let of_stores = of_stores.filter(|span| span.name.starts_with("store."));
    assert_eq!(of_stores.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_stores_the_first_is_counted() {
    let (collector, url) = collector().await;
    let bench = Bench::new();
    burning(&bench, 2, 1);
    for store in ["sled:one", "sled:other"] {
        bench.ok(&["--store", store, "run", "p.toml"]);
    }
    bench.file("in/more.txt", "more");
    bench.ok(&["--store", "sled:one", "run", "p.toml"]);
    let recipe = bench.line(&[
        "--store",
        "sled:one",
        "quarantine",
        "outputs",
        "bench.burn/1",
    ]);
    let recipe = recipe.split_whitespace().next().unwrap();
    bench.run(&["bisect", "sled:one", "sled:other", recipe, "--otlp", &url]);
    let received = collector.received();
    let metrics = received.metrics.last().unwrap().iter();
    let named = metrics.filter(|metric| metric.name == "deriva_recipes");
    assert_eq!(named.count(), 1);
    assert_eq!(received.number("deriva_recipes", &[]), Some(3.0));
}
