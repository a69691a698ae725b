//! The tables: requests, functions, stores, what went wrong.

use std::time::Duration;

use deriva::metrics::{ActiveRequest, ActivityReport, Incident};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Cell, Row, Table as Grid, Widget};

use super::Theme;
use super::summary::{per_second, seconds, span};
use crate::term::{plain, time};
use crate::verbs::top::model;
use crate::verbs::top::state::{State, Table};

/// What a table has on the screen.
struct Content<'a> {
    title: String,
    heads: Vec<Line<'a>>,
    widths: Vec<Constraint>,
    rows: Vec<Row<'a>>,
    /// In place of rows, where there are none.
    empty: &'static str,
}

/// Draws a table: a title in a line, heads, and the rows that fit, from the one that was scrolled to.
pub(super) fn draw(table: Table, state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let content = match table {
        Table::Functions => calls("functions", "function", table, state, theme),
        Table::Stores => calls("stores", "store and operation", table, state, theme),
        Table::Requests => requests(state, theme),
        Table::Incidents => incidents(state, theme),
    };
    let total = content.rows.len();
    // The title, and the heads where there are some.
    let above = 1 + u16::from(!content.heads.is_empty());
    let room = usize::from(area.height.saturating_sub(above));
    let first = state.first(table, room);
    let style = match table == state.table {
        true => theme.accent(),
        false => theme.head(),
    };
    let chosen = if table == state.table { "*" } else { " " };
    let mut title = format!("{chosen}{} ", content.title);
    if total > room {
        title.push_str(&format!(
            "({} to {} of {total}) ",
            first + 1,
            first + room.min(total)
        ));
    }
    let block = Block::new()
        .borders(Borders::TOP)
        .title(Span::styled(title, style));
    if total == 0 {
        let inner = block.inner(area);
        block.render(area, buffer);
        Line::styled(content.empty, theme.label()).render(inner, buffer);
        return;
    }
    let rows = content.rows.into_iter().skip(first);
    let mut shown = Grid::new(rows, content.widths).block(block);
    if !content.heads.is_empty() {
        let heads = content.heads.into_iter().map(Cell::from);
        shown = shown.header(Row::new(heads).style(theme.head()));
    }
    shown.render(area, buffer);
}

fn activity(state: &State) -> Option<&ActivityReport> {
    state.picture.as_ref()?.activity.as_ref()
}

const NOT_TOLD: &str = "not told: nothing is served at /activity";

fn calls<'a>(
    what: &str,
    name: &'a str,
    table: Table,
    state: &'a State,
    theme: Theme,
) -> Content<'a> {
    let order = state.order(table);
    let picture = state.picture.as_ref();
    let rows: &[model::Row] = match (picture, table) {
        (Some(picture), Table::Stores) => &picture.stores,
        (Some(picture), _) => &picture.functions,
        (None, _) => &[],
    };
    let turned = if order.reversed { ", turned round" } else { "" };
    let heads = ["calls/s", "mean", "p99", "total", "calls", "failed"];
    let heads = heads.map(|head| Line::from(head).right_aligned());
    let mut all = vec![Line::from(name)];
    all.extend(heads);
    let row = |row: &model::Row| {
        let failed = match row.failures > 0.0 {
            true => theme.bad(),
            false => Style::new(),
        };
        let seconds_of = |of: Option<f64>| match of {
            None => "-".to_owned(),
            Some(0.0) => "0 s".to_owned(),
            Some(of) => time(seconds(of)),
        };
        Row::new([
            Cell::from(plain(&row.name)),
            right(per_second(row.calls.per_second), Style::new()),
            right(seconds_of(row.mean_seconds), Style::new()),
            right(seconds_of(row.p99_seconds), Style::new()),
            right(seconds_of(Some(row.total_seconds)), Style::new()),
            right(format!("{:.0}", row.calls.total), Style::new()),
            right(format!("{:.0}", row.failures), failed),
        ])
    };
    Content {
        title: format!("{what} by {}{turned}", order.by.words()),
        heads: all,
        widths: widths(Constraint::Fill(1), &[9, 9, 9, 9, 8, 7]),
        rows: order.sorted(rows).into_iter().map(row).collect(),
        empty: match picture {
            Some(_) => "none was called yet",
            None => "",
        },
    }
}

