//! Rows of figures, as a table for people or as JSON lines.

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::measure::Sample;

/// Figures of one comparison.
#[derive(Debug, Serialize)]
struct Row {
    bench: &'static str,
    row: String,
    ours: f64,
    baseline: f64,
    unit: &'static str,
    ratio: f64,
    target: Option<String>,
    met: Option<bool>,
    cpu_seconds: f64,
    peak_bytes: u64,
    disk_bytes: u64,
}

/// What a ratio, ours over the baseline, should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// No target is set.
    None,
    /// At most this many times the baseline's time.
    AtMost(f64),
    /// At least this share of the baseline's rate.
    AtLeast(f64),
    /// At most this many microseconds per operation longer than the baseline.
    Within(f64),
    /// At most this, in the row's unit, whatever the baseline.
    Below(f64),
}

/// Collects rows; prints JSON at once and the table at the end.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    rows: Vec<Row>,
}

impl Row {
    fn new(
        bench: &'static str,
        row: String,
        (ours, baseline, unit): (f64, f64, &'static str),
        target: Target,
    ) -> Self {
        let (ratio, text, met) = match target {
            Target::None => (ours / baseline, None, None),
            Target::AtMost(limit) => (
                ours / baseline,
                Some(format!("<= {limit}")),
                Some(ours / baseline <= limit),
            ),
            Target::AtLeast(share) => (
                baseline / ours,
                Some(format!(">= {share}")),
                Some(baseline / ours >= share),
            ),
            Target::Within(us) => (
                ours / baseline,
                Some(format!("<= +{us} us")),
                Some(ours <= baseline + us),
            ),
            Target::Below(limit) => (
                ours / baseline,
                Some(format!("<= {limit} {unit}")),
                Some(ours <= limit),
            ),
        };
        Self {
            bench,
            row,
            ours,
            baseline,
            unit,
            ratio,
            target: text,
            met,
            cpu_seconds: 0.0,
            peak_bytes: 0,
            disk_bytes: 0,
        }
    }
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            rows: Vec::new(),
        }
    }

    /// Adds a comparison of times: both samples did `count` operations. The ratio is ours over the
    /// baseline's time for [`Target::AtMost`] and [`Target::Within`], and the baseline's time over ours (the share of its
    /// rate) for [`Target::AtLeast`].
    pub(crate) fn add(
        &mut self,
        bench: &'static str,
        row: impl Into<String>,
        count: u64,
        ours: &Sample,
        baseline: &Sample,
        target: Target,
    ) {
        let per_op = |sample: &Sample| sample.seconds * 1e6 / count.max(1) as f64;
        let (mine, base) = (per_op(ours), per_op(baseline));
        let row = Row::new(bench, row.into(), (mine, base, "us/op"), target);
        self.push(Row {
            cpu_seconds: ours.cpu_seconds,
            peak_bytes: ours.peak_bytes,
            disk_bytes: ours.disk_bytes,
            ..row
        });
    }

    /// Adds a comparison of figures that were computed, not measured. The ratio is as in [`Report::add`].
    pub(crate) fn add_figures(
        &mut self,
        bench: &'static str,
        row: impl Into<String>,
        ours: f64,
        baseline: f64,
        unit: &'static str,
        target: Target,
    ) {
        self.push(Row::new(bench, row.into(), (ours, baseline, unit), target));
    }

    fn push(&mut self, row: Row) {
        if self.json {
            println!("{}", serde_json::to_string(&row).unwrap_or_default());
        } else {
            eprintln!(
                "{}: {} {:.3} {}, ratio {:.2}",
                row.bench, row.row, row.ours, row.unit, row.ratio
            );
        }
        self.rows.push(row);
    }

    /// Prints the table.
    pub(crate) fn finish(self) {
        if self.json {
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header([
            "bench", "row", "ours", "baseline", "unit", "ratio", "target", "met", "CPU s",
            "peak MiB", "disk MiB",
        ]);
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / (1 << 20) as f64);
        for row in &self.rows {
            table.add_row([
                row.bench.to_owned(),
                row.row.clone(),
                format!("{:.3}", row.ours),
                format!("{:.3}", row.baseline),
                row.unit.to_owned(),
                format!("{:.2}", row.ratio),
                row.target.clone().unwrap_or_default(),
                row.met
                    .map_or("", |met| if met { "yes" } else { "no" })
                    .to_owned(),
                format!("{:.2}", row.cpu_seconds),
                mib(row.peak_bytes),
                mib(row.disk_bytes),
            ]);
        }
        println!("{table}");
    }
}
