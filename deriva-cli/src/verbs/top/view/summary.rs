//! The lines above the tables.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::Theme;
use crate::term::{counted, plain, size, time};
use crate::verbs::top::model::{Counter, Picture};
use crate::verbs::top::state::State;

/// What is watched, and how.
pub(super) fn head(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let picture = state.picture.as_ref();
    let version = picture.and_then(|picture| picture.version.as_deref());
    let what = version.map_or("deriva".to_owned(), |it| format!("deriva {}", plain(it)));
    // Every URL here is one of http.
    let place = state.url.strip_prefix("http://").unwrap_or(&state.url);
    let mut left = vec![
        Span::styled(what, theme.accent()),
        Span::raw(format!(" at {}", plain(place))),
    ];
    if let Some(picture) = picture {
        if let Some(uptime) = picture.uptime_seconds {
            left.push(Span::raw(format!("  up {}", span(seconds(uptime)))));
        }
        if let Some(store) = &picture.store {
            left.push(Span::raw(format!("  {}", plain(store))));
        }
    }
    let every = format!(" every {} s ", state.interval.as_secs_f64());
    let right = match state.paused {
        true => Line::from(vec![
            Span::styled(" PAUSED ", theme.warn()),
            Span::raw(every),
        ]),
        false => Line::from(Span::styled(every, theme.label())),
    };
    Line::from(left).render(area, buffer);
    // A long address of a store goes below it.
    let width = (right.width() as u16).min(area.width);
    let corner = Rect {
        x: area.right() - width,
        width,
        ..area
    };
    right.render(corner, buffer);
}

/// A line for each sort of thing.
pub(super) fn lines(state: &State, is_tall: bool, theme: Theme) -> Vec<Line<'static>> {
    let Some(picture) = &state.picture else {
        return vec![Line::from("waiting for the first answer")];
    };
    let write = Writer { theme };
    let mut lines = vec![
        write.requests(picture),
        write.nodes(picture),
        write.cache(picture),
        write.memory(picture),
        write.checks(picture),
    ];
    if is_tall {
        lines.push(write.stored(picture));
    }
    lines
}

/// Results of requests, those first that matter most.
const RESULTS: [&str; 7] = [
    "computed",
    "failed",
    "timeout",
    "stored",
    "cached",
    "cancelled",
    "healed",
];

struct Writer {
    theme: Theme,
}

