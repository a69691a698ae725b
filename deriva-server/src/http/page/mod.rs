//! Pages to look at what a server holds and does, made here as HTML: read-only, without a script.
//!
//! A page reads what is stored, and computes nothing: it asks for recipes, states and pieces of blobs, never for bytes that would have to be
//! made. What it reads and shows has bounds, and it says so where there is more. All that came from users stands in the text of a page
//! (escaped by `maud`) or in the query of a link (encoded by [`link`](words::link)), and a link begins with `/`.

mod access;
mod address;
mod content;
mod diff;
mod failed;
mod functions;
mod gate;
mod graph;
mod layout;
mod ledger;
mod overview;
mod query;
mod rates;
mod raw;
mod roots;
mod words;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use deriva::{Error, ErrorKind};
use tokio::sync::Semaphore;

pub(crate) use access::Access;
use failed::Failed;
use rates::Rates;

use super::Site;
use crate::limits::Limits;

/// Rows of a list on one page.
const ROWS: usize = 50;

/// What a page is made by.
type Answer = Result<Response, Failed>;

/// What all pages know.
#[derive(Clone, Debug)]
pub(super) struct Pages(Arc<Known>);

#[derive(Debug)]
pub(super) struct Known {
    site: Site,
    access: Access,
    limits: Arc<Limits>,
    room: Semaphore,
    rates: Rates,
}

impl Deref for Pages {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.0
    }
}

impl Pages {
    pub(super) fn new(site: Site, access: Access, limits: Arc<Limits>) -> Self {
        Self(Arc::new(Known {
            site,
            access,
            room: Semaphore::new(limits.pages),
            limits,
            rates: Rates::default(),
        }))
    }

    /// Looks at what is counted from time to time, for rates, and does not end.
    pub(super) async fn watch(&self) {
        self.rates.watch(&self.site.deriva).await;
    }

    /// The paths of all pages, and what is said at any other.
    pub(super) fn router(&self) -> Router {
        let nowhere = get(nowhere).layer(from_fn(gate::headers));
        Router::new()
            .route("/", get(overview::page))
            .route("/roots", get(roots::page))
            .route("/functions", get(functions::all))
            .route("/function", get(functions::one))
            .route("/ledger", get(ledger::page))
            .route("/search", get(address::search))
            .route("/address/{addr}", get(address::page))
            .route("/blob/{addr}", get(raw::image_at))
            .route("/graph/{addr}", get(graph::page))
            .route("/diff", get(diff::page))
            .route("/style.css", get(style))
            .route("/icon.svg", get(icon))
            .layer(from_fn_with_state(self.clone(), gate::gate))
            .layer(from_fn(gate::headers))
            .with_state(self.clone())
            .fallback_service(nowhere)
    }
}

async fn style() -> impl IntoResponse {
    let kind = [(CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("style.css"))
}

/// Our own, and no document of anybody else.
async fn icon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml")], include_str!("icon.svg"))
}

async fn nowhere() -> Failed {
    let error = Error::new(ErrorKind::NotFound, "there is no such page");
    error
        .hint("the links above lead to all pages; an address has its page at /address/ADDRESS")
        .into()
}
