//! What others wrote or send, read as the server reads it, without a network: for tests from outside, such as those of `fuzz/`.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use deriva::{Deriva, Result};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Layer, Service as _};

use crate::admission::{Admission, AdmissionLayer, Tokens};
use crate::budget::Budget;
use crate::limits::Limits;
use crate::rpc::Service;

/// Reads the text of a file of tokens, and answers with how many there are.
///
/// # Errors
/// As [`Server::bind`](crate::Server::bind) for such a file.
pub fn tokens(text: &str) -> Result<usize> {
    Tokens::parse(text).map(|tokens| tokens.len())
}

/// The calls of the protocol, as they are answered to who has passed the connection.
pub struct Calls {
    routes: Routes,
    admission: AdmissionLayer,
}

/// How a call was answered.
#[derive(Debug)]
pub struct Answered {
    /// Messages in the framing of gRPC.
    pub body: Bytes,
    /// How it ended.
    pub status: Status,
}

impl Calls {
    /// Those of a server over this one, with these limits, which nobody needs a token for.
    #[must_use]
    pub fn over(deriva: Deriva, limits: Limits) -> Self {
        let budget = Budget::new(limits.bytes_in_flight);
        let admission = Admission::new(None, &limits, budget.clone(), None);
        let service = Service {
            deriva,
            limits,
            budget,
        };
        Self {
            routes: Arc::new(service).routes().routes(),
            admission: AdmissionLayer(Arc::new(admission)),
        }
    }

    /// Makes a call: `/deriva.v1.Blobs/Put`, say, with messages in the framing of gRPC. The answer has no status where none was given,
    /// which breaks the protocol.
    pub async fn call(&self, path: &str, body: Bytes) -> Option<Answered> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(CONTENT_TYPE, "application/grpc")
            .body(Body::new(Full::new(body)));
        let mut calls = self.admission.layer(self.routes.clone());
        let Ok(response) = calls.call(request.ok()?).await;
        let (parts, body) = response.into_parts();
        let collected = body.collect().await;
        let (body, trailers) = match collected {
            Ok(collected) => {
                let trailers = collected.trailers().cloned();
                (collected.to_bytes(), trailers)
            }
            Err(status) => {
                let body = Bytes::new();
                return Some(Answered { body, status });
            }
        };
        let said = |headers: &HeaderMap| Status::from_header_map(headers);
        let status = trailers.as_ref().and_then(said).or(said(&parts.headers))?;
        Some(Answered { body, status })
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}
