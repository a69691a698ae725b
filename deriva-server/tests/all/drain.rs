//! How a server ends.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use deriva::Request;
use deriva::prelude::*;
use deriva_proto::{error_of, v1};
use deriva_server::{Limits, Server};
use tonic::Streaming;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::common::{PATIENCE, Running, serve, until};

/// A server whose function takes as long as the other half of `gate` is there.
struct Slow {
    server: Server,
    recipe: CAddr,
    gate: mpsc::Sender<()>,
}

async fn slow() -> Slow {
    let (gate, opened) = mpsc::channel::<()>();
    let opened = Mutex::new(opened);
    let wait = move |_: &[Bytes], _: &Params| {
        let _ = opened.lock().unwrap().recv();
        Ok(Bytes::new())
    };
    let builder = Deriva::builder()
        .store("memory:")
        .function("wait", "1", wait);
    let deriva = builder.build().await.unwrap();
    Slow {
        recipe: deriva.recipe("wait", "1").insert().await.unwrap(),
        server: Server::new(deriva),
        gate,
    }
}

/// A call that is under way.
async fn begun(channel: Channel, recipe: CAddr) -> Streaming<v1::RunResponse> {
    let mut materialize = v1::materialize_client::MaterializeClient::new(channel);
    let mut request = v1::RunRequest::from(&Request::new([recipe]));
    request.wanted = Some(v1::Wanted {
        events: true,
        ..v1::Wanted::default()
    });
    let mut answers = materialize.run(request).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    answers
}

async fn lease(running: &Running) -> Streaming<v1::LeaseResponse> {
    let mut materialize = running.materialize().await;
    let lease = materialize.lease(v1::LeaseRequest::default()).await;
    let mut lease = lease.unwrap().into_inner();
    lease.message().await.unwrap().unwrap();
    lease
}

async fn status(health: &mut HealthClient<tonic::transport::Channel>) -> ServingStatus {
    let asked = HealthCheckRequest::default();
    health.check(asked).await.unwrap().into_inner().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_end_and_no_other_begins() {
    let slow = slow().await;
    let running = serve(slow.server).await;
    // All use one connection: after it is told to stop, the server takes no other.
    let channel = running.channel().await;
    let mut answers = begun(channel.clone(), slow.recipe).await;
    let mut health = HealthClient::new(channel.clone());
    let mut graph = v1::graph_client::GraphClient::new(channel);
    let mut watch = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    let mut lease = lease(&running).await;

    let ended = running.stop();
    let turned = tokio::time::timeout(PATIENCE, watch.message())
        .await
        .unwrap();
    assert_eq!(turned.unwrap().unwrap().status(), ServingStatus::NotServing);
    let refused = graph.functions(v1::FunctionsRequest {}).await.unwrap_err();
    assert_eq!(error_of(refused).kind(), ErrorKind::Unavailable);
    assert!(!ended.is_finished());

    // What its caller holds lasts as long as others work, and holds up nothing.
    drop(slow.gate);
    let mut is_done = false;
    while let Some(message) = answers.message().await.unwrap() {
        is_done |= matches!(message.said, Some(v1::run_response::Said::Result(_)));
    }
    assert!(is_done);
    for status in [
        watch.message().await.map(drop).unwrap_err(),
        lease.message().await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error_of(status).kind(), ErrorKind::Unavailable);
    }
    drop((answers, watch, lease, health, graph));
    let drained = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(drained.unwrap().unwrap().complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_do_not_end_are_given_up() {
    let mut limits = Limits::default();
    limits.drain = Duration::from_millis(50);
    let slow = slow().await;
    let running = serve(slow.server.limits(limits)).await;
    let mut answers = begun(running.channel().await, slow.recipe).await;
    let drained = tokio::time::timeout(PATIENCE, running.stop())
        .await
        .unwrap();
    assert!(!drained.unwrap().unwrap().complete);
    while answers
        .message()
        .await
        .is_ok_and(|message| message.is_some())
    {}
    drop(slow.gate);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_turns_while_it_drains() {
    let http = super::common::loopback();
    let slow = slow().await;
    let running = serve(slow.server.http(http)).await;
    let addr = running.http.unwrap();
    let answers = begun(running.channel().await, slow.recipe).await;
    let mut health = HealthClient::new(running.channel().await);
    assert_eq!(status(&mut health).await, ServingStatus::Serving);
    assert_eq!(super::http::get(addr, "/readyz").await.0, 200);
    let ended = running.stop();
    until(async || super::http::get(addr, "/readyz").await.0 == 503).await;
    assert_eq!(super::http::get(addr, "/healthz").await.0, 200);
    drop((slow.gate, answers, health));
    let drained = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(drained.unwrap().unwrap().complete);
}
