//! The matrix: cases down, grouped by level, stores across.

use deriva_testkit::{Level, Outcome};
use maud::{Markup, html};

use super::stores::{breakable, grouped, prose};
use super::{about, mark, spoken, word};
use crate::report::{counted, time};
use crate::results::{Cell, Column, Results, Row};

/// Beyond this many columns times are left to the tooltips, and layers are written downwards.
const ROOMY: usize = 10;

/// The table, and a switch that hides what is held everywhere.
pub(super) fn matrix(results: &Results) -> Markup {
    let compact = results.columns.len() > ROOMY;
    let levels = results.levels();
    html! {
        section.matrix aria-labelledby="matrix" {
            div.tools {
                h2 id="matrix" { "Promises" }
                nav aria-label="Levels" {
                    @for (level, rows) in &levels {
                        a href={ "#" (level) } { (level) " " span { (rows.len()) } }
                    }
                }
                label { input type="checkbox" id="rest"; " only what is not held" }
            }
            table.compact[compact] {
                caption.spoken { "Outcome of each case on each store" }
                thead { (heads(results)) }
                @for (level, rows) in &levels {
                    (body(*level, rows, &results.columns))
                }
            }
        }
    }
}

fn heads(results: &Results) -> Markup {
    let rows = if results.layered() { 2 } else { 1 };
    html! {
        tr {
            th.promise scope="col" rowspan=(rows) { "promise" }
            @for (store, span) in grouped(&results.columns) {
                th scope="colgroup" colspan=(span) { code { (breakable(store)) } }
            }
        }
        @if results.layered() {
            tr.stacks {
                @for column in &results.columns {
                    th scope="col" { span { (column.layers) } }
                }
            }
        }
    }
}

fn body(level: Level, rows: &[&Row], columns: &[Column]) -> Markup {
    let plain = rows.iter().all(|row| held(row));
    html! {
        tbody.plain[plain] id=(level) {
            tr.level {
                th colspan=(columns.len() + 1) scope="rowgroup" {
                    div {
                        b { (level) } " " span { (about(level)) ", " (counted(rows.len(), "case")) }
                    }
                }
            }
            @for row in rows {
                tr.plain[held(row)] {
                    (promise(row, columns))
                    @for (column, cell) in columns.iter().zip(&row.cells) {
                        (outcome(row, column, cell.as_ref()))
                    }
                }
            }
        }
    }
}

/// Whether there is nothing to see in a row but that it held.
fn held(row: &Row) -> bool {
    let mut cells = row.cells.iter().flatten();
    cells.all(|cell| cell.outcome == Outcome::Held)
}

fn promise(row: &Row, columns: &[Column]) -> Markup {
    let (sign, words) = row.sign_and_words();
    let notes = notes(row, columns);
    html! {
        th.promise scope="row" {
            p { @if !sign.is_empty() { span.sign { (sign) } " " } (prose(words)) }
            @if notes.is_empty() {
                code { (row.case) }
            } @else {
                details {
                    summary { code { (row.case) } " " span.more { "details" } }
                    dl {
                        @for (stores, detail) in notes {
                            dt { (stores.join(", ")) }
                            dd { (detail) }
                        }
                    }
                }
            }
        }
    }
}

/// What was said of a case, with the stores of which it was said. What failed is told above.
fn notes<'a>(row: &'a Row, columns: &[Column]) -> Vec<(Vec<String>, &'a str)> {
    let mut notes: Vec<(Vec<String>, &str)> = Vec::new();
    for (column, cell) in columns.iter().zip(&row.cells) {
        let Some(Cell {
            outcome,
            detail: Some(detail),
            ..
        }) = cell
        else {
            continue;
        };
        if *outcome == Outcome::Failed {
            continue;
        }
        match notes.iter_mut().find(|(_, text)| text == detail) {
            Some((stores, _)) => stores.push(column.title()),
            None => notes.push((vec![column.title()], detail)),
        }
    }
    notes
}

fn outcome(row: &Row, column: &Column, cell: Option<&Cell>) -> Markup {
    let title = column.title();
    let Some(cell) = cell else {
        return html! { td data-store=(title) { span.none { "not asked" } } };
    };
    let what = format!("{}, {}", word(cell.outcome), time(cell.seconds));
    html! {
        td.(word(cell.outcome)) data-store=(title) title={ (title) ": " (what) } {
            @if cell.outcome == Outcome::Failed {
                a href={ "#" (title) ":" (row.case) } { (mark(cell.outcome)) (spoken(cell.outcome)) }
            } @else {
                (mark(cell.outcome)) (spoken(cell.outcome))
            }
            span.time { (time(cell.seconds)) }
        }
    }
}