fn requests(state: &State, theme: Theme) -> Content<'_> {
    let told = activity(state);
    let now = told.map_or(0, |told| told.now_millis);
    let more = told.map_or(0, |told| {
        told.active.saturating_sub(told.requests.len() as u64)
    });
    let row = |request: &ActiveRequest| {
        let failed = match request.failed {
            0 => Style::new(),
            _ => theme.bad(),
        };
        let left = request
            .left_seconds
            .map_or("-".to_owned(), |left| span(seconds(left)));
        let mut addresses = request.addresses.first().cloned().unwrap_or_default();
        if request.asked > 1 {
            addresses.push_str(&format!(" and {} more", request.asked - 1));
        }
        Row::new([
            right(request.number.to_string(), Style::new()),
            Cell::from(plain(&request.phase)),
            right(
                format!("{}/{}", request.done, request.planned),
                Style::new(),
            ),
            right(request.failed.to_string(), failed),
            right(ago(now, request.began_millis), Style::new()),
            right(left, Style::new()),
            Cell::from(plain(&addresses)),
        ])
    };
    let rows = told.map(|told| told.requests.iter().map(row).collect());
    let number = |head: &'static str| Line::from(head).right_aligned();
    Content {
        title: match more {
            0 => "requests".to_owned(),
            more => format!("requests, and {more} more"),
        },
        heads: vec![
            number("#"),
            Line::from("phase"),
            number("done"),
            number("failed"),
            number("for"),
            number("left"),
            Line::from("addresses"),
        ],
        widths: {
            let mut widths = widths(Constraint::Length(5), &[9, 15, 6, 7, 7]);
            widths.push(Constraint::Fill(1));
            widths
        },
        rows: rows.unwrap_or_default(),
        empty: match (told, &state.picture) {
            (Some(_), _) => "none is under way",
            (None, Some(_)) => NOT_TOLD,
            (None, None) => "",
        },
    }
}

fn incidents(state: &State, theme: Theme) -> Content<'_> {
    let told = activity(state);
    let now = told.map_or(0, |told| told.now_millis);
    let row = |incident: &Incident| {
        let kind = match &*incident.what {
            "violation" => "violation",
            _ => &incident.kind,
        };
        let of = [&incident.function, &incident.addr];
        let of = of.into_iter().find_map(Option::as_deref);
        Row::new([
            right(
                format!("{} ago", ago(now, incident.at_millis)),
                Style::new(),
            ),
            Cell::from(Span::styled(plain(kind), theme.bad())),
            Cell::from(plain(of.unwrap_or("-"))),
            Cell::from(plain(&incident.message)),
        ])
    };
    let rows = told.map(|told| told.incidents.iter().map(row).collect());
    let total = told.map_or(0, |told| told.incidents_total);
    Content {
        title: format!("errors and violations, {total} in all"),
        // They say what they are.
        heads: Vec::new(),
        widths: {
            let mut widths = widths(Constraint::Length(11), &[16, 20]);
            widths.push(Constraint::Fill(1));
            widths
        },
        rows: rows.unwrap_or_default(),
        empty: match (told, &state.picture) {
            (Some(_), _) => "nothing went wrong",
            (None, Some(_)) => NOT_TOLD,
            (None, None) => "",
        },
    }
}

fn widths(first: Constraint, others: &[u16]) -> Vec<Constraint> {
    let others = others.iter().copied().map(Constraint::Length);
    std::iter::once(first).chain(others).collect()
}

/// A cell that is a number.
fn right<'a>(text: String, style: Style) -> Cell<'a> {
    Cell::from(Text::styled(text, style).right_aligned())
}

/// The time since a moment, both in milliseconds.
fn ago(now: u64, then: u64) -> String {
    span(Duration::from_millis(now.saturating_sub(then)))
}