impl Writer {
    fn line(&self, name: &str, parts: impl IntoIterator<Item = (String, Style)>) -> Line<'static> {
        let mut spans = vec![Span::styled(format!("{name:<10}"), self.theme.accent())];
        for (n, (part, style)) in parts.into_iter().enumerate() {
            if n > 0 {
                spans.push(Span::raw("   "));
            }
            spans.push(Span::styled(part, style));
        }
        Line::from(spans)
    }

    /// Bad where it is not 0.
    fn bad_if_any(&self, count: f64) -> Style {
        match count > 0.0 {
            true => self.theme.bad(),
            false => Style::new(),
        }
    }

    fn requests(&self, picture: &Picture) -> Line<'static> {
        let requests = &picture.requests;
        let mut parts = vec![(format!("{:.0} active", requests.active), Style::new())];
        let others = requests.total.keys().map(String::as_str);
        let others = others.filter(|result| !RESULTS.contains(result));
        for result in RESULTS.into_iter().chain(others) {
            let total = requests.total.get(result).copied().unwrap_or_default();
            let rate = requests.per_second.get(result).copied();
            // Those that there never were say nothing.
            if total == 0.0 && !matches!(result, "computed" | "failed") {
                continue;
            }
            let style = match result {
                "failed" | "timeout" => self.bad_if_any(rate.unwrap_or_default()),
                _ => Style::new(),
            };
            parts.push((format!("{} {}", per_second(rate), plain(result)), style));
        }
        self.line("requests", parts)
    }

    fn nodes(&self, picture: &Picture) -> Line<'static> {
        let nodes = &picture.nodes;
        let rate = |counter: Counter, what| format!("{} {what}", per_second(counter.per_second));
        let waiting = match nodes.waiting {
            0.0 => String::new(),
            waiting => format!(", {waiting:.0} wanted"),
        };
        let steps = format!("{:.0} active of {:.0}{waiting}", nodes.steps, nodes.slots);
        let failing = nodes.failed.per_second.unwrap_or_default();
        self.line(
            "nodes",
            [
                (rate(nodes.computed, "computed"), Style::new()),
                (rate(nodes.reused, "reused"), self.theme.good()),
                (rate(nodes.failed, "failed"), self.bad_if_any(failing)),
                (steps, Style::new()),
            ],
        )
    }

    fn cache(&self, picture: &Picture) -> Line<'static> {
        let cache = &picture.cache;
        let rate = cache.hit_rate.map_or("-".to_owned(), percent);
        let asked = per_second(cache.lookups.per_second);
        let saved = match cache.saved_seconds {
            0.0 => "0 s".to_owned(),
            saved => time(seconds(saved)),
        };
        self.line(
            "cache",
            [
                (format!("{rate} of {asked} hit"), Style::new()),
                (format!("saved {saved}"), self.theme.good()),
                (of_bytes(cache.bytes, cache.limit_bytes), Style::new()),
                (counted(cache.entries as u64, "blob"), Style::new()),
            ],
        )
    }

    fn memory(&self, picture: &Picture) -> Line<'static> {
        let memory = &picture.memory;
        let share = match memory.budget_bytes > 0.0 {
            true => (memory.used_bytes / memory.budget_bytes).clamp(0.0, 1.0),
            false => 0.0,
        };
        let style = match share {
            high if high >= 0.9 => self.theme.bad(),
            high if high >= 0.7 => self.theme.warn(),
            _ => self.theme.good(),
        };
        self.line(
            "memory",
            [
                (format!("{} {}", gauge(share), percent(share)), style),
                (
                    of_bytes(memory.used_bytes, memory.budget_bytes),
                    Style::new(),
                ),
                (
                    format!("spilled {}", size(memory.spilled_bytes.total as u64)),
                    match memory.spilled_bytes.per_second {
                        Some(rate) if rate > 0.0 => self.theme.warn(),
                        _ => Style::new(),
                    },
                ),
            ],
        )
    }

    fn checks(&self, picture: &Picture) -> Line<'static> {
        let checks = &picture.checks;
        let counts = [
            (checks.violations, "violations"),
            (checks.ledger, "in the ledger"),
            (checks.quarantined, "quarantined"),
            (checks.doubted, "doubted"),
        ];
        let mut parts = vec![(format!("{:.0} agreed", checks.agreed), Style::new())];
        for (count, what) in counts {
            parts.push((format!("{count:.0} {what}"), self.bad_if_any(count)));
        }
        self.line("checks", parts)
    }

    fn stored(&self, picture: &Picture) -> Line<'static> {
        let stored = &picture.stored;
        let counts = [
            (stored.recipes, "recipes"),
            (stored.outputs, "outputs"),
            (stored.blobs, "blobs"),
        ];
        let mut parts = Vec::new();
        for (count, what) in counts {
            if let Some(count) = count {
                parts.push((format!("{count:.0} {what}"), Style::new()));
            }
        }
        if let Some(bytes) = stored.blob_bytes {
            parts.push((size(bytes as u64), Style::new()));
        }
        for (what, count) in &picture.upkeep {
            if *count > 0.0 {
                parts.push((format!("{count:.0} {what} under way"), self.theme.warn()));
            }
        }
        self.line("stored", parts)
    }
}

/// How full something is.
fn gauge(share: f64) -> String {
    const WIDTH: usize = 20;
    let full = ((share * WIDTH as f64).round() as usize).min(WIDTH);
    format!("[{}{}]", "#".repeat(full), ".".repeat(WIDTH - full))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn of_bytes(used: f64, limit: f64) -> String {
    format!("{} of {}", size(used as u64), size(limit as u64))
}

/// A rate: with a digit after the point where it is small.
pub(super) fn per_second(rate: Option<f64>) -> String {
    match rate {
        None => "-/s".to_owned(),
        Some(rate) if rate > 0.0 && rate < 9.95 => format!("{rate:.1}/s"),
        Some(rate) => format!("{rate:.0}/s"),
    }
}

/// Seconds that a server told; nothing sensible counts as none.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// A time between two moments, in two units at the most.
pub(super) fn span(time: Duration) -> String {
    let whole = humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    let units: Vec<&str> = whole.split(' ').take(2).collect();
    units.join(" ")
}
