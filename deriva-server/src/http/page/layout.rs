//! The frame of every page.

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

/// The pages that every page leads to.
const PAGES: [(&str, &str); 5] = [
    ("/", "Overview"),
    ("/roots", "Roots"),
    ("/functions", "Functions"),
    ("/ledger", "Ledger"),
    ("/diff", "Compare"),
];

/// A page: its heading, and what stands below it.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    /// The path of the page among those that are always listed.
    here: Option<&'static str>,
    /// What stands in the box to search in.
    searched: String,
    body: Markup,
}

impl Page {
    pub(super) fn new(title: impl Into<String>, body: Markup) -> Self {
        Self {
            title: title.into(),
            here: None,
            searched: String::new(),
            body,
        }
    }

    /// It is the one that is listed with this path.
    pub(super) fn at(self, here: &'static str) -> Self {
        Self {
            here: Some(here),
            ..self
        }
    }

    /// This was looked for.
    pub(super) fn searched(self, searched: impl Into<String>) -> Self {
        Self {
            searched: searched.into(),
            ..self
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let markup = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    title { (self.title) " - deriva" }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    link rel="stylesheet" href="/style.css";
                    link rel="icon" href="/icon.svg";
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header {
                        a.brand href="/" { "deriva" }
                        nav aria-label="Pages" {
                            ul {
                                @for (path, name) in PAGES {
                                    li {
                                        a href=(path) aria-current=[(self.here == Some(path)).then_some("page")] { (name) }
                                    }
                                }
                            }
                        }
                        form role="search" action="/search" method="get" {
                            label for="search" { "Address" }
                            input #search name="prefix" type="search" value=(self.searched) placeholder="first digits"
                                autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="80";
                            button { "Find" }
                        }
                    }
                    main #main {
                        h1 { (self.title) }
                        (self.body)
                    }
                    footer { p { "deriva " (env!("CARGO_PKG_VERSION")) ", read-only: looking computes nothing." } }
                }
            }
        };
        Html(markup.into_string()).into_response()
    }
}
