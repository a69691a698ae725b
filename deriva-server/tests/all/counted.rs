//! What is counted of the calls of the service.

use std::time::Duration;

use deriva_proto::{bytes_of, v1};
use deriva_server::Server;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::common::{Running, deriva, loopback, serve, until};
use super::http::get;

/// A sample of its metrics; none where it is not there.
async fn sample(running: &Running, name: &str) -> Option<f64> {
    let (_, text) = get(running.http.unwrap(), "/metrics").await;
    let of_name = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(of_name)
}

async fn is(running: &Running, name: &str, expected: f64) {
    until(async || sample(running, name).await == Some(expected)).await;
}

fn of(family: &str, service: &str, method: &str, code: &str) -> String {
    format!("{family}{{service=\"{service}\",method=\"{method}\",code=\"{code}\"}}")
}

fn calls(service: &str, method: &str, code: &str) -> String {
    of("deriva_server_calls_total", service, method, code)
}

/// Calls a method that there is not.
async fn unknown(running: &Running, path: &str) -> Code {
    let mut grpc = Grpc::new(running.channel().await);
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<v1::Null, v1::Null>::default();
    let path = PathAndQuery::try_from(path).unwrap();
    let answer = grpc.unary(Request::new(v1::Null {}), path, codec).await;
    answer.unwrap_err().code()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_by_method_and_code_and_while_they_last() {
    let deriva = deriva().await;
    let leaf = deriva.put("a leaf").await.unwrap();
    let running = serve(Server::new(deriva).http(loopback())).await;
    let mut blobs = running.blobs().await;
    for (addr, code) in [
        (leaf, Code::Ok),
        (deriva::CAddr::of_blob(b"x"), Code::NotFound),
    ] {
        let request = v1::GetBlobRequest {
            addr: bytes_of(addr),
            range: None,
        };
        let mut code_of = Code::Ok;
        match blobs.get(request).await {
            Err(status) => code_of = status.code(),
            Ok(stream) => {
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(status) => {
                            code_of = status.code();
                            break;
                        }
                    }
                }
            }
        }
        assert_eq!(code_of, code);
    }
    is(&running, &calls("deriva.v1.Blobs", "Get", "ok"), 1.0).await;
    is(&running, &calls("deriva.v1.Blobs", "Get", "not_found"), 1.0).await;
    let labels = "{service=\"deriva.v1.Blobs\",method=\"Get\"}";
    let durations = format!("deriva_server_call_duration_seconds_count{labels}");
    is(&running, &durations, 2.0).await;
    is(
        &running,
        &format!("deriva_server_calls_active{labels}"),
        0.0,
    )
    .await;

    // However many names somebody makes up, they are one.
    for path in ["/deriva.v1.Blobs/Nothing", "/x.Y/Z", "/a.b/c"] {
        assert_eq!(unknown(&running, path).await, Code::Unimplemented);
    }
    is(&running, &calls("other", "other", "unimplemented"), 3.0).await;

    let active = "deriva_server_calls_active{service=\"deriva.v1.Materialize\",method=\"Lease\"}";
    let mut materialize = running.materialize().await;
    let lease = materialize.lease(v1::LeaseRequest::default()).await;
    let mut lease = lease.unwrap().into_inner();
    lease.message().await.unwrap().unwrap();
    is(&running, active, 1.0).await;
    drop(lease);
    is(&running, active, 0.0).await;
    let gone = calls("deriva.v1.Materialize", "Lease", "cancelled");
    is(&running, &gone, 1.0).await;
    assert!(running.stop().await.unwrap().unwrap().complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_counts_too() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens.toml");
    let text = "[[token]]\nrole = \"read\"\nsecret = \"0123456789abcdef\"\n";
    std::fs::write(&tokens, text).unwrap();
    let server = Server::new(deriva().await).tokens(tokens);
    let running = serve(server.http(loopback())).await;
    let mut blobs = running.blobs().await;
    let refused = blobs
        .usage(v1::BlobUsageRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let name = calls("deriva.v1.Blobs", "Usage", "unauthenticated");
    is(&running, &name, 1.0).await;
    let ended = tokio::time::timeout(Duration::from_secs(60), running.stop()).await;
    assert!(ended.unwrap().unwrap().unwrap().complete);
}
