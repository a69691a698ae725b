//! A collector that is away, refuses or hangs costs spans, and nothing else.

use std::time::Duration;

use deriva_api::{Error, ErrorKind};
use deriva_metrics::Metrics;
use deriva_otel::{Otel, TraceContext};
use tokio::net::TcpListener;
use tracing::info_span;

use crate::collector::{Answer, Collector};
use crate::common::{LONG, instance, recipe, recording, to};

/// Requests that have to be done, whatever the collector does; then the end, which comes in time.
async fn work_and_end(otel: &Otel) -> Error {
    let deriva = instance().await;
    otel.push_metrics(deriva.instrument::<Metrics>().unwrap());
    let recorded = recording(otel);
    for request in 0..20 {
        let addr = recipe(&deriva, "heavy", &request.to_string()).await;
        deriva.get(addr.unwrap()).await.unwrap();
    }
    drop(recorded);
    let ended = tokio::time::timeout(LONG, otel.shutdown()).await;
    ended.expect("it ends in time").unwrap_err()
}

fn not_sent(error: &Error) -> u64 {
    error.context("spans_not_sent").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_collector_that_is_away_is_told_at_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let otel = Otel::builder()
        .endpoint(&url)
        .timeout(Duration::from_secs(5))
        .delay(Duration::from_millis(1))
        .build()
        .unwrap();
    let error = work_and_end(&otel).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    assert_eq!(error.context("spans_sent"), Some("0"));
    assert!(not_sent(&error) >= 20, "{error:#}");
    assert_eq!(error.context("metrics_sent"), Some("false"));
    assert_eq!(error.context("endpoint"), Some(&*url));
    assert!(error.advice().unwrap().contains("4317"), "{error:#}");
    otel.shutdown().await.expect("it has ended");
}

#[tokio::test]
async fn a_collector_that_refuses_is_told_at_the_end() {
    let collector = Collector::start().await;
    collector.answers(Answer::Refuses);
    let otel = to(&collector).build().unwrap();
    let error = work_and_end(&otel).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    assert!(not_sent(&error) >= 20, "{error:#}");
    assert!(
        error.context("why").unwrap().contains("PermissionDenied"),
        "{error:#}"
    );
    assert_eq!(error.context("metrics_sent"), Some("false"));
    assert!(collector.received().spans.is_empty());
}

#[tokio::test]
async fn a_collector_that_hangs_holds_up_neither_requests_nor_the_end() {
    let collector = Collector::start().await;
    collector.answers(Answer::Hangs);
    let otel = Otel::builder()
        .endpoint(collector.url())
        .timeout(Duration::from_millis(200))
        .delay(Duration::from_millis(1))
        .metrics_interval(Duration::from_millis(1))
        .build()
        .unwrap();
    let error = work_and_end(&otel).await;
    let kinds = [ErrorKind::Unavailable, ErrorKind::Timeout];
    assert!(kinds.contains(&error.kind()), "{error:#}");
    assert!(not_sent(&error) >= 20, "{error:#}");
    assert_eq!(error.context("metrics_sent"), Some("false"));
}

#[tokio::test]
async fn metrics_alone_that_are_not_taken_are_told_as_well() {
    let collector = Collector::start().await;
    collector.answers(Answer::Refuses);
    let otel = to(&collector).build().unwrap();
    let deriva = instance().await;
    otel.push_metrics(deriva.instrument::<Metrics>().unwrap());
    let error = otel.shutdown().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:#}");
    assert_eq!(error.context("code"), Some("PermissionDenied"));
    assert_eq!(error.context("spans_not_sent"), Some("0"));
}

#[tokio::test]
async fn a_collector_that_comes_back_gets_what_waits() {
    let collector = Collector::start().await;
    collector.answers(Answer::Hangs);
    let otel = to(&collector)
        .delay(Duration::from_millis(1))
        .build()
        .unwrap();
    let recorded = recording(&otel);
    for _ in 0..100 {
        info_span!("waiting").in_scope(|| ());
    }
    drop(recorded);
    collector.answers(Answer::Takes);
    otel.shutdown().await.unwrap();
    assert_eq!(collector.received().named("waiting").len(), 100);
}

#[tokio::test]
async fn spans_that_find_no_room_in_the_queue_are_dropped_and_counted() {
    const ENDED: usize = 1000;
    const QUEUE: usize = 8;
    let collector = Collector::start().await;
    collector.answers(Answer::Hangs);
    let otel = to(&collector).queue(QUEUE).build().unwrap();
    let recorded = recording(&otel);
    for _ in 0..ENDED {
        info_span!("one of many").in_scope(|| ());
    }
    drop(recorded);
    collector.answers(Answer::Takes);
    let error = otel.shutdown().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error:#}");
    assert!(error.advice().unwrap().contains("queue"), "{error:#}");
    let sent = collector.received().spans.len();
    // Those that wait, and one export that is under way.
    assert!((1..=2 * QUEUE).contains(&sent), "{sent}");
    assert_eq!(error.context("spans_sent").unwrap(), sent.to_string());
    assert_eq!(not_sent(&error), (ENDED - sent) as u64);
}

#[test]
fn without_a_runtime_it_is_refused() {
    let error = Otel::builder().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.advice().is_some(), "{error:#}");
    // Nothing that it would do without one.
    assert_eq!(TraceContext::current(), None);
}
