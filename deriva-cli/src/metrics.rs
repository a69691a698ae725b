//! What was counted: for a file at the end, and for who asks meanwhile.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use deriva::{Deriva, DerivaExt, Error, ErrorKind, Result};
use tokio::net::TcpListener;

use crate::files;
use crate::term::note;

/// Prometheus's text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the handle and its stores did, in Prometheus's text format.
async fn exposition(deriva: &Deriva) -> Result<String> {
    let Some(metrics) = deriva.metrics() else {
        let what = "the handle was built without metrics";
        return Err(Error::new(ErrorKind::Internal, what));
    };
    metrics.exposition(deriva).await
}

/// Writes it to a file, which appears complete or not at all.
pub(crate) async fn write(deriva: &Deriva, path: &Path) -> Result<()> {
    files::write_text(path, &exposition(deriva).await?)
}

/// An address at which it can be asked for.
#[derive(Debug)]
pub(crate) struct Listening(TcpListener);

impl Listening {
    /// Begins to listen, and says where.
    ///
    /// # Errors
    /// `Unavailable` where that address cannot be had.
    pub(crate) async fn at(addr: SocketAddr) -> Result<Self> {
        let refused = |source: std::io::Error| {
            Error::new(ErrorKind::Unavailable, "metrics cannot be served there")
                .with("addr", addr)
                .caused_by(source)
                .hint("choose another address for --metrics-listen, such as 127.0.0.1:0")
        };
        let listener = TcpListener::bind(addr).await.map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        note(format!("metrics: http://{bound}/metrics"));
        Ok(Self(listener))
    }

    /// Answers until it is dropped.
    pub(crate) async fn serve(self, deriva: Deriva) {
        let answer = async |State(deriva): State<Deriva>| match exposition(&deriva).await {
            Ok(text) => ([(CONTENT_TYPE, TEXT)], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        };
        let router = Router::new().route("/metrics", get(answer));
        // It ends with the process, or where the system closes the socket.
        if let Err(error) = axum::serve(self.0, router.with_state(deriva)).await {
            note(format!("note: metrics are not served any more: {error}"));
        }
    }
}
