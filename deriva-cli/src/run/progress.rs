//! The progress bar on stderr; where that is no terminal, nothing is shown.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::tally::StepTally;
use crate::term::size;

/// The bar of a run: first over files, then over recipes.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

const READING: &str = "{spinner:.cyan} reading   [{bar:30.cyan/dim}] {pos}/{len} files  {msg}";
const COMPUTING: &str =
    "{spinner:.cyan} computing [{bar:30.cyan/dim}] {pos}/{len}  {msg}  {per_sec}";

impl Progress {
    pub(crate) fn new() -> Self {
        // Hidden by itself where stderr is no terminal.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// Begins the files.
    pub(crate) fn reading(&self, files: u64) {
        self.style(READING);
        self.bar.set_length(files);
        self.bar.set_position(0);
    }

    /// Some files were read and stored.
    pub(crate) fn read(&self, files: u64, bytes: u64) {
        self.bar.inc(files);
        self.bar.set_message(size(bytes));
    }

    /// Shows how far the recipes are.
    pub(crate) fn show(&self, totals: &StepTally) {
        if self.bar.is_hidden() {
            return;
        }
        if self.bar.length() != Some(totals.nodes) {
            self.style(COMPUTING);
            self.bar.set_length(totals.nodes);
            self.bar.reset_eta();
        }
        let done = totals.computed + totals.cutoff + totals.failed + totals.skipped;
        self.bar.set_position(done);
        self.bar.set_message(format!(
            "computed {}, cut off {}, failed {}, {}",
            totals.computed,
            totals.cutoff,
            totals.failed,
            size(totals.bytes)
        ));
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn style(&self, template: &str) {
        // The templates are constants; a bar without style is no reason to fail.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
