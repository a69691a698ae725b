//! What an address is: a recipe or a blob, with all that is known of it.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use deriva::admin::NodeState;
use deriva::{AddrPrefix, BlobStat, CAddr, Deriva, Error, ErrorKind, Node, Recipe, Result, Shown};
use deriva_draw::{size, standing, time};
use futures::{StreamExt, TryStreamExt};
use maud::{Markup, html};

use super::layout::Page;
use super::query::Query;
use super::words::{badge, function, grouped, isolated, literal, short, shortened};
use super::{Answer, Pages, content};

/// Inputs and params that are listed.
const PARTS: usize = 100;
/// Recipes that read an address that are listed.
const READERS: usize = 20;

/// Where the box to search in leads.
pub(super) async fn search(State(pages): State<Pages>, query: Query) -> Answer {
    let Some(prefix) = query.parsed::<AddrPrefix>("prefix")? else {
        let error = Error::new(ErrorKind::Invalid, "there is nothing to look for");
        return Err(error.hint("give the first digits of an address").into());
    };
    let addr = pages.site.deriva.find(&prefix).await?;
    Ok(Redirect::to(&format!("/address/{addr}")).into_response())
}

pub(super) async fn page(State(pages): State<Pages>, Path(text): Path<String>) -> Answer {
    let deriva = &pages.site.deriva;
    let addr = deriva.find(&text.parse()?).await?;
    let page = match deriva.show(addr).await? {
        Shown::Recipe(node) => Page::new("Recipe", recipe(deriva, &node).await?),
        Shown::Blob(stat) => Page::new("Blob", blob(deriva, stat).await?),
    };
    Ok(page.searched(addr.short()).into_response())
}

async fn blob(deriva: &Deriva, stat: BlobStat) -> Result<Markup> {
    Ok(html! {
        (name(stat.addr))
        dl.facts {
            dt { "Standing" } dd { (badge(NodeState::Leaf)) " " (standing(NodeState::Leaf, false)) }
            dt { "Length" } dd { (length(stat.len)) }
        }
        h2 { "Content" }
        (content::shown(&**deriva.blobs(), stat).await)
        (readers(deriva, stat.addr).await?)
        (compare(stat.addr))
    })
}

async fn recipe(deriva: &Deriva, node: &Node) -> Result<Markup> {
    let recipe = &node.recipe;
    let why = deriva.why(recipe.addr(), None).await?;
    let is_there = why.state == NodeState::Present;
    Ok(html! {
        (name(recipe.addr()))
        dl.facts {
            dt { "Function" } dd { (function(&recipe.function())) }
            dt { "Standing" } dd { (badge(why.state)) " " (standing(why.state, why.forgotten)) }
            dt { "Output" }
            dd {
                @match &node.output {
                    None => "not computed yet",
                    Some(output) => {
                        (short(&output.addr)) " (" (length(output.len)) "), computed in " (time(output.cost))
                    }
                }
            }
        }
        p { a href={ "/graph/" (recipe.addr()) } { "The graph below it" } }
        (inputs(deriva, recipe).await?)
        (params(recipe))
        @if let Some(output) = node.output.filter(|_| is_there) {
            h2 { "Content of the output" }
            (content::shown(&**deriva.blobs(), output.stat()).await)
        }
        (readers(deriva, recipe.addr()).await?)
        (compare(recipe.addr()))
    })
}

fn name(addr: CAddr) -> Markup {
    html! { p.name { code { (addr) } } }
}

fn length(bytes: u64) -> String {
    match bytes < 1024 {
        true => format!("{bytes} bytes"),
        false => format!("{}, {} bytes", size(bytes), grouped(bytes)),
    }
}

async fn inputs(deriva: &Deriva, recipe: &Recipe) -> Result<Markup> {
    let all = recipe.input_count();
    let shown: Vec<CAddr> = recipe.inputs().take(PARTS).collect();
    let states = deriva.states(&shown).await?;
    Ok(html! {
        h2 { "Inputs" }
        @if shown.is_empty() { p { "None." } } @else {
            div.wide role="region" aria-label="Inputs" tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "Input" }
                        th scope="col" { "Address" }
                        th scope="col" { "Standing" }
                    } }
                    tbody {
                        @for (place, (addr, state)) in shown.iter().zip(states).enumerate() {
                            tr {
                                th scope="row" { (place) }
                                td { (short(addr)) }
                                td { (badge(state)) }
                            }
                        }
                    }
                }
            }
            @if all > shown.len() { p.remark { "The first " (shown.len()) " of " (grouped(all as u64)) " inputs." } }
        }
    })
}

fn params(recipe: &Recipe) -> Markup {
    let params = match recipe.params() {
        Ok(params) => params,
        Err(error) => {
            let bytes = recipe.params_bytes().len();
            return html! { h2 { "Params" } p.failure { (bytes) " bytes: " (error.message()) } };
        }
    };
    html! {
        h2 { "Params" }
        @if params.is_empty() { p { "None." } } @else {
            div.wide role="region" aria-label="Params" tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "Name" }
                        th scope="col" { "Type" }
                        th scope="col" { "Value" }
                    } }
                    tbody {
                        @for (name, value) in params.iter().take(PARTS) {
                            tr {
                                th scope="row" .long { bdi { (shortened(name, 256)) } }
                                td { (value.type_name()) }
                                td.long { code { (literal(value)) } }
                            }
                        }
                    }
                }
            }
            @if params.len() > PARTS { p.remark { "The first " (PARTS) " of " (params.len()) " params." } }
        }
    }
}

async fn readers(deriva: &Deriva, addr: CAddr) -> Result<Markup> {
    let readers = deriva.dag().dependents(addr, None).take(READERS + 1);
    let mut readers: Vec<CAddr> = readers.try_collect().await?;
    let more = readers.len() > READERS;
    readers.truncate(READERS);
    let nodes = deriva.dag().get_many(&readers).await?;
    let functions = nodes.into_iter().map(|node| node.map(|node| node.recipe));
    Ok(html! {
        h2 { "Read by" }
        @if readers.is_empty() { p { "No recipe." } } @else {
            ul.plain {
                @for (addr, recipe) in readers.iter().zip(functions) {
                    li {
                        (short(addr)) " "
                        @if let Some(recipe) = recipe { code { (isolated(&recipe.function().to_string())) } }
                    }
                }
            }
            @if more { p.remark { "And others." } }
        }
    })
}

fn compare(addr: CAddr) -> Markup {
    html! {
        h2 { "Compare" }
        form.fields action="/diff" method="get" {
            input type="hidden" name="b" value=(addr);
            div {
                label for="a" { "What differs from this earlier address" }
                input #a name="a" required autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="80";
            }
            button { "Compare" }
        }
    }
}
