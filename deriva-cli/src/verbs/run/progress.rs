//! The progress bar on stderr; where that is no terminal, nothing is shown.

use std::fmt::Write;

use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};

use super::tally::StepTally;
use crate::term::{bar, size};

/// The bar of a run: first over files, then over recipes.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

// What is wide comes last and is cut at the terminal's edge: a line that wraps is not taken away again.
const READING: &str = "{spinner:.cyan} reading   [{bar:12.cyan/dim}] {pos}/{len} files  {wide_msg}";
const COMPUTING: &str =
    "{spinner:.cyan} computing [{bar:12.cyan/dim}] {pos}/{len} {rate}  {wide_msg}";

impl Progress {
    pub(crate) fn new() -> Self {
        Self { bar: bar() }
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
        let differ = match totals.violations {
            0 => String::new(),
            n => format!("{n} not deterministic, "),
        };
        self.bar.set_message(format!(
            "computed {}, cut off {}, failed {}, {differ}{}",
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
            let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                // Nothing can be done about a bar that cannot be written.
                let _ = out.write_str(&rate(state.per_sec()));
            });
            self.bar.set_style(style.progress_chars("=> "));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Recipes in a second: two digits of a slow rate, whole ones of a quick one.
fn rate(per_second: f64) -> String {
    match per_second {
        slow if slow < 10.0 => format!("{slow:.1}/s"),
        quick => format!("{}/s", HumanCount(quick as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::{InMemoryTerm, ProgressDrawTarget};

    #[test]
    fn a_rate_has_the_digits_that_say_something() {
        assert_eq!(rate(8345.9908), "8,345/s");
        assert_eq!(rate(0.25), "0.2/s");
    }

    #[test]
    fn a_narrow_terminal_is_left_clean() {
        let term = InMemoryTerm::new(20, 60);
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let progress = Progress {
            bar: ProgressBar::with_draw_target(None, target),
        };
        let totals = StepTally {
            nodes: 100_000,
            computed: 54_321,
            cutoff: 1234,
            bytes: 123_456_789,
            ..StepTally::default()
        };
        progress.show(&totals);
        progress.bar.force_draw();
        let shown = term.contents();
        assert!(
            shown.contains("computing") && shown.lines().count() == 1,
            "{shown}"
        );
        progress.clear();
        assert_eq!(term.contents(), "");
    }
}
