//! What was done, added up for those who count.

use std::time::Duration;

use crate::{Determinism, Distribution, ErrorKind, FunctionId, Summary};

/// How a part of a request is to be made, as it was planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// Recipes to be computed, those that were planned before and are planned anew among them.
    pub compute: u64,
    /// Recipes whose recorded output is reused.
    pub reused: u64,
    /// Steps from what was asked for to the node that is farthest from it.
    pub depth: u64,
    /// Whether the graph was too large for one plan: what the planner came to is made first, and then planned again.
    pub in_part: bool,
    /// Time that planning took.
    pub took: Duration,
}

/// What requests did since this was last told.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Work {
    /// What was done, in numbers. What was planned and reused is told by its [plan](Planned), and time when the request
    /// ends: here they are zero.
    pub summary: Summary,
    /// The same by function, for those of which there is something to tell.
    pub functions: Vec<FunctionWork>,
    /// What it took to write batches of results, in nanoseconds.
    pub commits: Distribution,
    /// How many results a batch had.
    pub commit_records: Distribution,
}

impl Work {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let nothing = self.functions.is_empty() && self.commit_records.count() == 0;
        nothing && self.commits.count() == 0 && self.summary == Summary::default()
    }
}

/// What was done with one function.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FunctionWork {
    /// The function.
    pub function: FunctionId,
    /// What calls took, in nanoseconds. A light function is timed together with others: each counts as their mean.
    pub times: Distribution,
    /// How long the inputs of a call were together, in bytes.
    pub inputs: Distribution,
    /// How long outputs were, in bytes.
    pub outputs: Distribution,
    /// What steps took beyond their call, in nanoseconds: until the executor began, and back. Light functions have none.
    pub waits: Distribution,
    /// Failures of its recipes, by kind.
    pub failures: Vec<(ErrorKind, u64)>,
    /// Computations whose runs were compared, by mode: how many agreed, how many did not.
    pub checks: Vec<(Determinism, u64, u64)>,
}

impl FunctionWork {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(function: FunctionId) -> Self {
        Self {
            function,
            times: Distribution::default(),
            inputs: Distribution::default(),
            outputs: Distribution::default(),
            waits: Distribution::default(),
            failures: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// Adds a failure.
    pub fn failed(&mut self, kind: ErrorKind) {
        match self.failures.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.failures.push((kind, 1)),
        }
    }

    /// Adds a check.
    pub fn checked(&mut self, mode: Determinism, agreed: bool) {
        let at = self.checks.iter().position(|(known, ..)| *known == mode);
        let at = at.unwrap_or_else(|| {
            self.checks.push((mode, 0, 0));
            self.checks.len() - 1
        });
        let (_, agree, differ) = &mut self.checks[at];
        *(if agreed { agree } else { differ }) += 1;
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.count() == 0 && self.failures.is_empty() && self.checks.is_empty()
    }
}
