//! The summary of a run, as a table or as JSON.

use std::path::Path;
use std::time::Duration;

use deriva::events::Summary;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::Read;
use super::expand::Expansion;
use super::lists::Stale;
use super::outputs::Written;
use super::tally::{StepTally, Tallied};
use crate::pipeline::Pipeline;
use crate::term::{Answer, Style, counted, lines, size, table, time};

/// Everything that a summary tells.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) expansion: &'a Expansion,
    pub(crate) tally: &'a Tallied,
    pub(crate) read: Read,
    pub(crate) written: &'a Written,
    pub(crate) output: &'a Path,
    pub(crate) summary: &'a Summary,
    pub(crate) time: Duration,
}

/// Files of a sort that are listed; the rest is counted.
const MOST_LISTED: usize = 8;

/// Files of earlier runs, as a run and a dry run tell of them.
pub(crate) fn stale_lines(stale: &Stale, removed: &str) -> String {
    let mut text = String::new();
    for (names, what) in [
        (
            &stale.remove,
            format!("{removed}, as the pipeline no longer makes it:"),
        ),
        (
            &stale.edited,
            "kept, as it was changed since the pipeline made it:".to_owned(),
        ),
    ] {
        for name in names.iter().take(MOST_LISTED) {
            text.push_str(&format!("\n{what} {name}"));
        }
        match names.len().saturating_sub(MOST_LISTED) {
            0 => {}
            more => text.push_str(&format!("\n{what} {more} more")),
        }
    }
    text
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let total = self.tally.total();
        let steps: Vec<_> = self
            .rows()
            .zip(&self.pipeline.steps)
            .map(|((name, step), spec)| {
                json!({
                    "name": name,
                    "function": spec.function.id(),
                    "nodes": step.nodes,
                    "computed": step.computed,
                    "reused": step.reused(),
                    "cutoff": step.cutoff,
                    "failed": step.failed,
                    "skipped": step.skipped,
                    "violations": step.violations,
                    "bytes": step.bytes,
                    "seconds": step.cost.as_secs_f64(),
                })
            })
            .collect();
        json!({
            "pipeline": self.pipeline.name,
            "nodes": total.nodes,
            "computed": total.computed,
            "reused": total.reused(),
            "cutoff": total.cutoff,
            "healed": self.summary.healed,
            "failed": total.failed,
            "skipped": total.skipped,
            "verified": self.summary.checked,
            "violations": self.summary.violations,
            "doubted": self.written.doubted,
            "bytes": total.bytes,
            "seconds": self.time.as_secs_f64(),
            "sources": {
                "files": self.read.files,
                "bytes": self.read.bytes,
                "seconds": self.read.time.as_secs_f64(),
            },
            "output": self.output.display().to_string(),
            "outputs": self.written.files,
            "removed": self.written.stale.remove,
            "edited": self.written.stale.edited,
            "steps": steps,
        })
        .serialize(serializer)
    }
}

impl Answer for Report<'_> {
    fn text(&self, style: Style) -> String {
        let total = self.tally.total();
        let mut steps = table([
            ("step", false),
            ("nodes", true),
            ("reused", true),
            ("computed", true),
            ("cut off", true),
            ("failed", true),
            ("time", true),
            ("bytes", true),
        ]);
        for (name, step) in self.rows().chain([("total", &total)]) {
            steps.add_row([
                name.to_owned(),
                step.nodes.to_string(),
                step.reused().to_string(),
                step.computed.to_string(),
                step.cutoff.to_string(),
                (step.failed + step.skipped).to_string(),
                if step.computed == 0 {
                    "-".to_owned()
                } else {
                    time(step.cost)
                },
                size(step.bytes),
            ]);
        }
        let mut text = lines(&steps);
        text.push_str(&format!(
            "\n\n{} of {} read in {}, {} over {}, in {} altogether",
            size(self.read.bytes),
            counted(self.read.files, "file"),
            time(self.read.time),
            counted(total.nodes, "recipe"),
            counted((self.expansion.len() as u64) - total.nodes, "blob"),
            time(self.time),
        ));
        let place = self.output.display();
        match self.written.files.len() {
            0 => {}
            1..=MOST_LISTED => {
                for (file, addr) in &self.written.files {
                    text.push_str(&format!("\n{addr}  {}", self.output.join(file).display()));
                }
            }
            n => text.push_str(&format!("\n{} in {place}", counted(n as u64, "output"))),
        }
        text.push_str(&stale_lines(&self.written.stale, "removed"));
        if self.summary.checked + self.summary.violations > 0 {
            text.push('\n');
            text.push_str(&self.verification(style));
        }
        let verdict = if total.failed > 0 {
            style.error(&format!(
                "{} failed, {} not computed for want of them",
                counted(total.failed, "recipe"),
                total.skipped
            ))
        } else if total.computed == 0 && total.cutoff == 0 {
            style.good("everything was reused: nothing had to be computed")
        } else {
            style.good(&format!(
                "computed {}, reused {}",
                total.computed,
                total.reused() + total.cutoff
            ))
        };
        text.push('\n');
        text.push_str(&verdict);
        text
    }
}

impl Report<'_> {
    /// What came of the checks, and what is doubted for that.
    fn verification(&self, style: Style) -> String {
        let verified = format!("verified {}", counted(self.summary.checked, "recipe"));
        let mut text = match self.summary.violations {
            0 => style.good(&format!("{verified}: all agree")),
            1 => style.error(&format!("{verified}: the runs of 1 differ")),
            n => style.error(&format!("{verified}: the runs of {n} differ")),
        };
        let doubted = &self.written.doubted;
        for file in doubted.iter().take(MOST_LISTED) {
            text += &format!("\ndoubted, as what made it differs from run to run: {file}");
        }
        match doubted.len().saturating_sub(MOST_LISTED) {
            0 => {}
            more => text += &format!("\ndoubted: {more} more"),
        }
        text
    }

    fn rows(&self) -> impl Iterator<Item = (&str, &StepTally)> {
        let names = self.pipeline.steps.iter().map(|step| step.name.as_str());
        names.zip(&self.tally.steps)
    }
}
