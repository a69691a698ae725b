//! How a server ends.

use std::time::Duration;

use deriva::ErrorKind;
use deriva_proto::{error_of, v1};
use deriva_server::{Limits, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::common::{PATIENCE, deriva, serve, until};

async fn status(health: &mut HealthClient<tonic::transport::Channel>) -> ServingStatus {
    let asked = HealthCheckRequest::default();
    health.check(asked).await.unwrap().into_inner().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_end_and_no_other_begins() {
    let running = serve(Server::new(deriva().await)).await;
    // Both use one connection: after it is told to stop, the server takes no other.
    let channel = running.channel().await;
    let mut materialize = v1::materialize_client::MaterializeClient::new(channel.clone());
    let mut health = HealthClient::new(channel.clone());
    let mut graph = v1::graph_client::GraphClient::new(channel);
    let mut watch = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    let lease = materialize.lease(v1::LeaseRequest::default()).await;
    let mut lease = lease.unwrap().into_inner();
    lease.message().await.unwrap().unwrap();

    let ended = running.stop();
    let turned = tokio::time::timeout(PATIENCE, watch.message())
        .await
        .unwrap();
    assert_eq!(turned.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop(watch);
    let refused = graph.functions(v1::FunctionsRequest {}).await.unwrap_err();
    assert_eq!(error_of(refused).kind(), ErrorKind::Unavailable);
    assert!(!ended.is_finished());

    drop((lease, materialize, health, graph));
    let drained = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(drained.unwrap().unwrap().complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_do_not_end_are_given_up() {
    let mut limits = Limits::default();
    limits.drain = Duration::from_millis(50);
    let running = serve(Server::new(deriva().await).limits(limits)).await;
    let mut materialize = running.materialize().await;
    let lease = materialize.lease(v1::LeaseRequest::default()).await;
    let mut lease = lease.unwrap().into_inner();
    lease.message().await.unwrap().unwrap();
    let drained = tokio::time::timeout(PATIENCE, running.stop())
        .await
        .unwrap();
    assert!(!drained.unwrap().unwrap().complete);
    assert!(lease.message().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_turns_while_it_drains() {
    let http = super::common::loopback();
    let running = serve(Server::new(deriva().await).http(http)).await;
    let addr = running.http.unwrap();
    let mut materialize = running.materialize().await;
    let mut health = HealthClient::new(running.channel().await);
    let lease = materialize.lease(v1::LeaseRequest::default()).await;
    let mut lease = lease.unwrap().into_inner();
    lease.message().await.unwrap().unwrap();
    assert_eq!(status(&mut health).await, ServingStatus::Serving);
    assert_eq!(super::http::get(addr, "/readyz").await.0, 200);
    let ended = running.stop();
    until(async || super::http::get(addr, "/readyz").await.0 == 503).await;
    assert_eq!(super::http::get(addr, "/healthz").await.0, 200);
    drop((lease, materialize, health));
    let drained = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(drained.unwrap().unwrap().complete);
}
