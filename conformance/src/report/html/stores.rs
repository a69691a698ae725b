//! Each store's summary, and what failed.

use deriva_testkit::Outcome;
use maud::{Markup, html};

use super::{bar, mark};
use crate::report::{class, time};
use crate::results::{Column, Counts, Results};

/// A card for each store.
pub(super) fn cards(results: &Results) -> Markup {
    html! {
        section aria-labelledby="stores" {
            h2 id="stores" { "Stores" }
            div.cards {
                @for (i, column) in results.columns.iter().enumerate() {
                    (card(column, results.counts_of(i), results.seconds_of(i)))
                }
            }
        }
    }
}

fn card(column: &Column, counts: Counts, seconds: f64) -> Markup {
    let outcome = match counts.failed {
        0 => Outcome::Held,
        _ => Outcome::Failed,
    };
    html! {
        article.card {
            h3 { (mark(outcome)) code { (breakable(&column.store)) } (layers(column)) }
            (bar(counts))
            dl.counts {
                div { dt { "held" } dd.held { (counts.held) } }
                div { dt { "unsupported" } dd.unsupported { (counts.unsupported) } }
                div { dt { "failed" } dd.failed[counts.failed > 0] { (counts.failed) } }
                div { dt { "time" } dd { (time(seconds)) } }
            }
            (durability(column))
        }
    }
}

fn durability(column: &Column) -> Markup {
    html! {
        dl.durability {
            div { dt { "durability declared" } dd { (class(column.declared)) } }
            div {
                dt { "proved" }
                @match &column.proved {
                    Some(proved) if proved.is_honest() => {
                        dd.held { (class(proved.class)) " " (mark(Outcome::Held)) }
                    }
                    Some(proved) => dd.failed { (class(proved.class)) " " (mark(Outcome::Failed)) }
                    None => dd.none { "not looked for" }
                }
            }
        }
        @if let Some(proved) = &column.proved {
            @let (first, rest) = proved.evidence.split_once("; ").unwrap_or((&proved.evidence, ""));
            @if rest.is_empty() {
                p.evidence { (first) }
            } @else {
                details.evidence {
                    summary { (first) ", " span.more { "what was seen" } }
                    ul { @for seen in rest.split("; ") { li { (seen) } } }
                }
            }
        }
    }
}

/// Everything that failed, with all that is known of it.
pub(super) fn failures(results: &Results) -> Markup {
    let count = results.counts().failed;
    html! {
        section aria-labelledby="failures" {
            h2 id="failures" { "What failed" }
            @for (column, row, cell) in results.failures() {
                @let (sign, words) = row.sign_and_words();
                details.failure open[count <= 8] id={ (column.title()) ":" (row.case) } {
                    summary {
                        (mark(Outcome::Failed))
                        b { (row.case) } " on " code { (column.title()) }
                    }
                    p { @if !sign.is_empty() { span.sign { (sign) } " " } (prose(words)) }
                    pre { (cell.detail.as_deref().unwrap_or("The case gave no detail.")) }
                    p.more { (row.level) ", after " (time(cell.seconds)) }
                }
            }
        }
    }
}

/// The layers over a store, where there are any.
pub(super) fn layers(column: &Column) -> Markup {
    html! {
        @if column.layers != "none" {
            " " span.layers { (column.layers) }
        }
    }
}

/// A long store name, with places where a line may end.
pub(super) fn breakable(store: &str) -> Markup {
    let parts = store.split_inclusive(['?', '&', '+', '=', ':', '_']);
    html! { @for part in parts { (part) wbr; } }
}

/// Text with `code` in it.
pub(super) fn prose(text: &str) -> Markup {
    let parts = text.split('`').enumerate();
    html! {
        @for (i, part) in parts {
            @if i % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The stores, each with the number of columns that it has.
pub(super) fn grouped(columns: &[Column]) -> Vec<(&str, usize)> {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for column in columns {
        match groups.last_mut() {
            Some((store, span)) if *store == column.store => *span += 1,
            _ => groups.push((&column.store, 1)),
        }
    }
    groups
}
