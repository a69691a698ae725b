//! Calls of gRPC with any bytes as their body.

use deriva::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use super::served::{Served, in_time};

/// A connection that sends any bytes as the body of a call.
pub(crate) struct Caller(SendRequest<Bytes>);

impl Caller {
    pub(crate) async fn new(served: &Served) -> Self {
        let stream = TcpStream::connect(served.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self(send)
    }

    /// The status with which a call ends, and what it says; `None` where the stream was reset.
    pub(crate) async fn call(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Option<(i32, String)> {
        let called = async {
            let mut send = self.0.clone().ready().await.ok()?;
            let mut request = Request::post(format!("http://x{path}")).header("te", "trailers");
            if !headers.iter().any(|(name, _)| *name == "content-type") {
                request = request.header("content-type", "application/grpc");
            }
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(()).unwrap();
            let (answer, mut stream) = send.send_request(request, false).ok()?;
            // Where it was answered before its end, the rest is not wanted.
            let sending = tokio::spawn(async move {
                let mut body = body;
                loop {
                    stream.reserve_capacity(body.len().min(1 << 16));
                    let room = match body.is_empty() {
                        true => 0,
                        false => match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                            Some(Ok(room)) => room.min(body.len()),
                            _ => return,
                        },
                    };
                    let piece = body.split_to(room);
                    if stream.send_data(piece, body.is_empty()).is_err() || body.is_empty() {
                        return;
                    }
                }
            });
            let answer = answer.await.ok();
            let status = async {
                let answer = answer?;
                if let Some(status) = status(answer.headers()) {
                    return Some(status);
                }
                if answer.status() != 200 {
                    return Some((-i32::from(answer.status().as_u16()), String::new()));
                }
                let mut body = answer.into_body();
                while let Some(data) = body.data().await {
                    let len = data.ok()?.len();
                    body.flow_control().release_capacity(len).ok()?;
                }
                status(&body.trailers().await.ok()??)
            };
            let status = status.await;
            sending.abort();
            status
        };
        in_time(path, called).await
    }
}

fn status(headers: &HeaderMap) -> Option<(i32, String)> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let said = headers.get("grpc-message");
    let said = said.and_then(|said| said.to_str().ok()).unwrap_or_default();
    Some((code, said.to_owned()))
}
