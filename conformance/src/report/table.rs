//! The matrix for a terminal.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell as TableCell, CellAlignment, Color, Table, presets};
use deriva_testkit::Outcome;

use super::{class, time, word};
use crate::results::{Cell, Results};

/// A table of each level, one of the stores, what failed, and the verdict; with colours where
/// `colour` is set.
#[must_use]
pub fn table(results: &Results, colour: bool) -> String {
    let mut text = String::new();
    for (level, rows) in results.levels() {
        let names = results.columns.iter().map(|column| column.title());
        let heads = ["".to_owned(), level.to_string()].into_iter().chain(names);
        let mut table = new_table(heads, 2, colour);
        for row in rows {
            let cells = row.cells.iter().map(|cell| outcome(cell.as_ref()));
            let names = [row.sign_and_words().0, &row.case].map(TableCell::new);
            table.add_row(names.into_iter().chain(cells));
        }
        push(&mut text, &table);
    }
    push(&mut text, &stores(results, colour));
    for (column, row, cell) in results.failures() {
        let title = paint(
            &format!("{} on {}", row.case, column.title()),
            AnsiColor::Red,
            colour,
        );
        let detail = cell.detail.as_deref().unwrap_or("no detail");
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "{title}\n  {}\n  {}\n",
            row.promise.trim(),
            detail.replace('\n', "\n  ")
        );
    }
    text.push_str(&verdict(results, colour));
    text.push('\n');
    text
}

fn stores(results: &Results, colour: bool) -> Table {
    let heads = [
        "",
        "held",
        "unsupported",
        "failed",
        "time",
        "declared",
        "proved",
    ];
    let mut table = new_table(heads.map(String::from), 1, colour);
    for (i, column) in results.columns.iter().enumerate() {
        let counts = results.counts_of(i);
        let proved = column.proved.as_ref();
        table.add_row([
            column.title(),
            counts.held.to_string(),
            counts.unsupported.to_string(),
            counts.failed.to_string(),
            time(results.seconds_of(i)),
            class(column.declared).to_owned(),
            proved.map_or("-", |proved| class(proved.class)).to_owned(),
        ]);
    }
    for column in 5..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Left);
        }
    }
    table
}

fn verdict(results: &Results, colour: bool) -> String {
    let counts = results.counts();
    let text = format!(
        "{} held, {} unsupported, {} failed: {} in {}",
        counts.held,
        counts.unsupported,
        counts.failed,
        results.extent(),
        time(results.seconds),
    );
    match results.held() {
        true => paint(&text, AnsiColor::Green, colour),
        false => paint(&text, AnsiColor::Red, colour),
    }
}

fn outcome(cell: Option<&Cell>) -> TableCell {
    let Some(cell) = cell else {
        return TableCell::new("-");
    };
    let text = TableCell::new(format!("{} {:>7}", word(cell.outcome), time(cell.seconds)));
    match cell.outcome {
        Outcome::Held => text,
        Outcome::Unsupported => text.fg(Color::DarkYellow),
        Outcome::Failed => text.fg(Color::Red),
    }
}

/// A table with these headings; all but the first `texts` columns are numbers.
fn new_table(heads: impl IntoIterator<Item = String>, texts: usize, colour: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(heads);
    match colour {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if i >= texts {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn push(text: &mut String, table: &Table) {
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push('\n');
}

fn paint(text: &str, colour: AnsiColor, on: bool) -> String {
    let style = Style::new().bold().fg_color(Some(colour.into()));
    match on {
        true => format!("{style}{text}{style:#}"),
        false => text.to_owned(),
    }
}
