//! The roots, by name.

use axum::extract::State;
use axum::response::IntoResponse;
use deriva::CAddr;
use futures::{StreamExt, TryStreamExt};
use maud::html;

use super::layout::Page;
use super::query::Query;
use super::words::{badge, isolated, link, more, short};
use super::{Answer, Pages, ROWS};

/// What names begin with that deriva keeps for itself.
const RESERVED: &str = "deriva:";

pub(super) async fn page(State(pages): State<Pages>, query: Query) -> Answer {
    let deriva = &pages.site.deriva;
    let roots = deriva.dag().roots(query.get("after"));
    let named = roots.try_filter(|(name, _)| std::future::ready(!name.starts_with(RESERVED)));
    let mut roots: Vec<(String, CAddr)> = named.take(ROWS + 1).try_collect().await?;
    let next = (roots.len() > ROWS).then(|| {
        roots.truncate(ROWS);
        link("/roots", &[("after", &roots[ROWS - 1].0)])
    });
    let addrs: Vec<CAddr> = roots.iter().map(|(_, addr)| *addr).collect();
    let states = deriva.states(&addrs).await?;
    let body = html! {
        p { "What is kept, with all that it is made from." }
        @if roots.is_empty() {
            p { "There are none" @if query.get("after").is_some() { " after this one" } "." }
        } @else {
            div.wide role="region" aria-label="Roots" tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "Name" }
                        th scope="col" { "Address" }
                        th scope="col" { "Standing" }
                    } }
                    tbody {
                        @for ((name, addr), state) in roots.iter().zip(states) {
                            tr {
                                th scope="row" .long { bdi { (isolated(name)) } }
                                td { (short(addr)) }
                                td { (badge(state)) }
                            }
                        }
                    }
                }
            }
        }
        (more(next))
    };
    Ok(Page::new("Roots", body).at("/roots").into_response())
}
