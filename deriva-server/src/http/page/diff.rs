//! What differs between the graphs of two addresses.

use axum::extract::State;
use axum::response::IntoResponse;
use deriva::admin::{Diff, Difference, DifferenceKind};
use deriva::{AddrPrefix, Value};
use deriva_draw::counted;
use maud::{Markup, html};

use super::layout::Page;
use super::query::Query;
use super::words::{fitting, function, grouped, literal, short, shortened};
use super::{Answer, Pages};

/// Differences that are listed.
const MOST: usize = 200;

pub(super) async fn page(State(pages): State<Pages>, query: Query) -> Answer {
    let (before, after) = (
        query.parsed::<AddrPrefix>("a")?,
        query.parsed::<AddrPrefix>("b")?,
    );
    let form = form(
        query.get("a").unwrap_or_default(),
        query.get("b").unwrap_or_default(),
    );
    let deriva = &pages.site.deriva;
    let body = match (before, after) {
        (Some(before), Some(after)) => {
            let (before, after) = (deriva.find(&before).await?, deriva.find(&after).await?);
            // An address that nothing lies under would count as a blob.
            deriva.show(before).await?;
            deriva.show(after).await?;
            let diff = deriva.diff_up_to(before, after, MOST).await?;
            html! {
                (form)
                section aria-labelledby="found" {
                    h2 #found { "What differs" }
                    p { "From " (short(&before)) " to " (short(&after)) ":" }
                    (told(&diff))
                }
            }
        }
        _ => html! {
            p { "Two addresses, recipes or blobs: why was the later one computed, and not taken from the earlier one?" }
            (form)
        },
    };
    Ok(Page::new("Compare", body).at("/diff").into_response())
}

fn form(before: &str, after: &str) -> Markup {
    let field = |id: &str, label: &str, value: &str| {
        html! {
            div {
                label for=(id) { (label) }
                input id=(id) name=(id) value=(fitting(value)) required autocomplete="off" autocapitalize="none"
                    spellcheck="false" maxlength="80";
            }
        }
    };
    html! {
        form.fields action="/diff" method="get" {
            (field("a", "Before", before))
            (field("b", "After", after))
            button { "Compare" }
        }
    }
}

fn told(diff: &Diff) -> Markup {
    if diff.differences.is_empty() && !diff.truncated {
        return html! { p { "Nothing: the addresses are equal." } };
    }
    html! {
        ol.differences {
            @for difference in &diff.differences {
                li {
                    p { (what(difference)) }
                    p.remark {
                        "at " (short(&difference.before)) ", now " (short(&difference.after))
                        (way(difference))
                    }
                }
            }
        }
        p {
            (counted(diff.differences.len() as u64, "difference")) " in " (grouped(diff.compared)) " compared pairs"
            @if diff.truncated { ", and maybe more" } "."
        }
    }
}

/// The recipes above a difference.
fn way(difference: &Difference) -> Markup {
    html! {
        @if difference.above > 0 || !difference.path.is_empty() { "; reached through " }
        @if difference.above > 0 { (counted(difference.above, "recipe")) ", " }
        @for (place, passed) in difference.path.iter().enumerate() {
            @if place > 0 { ", " }
            "input " (passed.input) " of " (function(&passed.function))
        }
    }
}

fn what(difference: &Difference) -> Markup {
    let whose = html! {
        @match &difference.function {
            Some(id) => { (function(id)) ": " },
            None => "blob: ",
        }
    };
    html! {
        @match &difference.kind {
            DifferenceKind::FunctionChanged { from, to } => { "another function: " (function(from)) ", now " (function(to)) }
            DifferenceKind::VersionChanged { from, to } => { "another version: " (function(from)) ", now " (function(to)) }
            DifferenceKind::ParamChanged { name, from, to } => {
                (whose) "param " code { (shortened(name, 256)) } " was " (given(from)) ", now " (given(to))
            }
            DifferenceKind::InputAdded { input, addr } => { (whose) "input " (input) " was added: " (short(addr)) }
            DifferenceKind::InputRemoved { input, addr } => { (whose) "input " (input) " was removed: " (short(addr)) }
            DifferenceKind::InputsReordered => { (whose) "the same inputs in another order" }
            DifferenceKind::BlobChanged => "other bytes in a blob",
            DifferenceKind::BlobBecameRecipe => { "a blob became a recipe: " (whose) }
            DifferenceKind::RecipeBecameBlob => "a recipe became a blob",
            _ => { (whose) "it differs" }
        }
    }
}

fn given(value: &Option<Value>) -> Markup {
    html! {
        @match value {
            Some(value) => code { (literal(value)) },
            None => "not given",
        }
    }
}
