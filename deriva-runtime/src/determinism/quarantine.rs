//! Functions of which too much is known to be trusted.

use deriva_api::{CAddr, FunctionId, Invalidated, Result};
use serde::Serialize;

use super::{ledger, violated};
use crate::shared::Deriva;

/// A function with recipes whose runs gave different outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Suspect {
    /// The function.
    pub function: FunctionId,
    /// Its entries in the ledger that were not released, by recipe.
    pub entries: Vec<CAddr>,
    /// Whether nothing of it is computed any more: see [`quarantine_after`](crate::DerivaBuilder::quarantine_after).
    pub quarantined: bool,
}

impl Deriva {
    /// The functions that have entries in the ledger which were not released, by name.
    #[must_use]
    pub fn suspects(&self) -> Vec<Suspect> {
        let after = self.inner.policies.quarantine_after;
        let functions = self.inner.ledger.functions().into_iter();
        let suspect = |(function, entries): (FunctionId, Vec<CAddr>)| Suspect {
            quarantined: after.is_some_and(|after| entries.len() as u64 >= after),
            function,
            entries,
        };
        functions.map(suspect).collect()
    }

    /// Releases all entries of a function, as [`Deriva::release`] does one; answers with their number.
    ///
    /// # Errors
    /// What the store says.
    pub async fn release_function(&self, function: &FunctionId) -> Result<u64> {
        let inner = &self.inner;
        let _turn = inner.ledger.turn.lock().await;
        let mut released = 0;
        for recipe in inner.ledger.entries_of(function) {
            violated::finish(inner, recipe).await?;
            released += u64::from(ledger::release(inner, recipe).await?);
            inner.ledger.release(recipe);
        }
        Ok(released)
    }

    /// Forgets all recorded outputs of a function, and all that was made of them.
    ///
    /// # Errors
    /// As [`Deriva::invalidate_function`].
    pub async fn disown_function(&self, function: &FunctionId) -> Result<Invalidated> {
        self.invalidate_function(function).cascade().await
    }
}
