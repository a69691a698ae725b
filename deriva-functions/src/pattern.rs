//! Regular expressions given as params.

use std::sync::{Arc, Mutex, PoisonError};

use deriva_api::Result;
use regex::bytes::{Regex, RegexBuilder};

use super::define::bad_value;

/// Compiles patterns and keeps the last one: a graph calls the same step on many inputs, and
/// compiling takes longer than searching a small input.
#[derive(Default)]
pub(super) struct Patterns {
    last: Mutex<Option<Arc<Regex>>>,
}

impl Patterns {
    /// The regular expression `pattern`, given under `param`.
    pub(super) fn compile(&self, param: &str, pattern: &str) -> Result<Arc<Regex>> {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last().as_ref().filter(|known| known.as_str() == pattern) {
            return Ok(Arc::clone(known));
        }
        let regex = RegexBuilder::new(pattern)
            .build()
            .map_err(|error| refused(param, pattern, error))?;
        let regex = Arc::new(regex);
        *last() = Some(Arc::clone(&regex));
        Ok(regex)
    }
}

fn refused(param: &str, pattern: &str, error: regex::Error) -> deriva_api::Error {
    let drawing = error.to_string();
    let mut wrong = bad_value(param, "a regular expression", pattern);
    if let Some(position) = position(&drawing) {
        wrong = wrong.with("position", position);
    }
    if let Some(reason) = drawing
        .lines()
        .rev()
        .find_map(|l| l.strip_prefix("error: "))
    {
        wrong = wrong.with("reason", reason);
    }
    wrong.caused_by(error)
}

// The regex crate tells the place of a mistake by a drawing alone: the pattern, indented by four, and
// carets below it.
fn position(drawing: &str) -> Option<usize> {
    drawing
        .lines()
        .filter(|line| line.contains('^') && line.trim_start().bytes().all(|b| b == b'^'))
        .find_map(|line| line.find('^')?.checked_sub(4))
        .map(|column| column + 1)
}
