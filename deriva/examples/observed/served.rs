//! What the service answers to those who watch it.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use deriva::metrics::Activity;
use deriva::prelude::*;

/// What Prometheus reads.
pub(crate) async fn exposition(deriva: &Deriva) -> Result<String> {
    match deriva.metrics() {
        Some(metrics) => metrics.exposition(deriva).await,
        None => Err(Error::new(ErrorKind::Unsupported, "built without metrics")),
    }
}

fn answer(kind: &'static str, text: Result<String>) -> Response {
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// `/metrics` for Prometheus and, with what has addresses in it, `/activity` for `deriva top`.
pub(crate) fn routes(deriva: Deriva, activity: Arc<Activity>) -> Router {
    let counted = deriva.clone();
    let metrics = async move || {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        answer(kind, exposition(&counted).await)
    };
    let active = async move || {
        let told = serde_json::to_string(&activity.report(&deriva));
        let unwritable = |source| Error::new(ErrorKind::Internal, "no JSON").caused_by(source);
        answer("application/json", told.map_err(unwritable))
    };
    let router = Router::new().route("/metrics", get(metrics));
    router.route("/activity", get(active))
}
