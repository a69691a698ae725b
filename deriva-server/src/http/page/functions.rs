//! The functions that are known here, and the recipes of one of them.

use axum::extract::State;
use axum::response::IntoResponse;
use deriva::functions::{FunctionDoc, Weight};
use deriva::{CAddr, Error, ErrorKind, FunctionId};
use futures::{StreamExt, TryStreamExt};
use maud::{Markup, html};

use super::layout::Page;
use super::query::Query;
use super::words::{badge, function, isolated, link, more};
use super::{Answer, Pages, ROWS};

pub(super) async fn all(State(pages): State<Pages>) -> Answer {
    let functions = pages.site.deriva.functions().docs();
    let body = html! {
        p { (functions.len()) " functions that recipes can use here." }
        @for doc in &functions {
            section.card {
                h2 { (function(&doc.id)) @if doc.weight == Weight::Heavy { " " span.badge.quiet { "heavy" } } }
                (described(doc))
            }
        }
    };
    let page = Page::new("Functions", body).at("/functions");
    Ok(page.into_response())
}

fn described(doc: &FunctionDoc) -> Markup {
    html! {
        p { (isolated(&doc.description)) }
        @if !doc.params.is_empty() {
            dl.facts {
                @for param in &doc.params {
                    dt { code { (param.name) } }
                    dd {
                        (isolated(&param.description)) " "
                        span.remark { "(" (param.kind) @if param.required { ", required" } ")" }
                    }
                }
            }
        }
    }
}

pub(super) async fn one(State(pages): State<Pages>, query: Query) -> Answer {
    let deriva = &pages.site.deriva;
    let Some(id) = query.parsed::<FunctionId>("id")? else {
        let what = "the name of a function is missing, as `?id=text.upper/1`";
        return Err(Error::new(ErrorKind::Invalid, what).into());
    };
    let recipes = deriva.dag().by_function(&id, query.parsed("after")?);
    let mut recipes: Vec<CAddr> = recipes.take(ROWS + 1).try_collect().await?;
    let doc = deriva.functions().get(&id);
    if doc.is_none() && recipes.is_empty() && query.get("after").is_none() {
        let what = "the function is not known here, and no recipe uses it";
        let error = Error::new(ErrorKind::NotFound, what).with("function", &id);
        let near = deriva.functions().nearest(&id);
        return Err(match near {
            Some(near) => error.hint(format!("did you mean `{near}`?")).into(),
            None => error.into(),
        });
    }
    let id = id.to_string();
    let next = (recipes.len() > ROWS).then(|| {
        recipes.truncate(ROWS);
        let last = recipes[ROWS - 1].to_string();
        link("/function", &[("id", &id), ("after", &last)])
    });
    let states = deriva.states(&recipes).await?;
    let body = html! {
        @match doc {
            Some(doc) => (described(&FunctionDoc::from(&**doc))),
            None => p.failure { "It is not known here, so its recipes cannot be computed here." },
        }
        h2 { "Recipes" }
        @if recipes.is_empty() { p { "None" @if query.get("after").is_some() { " after this one" } "." } }
        ul.plain {
            @for (addr, state) in recipes.iter().zip(states) {
                li { a href={ "/address/" (addr) } { code { (addr) } } " " (badge(state)) }
            }
        }
        (more(next))
    };
    let page = Page::new(format!("Function {id}"), body);
    Ok(page.into_response())
}
