//! Health, and what the server says of itself.

use deriva_server::Server;
use futures::stream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::common::{deriva, serve};

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_well_and_one_that_is_not_there_is_not_known() {
    let running = serve(Server::new(deriva().await)).await;
    let mut health = HealthClient::new(running.channel().await);
    let check = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    for service in [
        "",
        "deriva.v1.Blobs",
        "deriva.v1.Graph",
        "deriva.v1.Materialize",
        "deriva.v1.Admin",
    ] {
        let answer = health.check(check(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = health.check(check("deriva.v1.Blob")).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_all_services() {
    let running = serve(Server::new(deriva().await)).await;
    let mut reflection = ServerReflectionClient::new(running.channel().await);
    let asked = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = reflection
        .server_reflection_info(stream::iter([asked]))
        .await;
    let answer = answers
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    let Some(MessageResponse::ListServicesResponse(listed)) = answer.message_response else {
        panic!("services were asked for");
    };
    let names: Vec<&str> = listed
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for expected in [
        "deriva.v1.Admin",
        "deriva.v1.Blobs",
        "deriva.v1.Graph",
        "deriva.v1.Materialize",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&expected), "{expected} is not in {names:?}");
    }
}
