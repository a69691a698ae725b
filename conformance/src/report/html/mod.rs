//! The results as one page that needs nothing beside itself.

mod matrix;
mod stores;

use deriva_testkit::{Level, Outcome};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{counted, time, word};
use crate::results::{Counts, Results};

const STYLE: &str = include_str!("page.css");

/// A page with the verdict, a summary of each store, what failed, and the matrix by level. It loads
/// nothing and runs no script; it follows the reader's light or dark mode, and prints.
#[must_use]
pub fn html(results: &Results) -> String {
    let headline = headline(results);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (headline) " - deriva conformance" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.page { (head(results, &headline)) }
                main {
                    (stores::cards(results))
                    @if !results.held() { (stores::failures(results)) }
                    (matrix::matrix(results))
                }
                footer { (legend()) }
            }
        }
    };
    page.into_string()
}

fn headline(results: &Results) -> String {
    match (results.counts().total(), results.counts().failed) {
        (0, _) => "Nothing was checked".to_owned(),
        (_, 0) => "Every promise is kept".to_owned(),
        (_, failed) => format!("{} failed", counted(failed, "case")),
    }
}

fn head(results: &Results, headline: &str) -> Markup {
    let counts = results.counts();
    let outcome = match results.held() {
        true => Outcome::Held,
        false => Outcome::Failed,
    };
    html! {
        p.brand { b { "deriva" } " conformance" }
        h1 { (mark(outcome)) (headline) }
        p.lead {
            (results.extent()) " in " (time(results.seconds)) ": "
            (tally(counts)) "."
        }
        (bar(counts))
    }
}

fn tally(counts: Counts) -> Markup {
    html! {
        span.held { (counts.held) " held" } ", "
        span.unsupported { (counts.unsupported) " unsupported" } ", "
        span.failed[counts.failed > 0] { (counts.failed) " failed" }
    }
}

/// The counts as lengths.
fn bar(counts: Counts) -> Markup {
    let parts = [
        (Outcome::Held, counts.held),
        (Outcome::Unsupported, counts.unsupported),
        (Outcome::Failed, counts.failed),
    ];
    html! {
        div.bar aria-hidden="true" {
            @for (outcome, count) in parts.into_iter().filter(|part| part.1 > 0) {
                span.(word(outcome)) style={ "flex-grow:" (count) } {}
            }
        }
    }
}

/// A sign for the outcome; its word goes beside it, or [`spoken`] does.
fn mark(outcome: Outcome) -> Markup {
    let sign = match outcome {
        Outcome::Held => "\u{2713}",
        Outcome::Unsupported => "\u{2013}",
        Outcome::Failed => "\u{2715}",
    };
    html! { span.mark.(word(outcome)) aria-hidden="true" { (sign) } }
}

/// The outcome for those who hear the page.
fn spoken(outcome: Outcome) -> Markup {
    html! { span.spoken { (word(outcome)) " " } }
}

fn about(level: Level) -> &'static str {
    match level {
        Level::Core => "what each call does, one at a time",
        Level::Concurrency => "many callers at once",
        Level::Durability => "what is there after closing, a crash, and damage",
        Level::Faults => "faults, and agreement with the model",
        Level::Performance => "figures; they hold whatever they are",
    }
}

fn legend() -> Markup {
    html! {
        dl {
            div { dt { (mark(Outcome::Held)) "held" } dd { "The promise was kept." } }
            div {
                dt { (mark(Outcome::Unsupported)) "unsupported" }
                dd { "The store declares that it cannot do this, and was seen to say so when asked." }
            }
            div {
                dt { (mark(Outcome::Failed)) "failed" }
                dd { "The promise was broken, or the case did not end in time." }
            }
        }
        p {
            "Durability says what an acknowledged write survives: " i { "none" }
            ", the death of the process (" i { "process crash" } "), or of the machine ("
            i { "power loss" } "). A store declares it; proved is what was seen when processes were killed and "
            "their system calls traced."
        }
    }
}
