//! What came of a request, in parts.

use std::iter::once;

use deriva_api::{Materialized, Result};

use super::{Room, addrs_in_parts, in_parts, incomplete, misplaced};
use crate::v1;

/// The messages of a result, in order, without the bytes that are in hand, which follow in frames of their own.
pub fn of_result(done: &Materialized) -> impl Iterator<Item = v1::RunResult> + use<> {
    let v1::RunResult {
        results, summary, ..
    } = v1::RunResult::from(done);
    let results = in_parts(results).map(|results| v1::RunResult {
        results,
        ..v1::RunResult::default()
    });
    let doubted = addrs_in_parts(done.doubted.clone()).map(|doubted| v1::RunResult {
        doubted,
        ..v1::RunResult::default()
    });
    let last = v1::RunResult {
        summary,
        ..v1::RunResult::default()
    };
    results.chain(doubted).chain(once(last))
}

/// Puts a result together.
#[derive(Clone, Debug)]
pub struct ResultParts {
    targets: usize,
    results: Room,
    doubted: Room,
    found: v1::RunResult,
}

impl ResultParts {
    /// Of a request for this many targets.
    #[must_use]
    pub fn of(targets: usize) -> Self {
        Self {
            targets,
            results: Room::new(targets as u64),
            doubted: Room::new(targets as u64),
            found: v1::RunResult::default(),
        }
    }

    /// The next part.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](deriva_api::ErrorKind::Invalid) where it comes after the last one, or has more than was asked for.
    pub fn add(&mut self, part: v1::RunResult) -> Result<()> {
        let v1::RunResult {
            results,
            summary,
            doubted,
        } = part;
        if self.found.summary.is_some() {
            return Err(misplaced("RunResult", "nothing after the summary"));
        }
        self.results.take(results.len())?;
        self.doubted.take(doubted.len())?;
        self.found.results.extend(results);
        self.found.doubted.extend(doubted);
        self.found.summary = summary;
        Ok(())
    }

    /// Whether the last part has come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.found.summary.is_some()
    }

    /// The result, with no bytes in hand.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](deriva_api::ErrorKind::Corrupt) where its last part did not come,
    /// [`ErrorKind::Invalid`](deriva_api::ErrorKind::Invalid) where it is wrong in itself, or has no result for a target.
    pub fn finish(self) -> Result<Materialized> {
        if !self.is_complete() {
            return Err(incomplete("result"));
        }
        if self.found.results.len() != self.targets {
            let error = misplaced("RunResult.results", "one result for each target");
            let error = error.with("targets", self.targets);
            return Err(error.with("found", self.found.results.len()));
        }
        self.found.try_into()
    }
}
