//! What every page passes: who asks, whether there is room, how long it may take, and the headers that keep a browser from doing more with
//! a page than show it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use deriva::{Error, ErrorKind};
use http_body::{Frame, SizeHint};

use super::failed::Failed;
use super::{Answer, Pages};
use crate::budget::Charge;

/// Bytes of a page at the most: more than any has.
const LARGEST: usize = 16 << 20;
/// Bytes of a page that are handed on at a time.
const PIECE: usize = 16 << 10;

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// Lets a request in, or says why not.
pub(super) async fn gate(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    admitted(&pages, request, next)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn admitted(pages: &Pages, request: Request, next: Next) -> Answer {
    let site = &pages.site;
    pages.access.check(request.headers(), &site.admission)?;
    let full = |what: String| {
        let error = Error::new(ErrorKind::Full, what);
        let error = error.hint("ask again in a moment");
        Failed::with(StatusCode::SERVICE_UNAVAILABLE, error)
    };
    let Ok(_room) = pages.room.try_acquire() else {
        let most = pages.limits.pages;
        return Err(full(format!("{most} pages are being made at once")));
    };
    let Ok(response) = tokio::time::timeout(pages.limits.page_timeout, next.run(request)).await
    else {
        let error = Error::new(ErrorKind::Timeout, "the page was not ready in time");
        let error = error.with("seconds", pages.limits.page_timeout.as_secs_f64());
        return Err(error
            .hint("ask for less, as a smaller depth; the command has no such limit")
            .into());
    };
    let (parts, body) = response.into_parts();
    // It is in memory as it is.
    let bytes = to_bytes(body, LARGEST).await.map_err(|source| {
        Error::new(ErrorKind::Internal, "the page is too large").caused_by(source)
    })?;
    let Some(charge) = site.budget.leaving(bytes.len()) else {
        return Err(full(
            "as many bytes are on their way as there may be".to_owned(),
        ));
    };
    let body = Body::new(Pieces {
        bytes,
        _charge: charge,
    });
    Ok(Response::from_parts(parts, body))
}

/// A page on its way, which counts until its end is handed on.
struct Pieces {
    bytes: Bytes,
    _charge: Charge,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.bytes.len().min(PIECE);
        let piece = self.bytes.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// What a browser is told of every answer, where that does not say more itself.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        let entry = headers.entry(name);
        entry.or_insert(HeaderValue::from_static(value));
    }
    response
}
