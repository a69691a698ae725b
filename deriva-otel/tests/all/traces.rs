//! Spans arrive, in the trace of who called.

use std::sync::{Arc, Mutex};

use deriva_otel::{TraceContext, end_span};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tracing::{Instrument, info_span};

use crate::collector::{Collector, attribute};
use crate::common::{PARENT, TRACE, instance, recipe, recording, to, traceparent};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_request_is_a_part_of_the_trace_of_who_called() {
    let collector = Collector::start().await;
    let otel = to(&collector)
        .service_name("previews")
        .attribute("deployment.environment.name", "test")
        .header("api-key", "secret")
        .build()
        .unwrap();
    let deriva = instance().await;
    let addr = recipe(&deriva, "heavy", "x").await.unwrap();
    let recorded = recording(&otel);
    let caller = TraceContext::from_headers(&traceparent(), Some("vendor=1")).unwrap();
    caller.scope(deriva.get(addr)).await.unwrap();
    drop(recorded);
    otel.shutdown().await.unwrap();

    let received = collector.received();
    let request = received.only("materialize");
    assert_eq!(hex(&request.trace_id), TRACE);
    assert_eq!(hex(&request.parent_span_id), PARENT);
    assert_eq!(request.trace_state, "vendor=1");
    let field = |key| attribute(&request.attributes, key);
    assert_eq!(field("addr"), Some(addr.to_string()));
    assert_eq!(field("computed").as_deref(), Some("1"));
    assert!(request.start_time_unix_nano <= request.end_time_unix_nano);
    for span in &received.spans {
        let target = attribute(&span.attributes, "target").unwrap();
        assert!(
            target.starts_with("deriva"),
            "{target}: what sends is recorded"
        );
    }
    assert_eq!(received.of_sender("service.name").unwrap(), "previews");
    let environment = received.of_sender("deployment.environment.name");
    assert_eq!(environment.unwrap(), "test");
    assert!(received.of_sender("service.instance.id").is_some());
    assert!(!received.headers.is_empty());
    for headers in &received.headers {
        assert_eq!(headers.get("api-key").unwrap(), "secret");
    }
}

#[tokio::test]
async fn a_span_between_the_caller_and_the_request_is_between_them_in_the_tree() {
    let collector = Collector::start().await;
    let otel = to(&collector).build().unwrap();
    let deriva = instance().await;
    let addr = recipe(&deriva, "light", "x").await.unwrap();
    let recorded = recording(&otel);
    let caller = TraceContext::from_headers(&traceparent(), None).unwrap();
    let span = info_span!("preview");
    caller.set_parent_of(&span).unwrap();
    deriva.get(addr).instrument(span).await.unwrap();
    let late = info_span!("late").in_scope(tracing::Span::current);
    let error = caller.set_parent_of(&late).unwrap_err();
    assert_eq!(error.kind(), deriva_api::ErrorKind::Invalid, "{error:#}");
    // Both are in the scope of the caller, and the inner one is nearer.
    let outer = info_span!("outer");
    let inner = deriva.get(recipe(&deriva, "light", "y").await.unwrap());
    let inner = caller.scope(inner).instrument(outer);
    inner.await.unwrap();
    drop((late, recorded));
    otel.shutdown().await.unwrap();

    let received = collector.received();
    let preview = received.only("preview");
    assert_eq!(hex(&preview.trace_id), TRACE);
    assert_eq!(hex(&preview.parent_span_id), PARENT);
    let requests = received.named("materialize");
    assert_eq!(requests[0].parent_span_id, preview.span_id);
    assert_eq!(requests[0].trace_id, preview.trace_id);
    assert_eq!(hex(&requests[1].parent_span_id), PARENT);
    let outer = received.only("outer");
    assert_ne!(
        outer.trace_id, preview.trace_id,
        "it is no part of the trace"
    );
    assert!(outer.parent_span_id.is_empty());
}

#[tokio::test]
async fn what_runs_within_a_request_can_tell_others_whose_it_is() {
    let collector = Collector::start().await;
    let otel = to(&collector).build().unwrap();
    let deriva = instance().await;
    let addr = recipe(&deriva, "light", "x").await.unwrap();
    let recorded = recording(&otel);
    let caller = TraceContext::from_headers(&traceparent(), Some("vendor=1")).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    let request = deriva.materialize(addr).progress(move |_| {
        keep.lock().unwrap().push(TraceContext::current());
    });
    caller.scope(request.into_future()).await.unwrap();
    drop(recorded);
    otel.shutdown().await.unwrap();

    let received = collector.received();
    let spans = received.spans.iter();
    let spans: Vec<String> = spans.map(|span| hex(&span.span_id)).collect();
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty());
    for here in seen.iter() {
        let here = here.as_ref().expect("within the request");
        assert_eq!(here.trace_id(), TRACE);
        assert_eq!(here.tracestate(), "vendor=1");
        let sent = here.traceparent();
        let span = sent.split('-').nth(2).unwrap();
        assert!(
            spans.iter().any(|known| known == span),
            "{span} of {spans:?}"
        );
    }
}

