//! What is answered by HTTP.

use std::net::SocketAddr;

use deriva_server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::common::{deriva, loopback, serve};

/// The code and the body of an answer.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_probes_and_versions_are_answered() {
    let deriva = deriva().await;
    deriva.put("hello").await.unwrap();
    let running = serve(Server::new(deriva).http(loopback())).await;
    let addr = running.http.unwrap();
    assert_eq!(get(addr, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(addr, "/readyz").await, (200, "ready\n".to_owned()));
    let (code, metrics) = get(addr, "/metrics").await;
    assert_eq!(code, 200);
    assert!(
        metrics.contains("\nderiva_store_operations_total{"),
        "{metrics}"
    );
    let (code, status) = get(addr, "/status").await;
    assert_eq!(code, 200);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["status"]["blobs"], 1);
    assert_eq!(status["under_way"]["requests"], 0);
    let (_, version) = get(addr, "/version").await;
    let version: serde_json::Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["protocol"], "deriva.v1");
    // Nobody gave the instance what tells of requests.
    assert_eq!(get(addr, "/activity").await.0, 404);
    assert_eq!(get(addr, "/nothing").await.0, 404);
}
