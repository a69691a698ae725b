//! A page that says what went wrong.

use std::time::Duration;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use deriva::{CAddr, Error, ErrorKind};
use maud::html;

use super::layout::Page;
use super::words::{fitting, shortened};

/// Why there is no page.
#[derive(Debug)]
pub(super) struct Failed {
    status: StatusCode,
    error: Error,
    /// When it is worth to ask again.
    again: Option<Duration>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Full | ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Locked => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::with(status, error)
    }
}

impl Failed {
    pub(super) fn with(status: StatusCode, error: Error) -> Self {
        Self {
            again: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1)),
            status,
            error,
        }
    }
}

/// Addresses that an error lists as those that may be meant.
fn candidates(error: &Error) -> Vec<CAddr> {
    let listed = error.context("candidates").unwrap_or_default();
    let addrs = listed.split(", ").map(str::parse);
    addrs.filter_map(Result::ok).collect()
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let error = &self.error;
        let candidates = candidates(error);
        let contexts = error.contexts().filter(|(name, _)| *name != "candidates");
        let body = html! {
            p.failure { strong { (error.kind()) } ": " (error.message()) "." }
            dl.facts {
                @for (name, value) in contexts {
                    dt { (name) }
                    dd { (shortened(value, 512)) }
                }
            }
            @if !candidates.is_empty() {
                h2 { "Which of these?" }
                ul.plain {
                    @for addr in &candidates {
                        li { a href={ "/address/" (addr) } { code { (addr) } } }
                    }
                }
            } @else if let Some(advice) = error.advice() {
                p { "What to do: " (advice) }
            }
        };
        let given = error.context("given").unwrap_or_default();
        let page = Page::new(self.status.canonical_reason().unwrap_or("Failure"), body);
        let page = page.searched(fitting(given));
        let mut response = (self.status, page).into_response();
        if let Some(again) = self.again {
            let seconds = HeaderValue::from(again.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("Basic realm=\"deriva\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, how);
        }
        response
    }
}