#[tokio::test]
async fn a_request_that_fails_is_a_span_that_failed() {
    let collector = Collector::start().await;
    let otel = to(&collector).build().unwrap();
    let deriva = instance().await;
    let wrong = recipe(&deriva, "wrong", "x").await.unwrap();
    let right = recipe(&deriva, "light", "x").await.unwrap();
    let recorded = recording(&otel);
    deriva.materialize(wrong).await.unwrap_err();
    deriva.materialize(right).await.unwrap();
    drop(recorded);
    otel.shutdown().await.unwrap();

    let received = collector.received();
    let requests = received.named("materialize");
    let status = requests[0].status.clone().unwrap();
    assert_eq!(status.code, i32::from(StatusCode::Error));
    assert_eq!(status.message, "function failed");
    let status = requests[1].status.clone().unwrap_or_default();
    assert_eq!(status.code, i32::from(StatusCode::Unset));
}

#[tokio::test]
async fn who_calls_says_whether_a_trace_is_recorded_and_the_share_holds_for_all_others() {
    let collector = Collector::start().await;
    let otel = to(&collector).sampling(0.0).build().unwrap();
    let recorded = recording(&otel);
    let caller = |flags| TraceContext::from_headers(&traceparent().replace("-01", flags), None);
    for (flags, name) in [("-01", "yes"), ("-00", "no")] {
        let caller = caller(flags).unwrap();
        let sent_on = caller.scope(async move {
            let span = match name {
                "yes" => info_span!("yes"),
                _ => info_span!("no"),
            };
            span.in_scope(TraceContext::current)
        });
        let sent_on = sent_on.await.unwrap();
        assert_eq!(sent_on.is_sampled(), caller.is_sampled());
        assert_eq!(sent_on.trace_id(), TRACE);
    }
    info_span!("own").in_scope(|| ());
    drop(recorded);
    otel.shutdown().await.unwrap();
    let received = collector.received();
    received.only("yes");
    assert_eq!(received.spans.len(), 1, "{received:?}");
}

#[tokio::test]
async fn levels_and_targets_are_recorded_as_asked() {
    let collector = Collector::start().await;
    let otel = to(&collector)
        .spans("info,quiet=off,loud=trace")
        .build()
        .unwrap();
    let recorded = recording(&otel);
    info_span!("plain").in_scope(|| ());
    tracing::debug_span!("fine").in_scope(|| ());
    info_span!(target: "quiet", "unheard").in_scope(|| ());
    tracing::trace_span!(target: "loud", "finest").in_scope(|| ());
    info_span!(target: "h2::client", "sending").in_scope(|| ());
    drop(recorded);
    otel.shutdown().await.unwrap();
    let received = collector.received();
    let names: Vec<_> = received.spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["plain", "finest"]);
}

#[tokio::test]
async fn a_span_that_somebody_still_holds_can_be_ended() {
    let collector = Collector::start().await;
    let otel = to(&collector).build().unwrap();
    let recorded = recording(&otel);
    let held = info_span!("held", said = tracing::field::Empty);
    let entered = held.enter();
    held.record("said", "so");
    end_span(&held);
    otel.shutdown().await.unwrap();
    let received = collector.received();
    let span = received.only("held");
    assert_eq!(attribute(&span.attributes, "said").unwrap(), "so");
    drop(entered);
    drop((held, recorded));
    assert_eq!(collector.received().spans.len(), 1);
}

#[tokio::test]
async fn two_in_one_process_each_send_their_own() {
    let (first, second) = (Collector::start().await, Collector::start().await);
    let one = to(&first).service_name("one").build().unwrap();
    let two = to(&second).service_name("two").build().unwrap();
    for (otel, name) in [(&one, "one"), (&two, "two")] {
        let recorded = recording(otel);
        info_span!("work", name).in_scope(|| ());
        drop(recorded);
        otel.shutdown().await.unwrap();
    }
    for (collector, name) in [(&first, "one"), (&second, "two")] {
        let received = collector.received();
        let work = received.only("work");
        assert_eq!(attribute(&work.attributes, "name").unwrap(), name);
        assert_eq!(received.of_sender("service.name").unwrap(), name);
    }
}
