//! What was counted: for a file at the end, and for who asks meanwhile, with what is under way.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use deriva::events::Observer;
use deriva::metrics::Activity;
use deriva::{Deriva, DerivaExt, Error, ErrorKind, Result, SystemClock};
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

/// What is asked.
type Served = (Deriva, Arc<Activity>);

fn answer(kind: &'static str, text: Result<String, impl Display>) -> Response {
    match text {
        Ok(text) => ([(CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// An address at which it can be asked for.
#[derive(Debug)]
pub(crate) struct Listening {
    at: TcpListener,
    activity: Arc<Activity>,
}

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
        let activity = Activity::new(Arc::new(SystemClock::new()));
        Ok(Self {
            at: listener,
            activity: Arc::new(activity),
        })
    }

    /// Who has to be told what is done, so that it can be asked for.
    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.activity) as _
    }

    /// Answers until it is dropped: `/metrics` for Prometheus, `/activity` for `deriva top`.
    pub(crate) async fn serve(self, deriva: Deriva) {
        let counted =
            async |State((deriva, _)): State<Served>| answer(TEXT, exposition(&deriva).await);
        let active = async |State((deriva, activity)): State<Served>| {
            let text = serde_json::to_string(&activity.report(&deriva));
            answer("application/json", text)
        };
        let router = Router::new()
            .route("/metrics", get(counted))
            .route("/activity", get(active))
            .with_state((deriva, self.activity));
        // It ends with the process, or where the system closes the socket.
        if let Err(error) = axum::serve(self.at, router).await {
            note(format!("note: metrics are not served any more: {error}"));
        }
    }
}
