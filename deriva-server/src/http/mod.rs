//! What is answered by HTTP: numbers, whether the service is well, and pages to look at.

mod page;

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::{IncomingStream, Listener};
use axum::{Extension, Router};
use deriva::metrics::Activity;
use deriva::{Deriva, DerivaExt, Error, ErrorKind, Result};
use futures::StreamExt;
use serde_json::json;
use tokio_stream::wrappers::ReceiverStream;

use crate::admission::Admission;
use crate::budget::Budget;
use crate::limits::Limits;
use crate::listen::{Conn, Peer};
pub(crate) use page::Access;
use page::Pages;

/// Prometheus's text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// What is told of.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) deriva: Deriva,
    pub(crate) admission: Arc<Admission>,
    /// Of bytes on their way, over all calls.
    pub(crate) budget: Budget,
    /// Where somebody gave the instance what tells of it.
    pub(crate) activity: Option<Arc<Activity>>,
}

/// Connections of HTTP, as they are accepted.
pub(crate) struct Connections {
    pub(crate) accepted: ReceiverStream<io::Result<Conn>>,
    pub(crate) addr: SocketAddr,
}

impl Listener for Connections {
    type Io = Conn;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Conn, SocketAddr) {
        loop {
            match self.accepted.next().await {
                Some(Ok(conn)) => return (conn, self.addr),
                Some(Err(_)) => {}
                // No more will come.
                None => std::future::pending().await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

impl Connected<IncomingStream<'_, Connections>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().peer()
    }
}

/// A connection that waits for an answer is not idle.
async fn counted(
    Extension(ConnectInfo(peer)): Extension<ConnectInfo<Peer>>,
    request: Request,
    next: Next,
) -> Response {
    let _busy = peer.begin();
    next.run(request).await
}

/// Answers until it is dropped; with pages, to those who have access.
pub(crate) async fn serve(
    connections: Connections,
    site: Site,
    access: Option<Access>,
    limits: Arc<Limits>,
) {
    let pages = access.map(|access| Pages::new(site.clone(), access, limits));
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/activity", get(activity))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/version", get(version))
        .route("/status", get(status))
        .with_state(site);
    let router = match &pages {
        Some(pages) => router.merge(pages.router()),
        None => router,
    };
    let router = router.layer(from_fn(counted));
    let serving = axum::serve(
        connections,
        router.into_make_service_with_connect_info::<Peer>(),
    );
    let watching = async {
        match &pages {
            Some(pages) => pages.watch().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // It ends where the system closes the socket.
        served = serving => if let Err(error) = served {
            tracing::warn!(target: "deriva", %error, "HTTP is not served any more");
        },
        () = watching => {}
    }
}

fn answer(kind: &'static str, text: std::result::Result<String, impl Display>) -> Response {
    match text {
        Ok(text) => ([(CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => {
            let text = format!("{error}\n");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                [(CONTENT_TYPE, TEXT)],
                text,
            )
                .into_response()
        }
    }
}

async fn metrics(State(site): State<Site>) -> Response {
    let text: Result<String> = match site.deriva.metrics() {
        Some(metrics) => metrics.exposition(&site.deriva).await,
        None => {
            let what = "the handle was built without metrics";
            Err(Error::new(ErrorKind::Unsupported, what))
        }
    };
    answer(METRICS, text)
}

async fn activity(State(site): State<Site>) -> Response {
    match site.activity {
        Some(activity) => answer(JSON, serde_json::to_string(&activity.report(&site.deriva))),
        None => {
            let what = "nothing tells this server of requests under way\n";
            (StatusCode::NOT_FOUND, [(CONTENT_TYPE, TEXT)], what).into_response()
        }
    }
}

/// The process answers.
async fn healthy() -> Response {
    answer(TEXT, Ok::<_, Error>("ok\n".to_owned()))
}

/// Whether it takes requests: it is not about to stop, and its stores answer and take writes.
async fn ready(State(site): State<Site>) -> Response {
    let not = |why: String| {
        (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, TEXT)], why).into_response()
    };
    if site.admission.is_draining() {
        return not("about to stop\n".to_owned());
    }
    let (blobs, dag) = (site.deriva.blobs(), site.deriva.dag());
    if !blobs.capabilities().writable || !dag.capabilities().writable {
        return not("the store takes no writes\n".to_owned());
    }
    match (blobs.usage().await, dag.usage().await) {
        (Ok(_), Ok(_)) => answer(TEXT, Ok::<_, Error>("ready\n".to_owned())),
        (Err(error), _) | (_, Err(error)) => not(format!("the store does not answer: {error}\n")),
    }
}

async fn version() -> Response {
    let version =
        json!({ "name": "deriva", "version": env!("CARGO_PKG_VERSION"), "protocol": "deriva.v1" });
    answer(JSON, Ok::<_, Error>(version.to_string()))
}

async fn status(State(site): State<Site>) -> Response {
    let status = site.deriva.status().await;
    let text = status.map(|status| {
        let status = json!({ "status": status, "under_way": site.deriva.snapshot() });
        status.to_string()
    });
    answer(JSON, text)
}
