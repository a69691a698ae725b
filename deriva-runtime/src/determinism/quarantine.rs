//! Functions of which too much is known to be trusted.

use deriva_api::{CAddr, FunctionId, Invalidated, Result, Suspect};

use super::{ledger, violated};
use crate::shared::Deriva;

impl Deriva {
    /// The functions that have entries in the ledger which were not released, by name; those with as many as
    /// [`quarantine_after`](crate::DerivaBuilder::quarantine_after) says are in quarantine.
    #[must_use]
    pub fn suspects(&self) -> Vec<Suspect> {
        let after = self.inner.policies.quarantine_after;
        let functions = self.inner.ledger.functions().into_iter();
        let suspect = |(function, entries): (FunctionId, Vec<CAddr>)| {
            let quarantined = after.is_some_and(|after| entries.len() as u64 >= after);
            Suspect::new(function, entries, quarantined)
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
