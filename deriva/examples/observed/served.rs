//! What the service answers to those who watch it.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use deriva::metrics::{Activity, Metrics, Served};
use deriva::prelude::*;

/// What Prometheus reads.
pub(crate) async fn exposition(deriva: &Deriva) -> Result<String> {
    match deriva.metrics() {
        Some(metrics) => metrics.exposition(deriva).await,
        None => Err(Error::new(ErrorKind::Unsupported, "built without metrics")),
    }
}

/// Counts what is asked here, as a server does.
async fn counted<T>(
    served: Option<&Served>,
    method: &'static str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut call = served.map(|served| served.begin("observed", method));
    let done = work.await;
    if let Some(call) = &mut call {
        call.ends(if done.is_ok() { "ok" } else { "internal" });
    }
    done
}

fn answer(kind: &'static str, text: Result<String>) -> Response {
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// `/metrics` for Prometheus and, with what has addresses in it, `/activity` for `deriva top`.
pub(crate) fn routes(deriva: Deriva, activity: Arc<Activity>) -> Router {
    let served = deriva.metrics().map(Metrics::served);
    let (watched, counting) = (deriva.clone(), served.clone());
    let metrics = async move || {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        answer(
            kind,
            counted(counting.as_ref(), "metrics", exposition(&watched)).await,
        )
    };
    let active = async move || {
        let report = async {
            let told = serde_json::to_string(&activity.report(&deriva));
            told.map_err(|source| Error::new(ErrorKind::Internal, "no JSON").caused_by(source))
        };
        answer(
            "application/json",
            counted(served.as_ref(), "activity", report).await,
        )
    };
    let router = Router::new().route("/metrics", get(metrics));
    router.route("/activity", get(active))
}
