//! The screen, drawn from the state alone: laid out by its size, with everything on it where there is room, and with what
//! matters most on 80 columns and 24 rows.

mod summary;
mod tables;
mod theme;

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Widget, Wrap};

use super::keys::HELP;
use super::state::{State, Table};
use crate::term::plain;

pub(super) use theme::Theme;

/// Below this nothing is shown but that.
const LEAST: (u16, u16) = (60, 16);
/// From these rows on all tables are shown, and all lines of the summary.
const TALL: u16 = 36;
/// From these columns on tables stand beside each other.
const WIDE: u16 = 140;

/// Draws the state as of `now`, by the clock.
pub(super) fn draw(state: &State, now: Duration, theme: Theme, buffer: &mut Buffer) {
    let area = buffer.area;
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (columns, rows) = LEAST;
        let text = format!(
            "the terminal is too small: {columns} columns and {rows} rows are needed, these are {} and {}",
            area.width, area.height
        );
        let text = Paragraph::new(text).wrap(Wrap { trim: true });
        text.render(area, buffer);
        return;
    }
    let is_tall = area.height >= TALL;
    let lines = summary::lines(state, is_tall, theme);
    let [head, summary, body, foot] = area.layout(&Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(lines.len() as u16),
        Constraint::Fill(1),
        Constraint::Length(1),
    ]));
    summary::head(state, theme, head, buffer);
    Paragraph::new(lines).render(summary, buffer);
    for (table, area) in places(body, is_tall, state) {
        tables::draw(table, state, theme, area, buffer);
    }
    footer(state, now, theme).render(foot, buffer);
    if state.help {
        help(theme, body, buffer);
    }
}

/// Where each table is.
fn places(body: Rect, is_tall: bool, state: &State) -> Vec<(Table, Rect)> {
    use Constraint::{Fill, Length};
    if is_tall && body.width >= WIDE {
        let [left, right] = body.layout(&Layout::horizontal([Fill(1), Fill(1)]).spacing(2));
        let [requests, functions] = left.layout(&Layout::vertical([Fill(1), Fill(2)]));
        let [incidents, stores] = right.layout(&Layout::vertical([Fill(1), Fill(2)]));
        return vec![
            (Table::Requests, requests),
            (Table::Functions, functions),
            (Table::Incidents, incidents),
            (Table::Stores, stores),
        ];
    }
    if is_tall {
        let rows = [Length(5), Fill(2), Fill(2), Fill(1)];
        let [requests, functions, stores, incidents] = body.layout(&Layout::vertical(rows));
        return vec![
            (Table::Requests, requests),
            (Table::Functions, functions),
            (Table::Stores, stores),
            (Table::Incidents, incidents),
        ];
    }
    // The one of the two large tables that is looked at.
    let main = match state.table {
        Table::Stores => Table::Stores,
        _ => Table::Functions,
    };
    let less = (body.height / 4).clamp(1, 4);
    let active = state.rows(Table::Requests).clamp(1, usize::from(less)) as u16;
    let rows = [Length(2 + active), Fill(1), Length(1 + less)];
    let [requests, large, incidents] = body.layout(&Layout::vertical(rows));
    vec![
        (Table::Requests, requests),
        (main, large),
        (Table::Incidents, incidents),
    ]
}

/// The keys, or that there is no answer.
fn footer(state: &State, now: Duration, theme: Theme) -> Line<'static> {
    if let Some(lost) = &state.lost {
        let since = summary::span(now.saturating_sub(lost.since));
        let text = format!("no answer for {since}: {}; trying again", plain(&lost.why));
        return Line::styled(text, theme.bad());
    }
    let keys = [
        ("q", "quit"),
        ("space", "pause"),
        ("s S", "sort"),
        ("tab", "table"),
        ("j k", "scroll"),
        ("+ -", "interval"),
        ("?", "help"),
    ];
    let mut spans = Vec::new();
    for (key, what) in keys {
        spans.push(Span::styled(key, theme.accent()));
        spans.push(Span::raw(format!(" {what}  ")));
    }
    Line::from(spans)
}

fn help(theme: Theme, body: Rect, buffer: &mut Buffer) {
    let mut lines: Vec<Line> = Vec::new();
    for (keys, what) in HELP {
        lines.push(Line::from(vec![
            Span::styled(format!("{keys:<14}"), theme.accent()),
            Span::raw(what),
        ]));
    }
    lines.extend(
        [
            "",
            "Rates, mean and p99: since the last look;",
            "where nothing was called, of all calls.",
        ]
        .map(Line::from),
    );
    let (width, height) = (
        54.min(body.width),
        (lines.len() as u16 + 2).min(body.height),
    );
    let middle = Rect {
        x: body.x + (body.width - width) / 2,
        y: body.y + (body.height - height) / 2,
        width,
        height,
    };
    Clear.render(middle, buffer);
    let block = Block::bordered().title(" keys ");
    Paragraph::new(lines).block(block).render(middle, buffer);
}

/// The screen as text, without blanks at the ends of lines.
pub(super) fn text(state: &State, now: Duration, (columns, rows): (u16, u16)) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, rows));
    draw(state, now, Theme::plain(), &mut buffer);
    let line = |y| {
        let cells = (0..columns).filter_map(|x| buffer.cell((x, y)));
        let line: String = cells.map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned()
    };
    let lines: Vec<String> = (0..rows).map(line).collect();
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests;
