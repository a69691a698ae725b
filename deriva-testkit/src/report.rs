//! What came of the cases.

use std::fmt;

use crate::Case;
use crate::case::words;
use deriva_api::{Error, ErrorKind, Result};
use std::str::FromStr;

words! {
    /// What came of a case.
    Outcome, "outcome":
    /// The promise was kept.
    Held => "held",
    /// The store declares that it does not have the capability, and its calls answer so.
    Unsupported => "unsupported",
    /// The promise was broken, or the case did not end in time.
    Failed => "failed",
}

/// What came of one case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CaseReport {
    /// The case.
    pub case: &'static Case,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// What went wrong, what is not supported, or what was measured.
    pub detail: Option<String>,
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (case, outcome) = (self.case, self.outcome);
        write!(
            f,
            "{outcome:11} {:7.3} s  {:8} {}",
            self.seconds, case.subject, case.name
        )?;
        match &self.detail {
            Some(detail) => write!(f, ": {}", detail.replace('\n', "\n    ")),
            None => Ok(()),
        }
    }
}

/// What came of a run of the suite. `Display` prints a line for each case, and the counts.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// One for each case that was run, in order.
    pub cases: Vec<CaseReport>,
}

impl Report {
    /// Whether no case failed.
    #[must_use]
    pub fn held(&self) -> bool {
        self.count(Outcome::Failed) == 0
    }

    /// How many cases came to `outcome`.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        let same = |report: &&CaseReport| report.outcome == outcome;
        self.cases.iter().filter(same).count()
    }

    /// The cases that failed.
    pub fn failed(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases
            .iter()
            .filter(|report| report.outcome == Outcome::Failed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for report in &self.cases {
            writeln!(f, "{report}")?;
        }
        let counts = Outcome::ALL
            .iter()
            .map(|outcome| format!("{} {outcome}", self.count(*outcome)));
        write!(f, "{}", counts.collect::<Vec<_>>().join(", "))
    }
}
