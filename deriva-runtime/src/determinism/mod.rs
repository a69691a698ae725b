//! Determinism: computations that are run again, and what becomes of those that do not give the same.
//!
//! | file | what is in it |
//! |---|---|
//! | `audit.rs` | recorded outputs, compared with what their recipes give now |
//! | `bisect.rs` | the earliest recipes that two stores differ in |
//! | `check.rs` | how a computation is checked, and what its runs gave |
//! | `violated.rs` | what follows when they differ: the ledger, and what is forgotten |
//! | `ledger.rs` | entries as they lie in the store |
//! | `quarantine.rs` | functions with too many entries |
//! | `counts.rs` | how much was checked, as it lies in the store |
//! | `statistics.rs` | the same, and what it excludes, as it is told |
//!
//! What every request asks of the ledger is on the ground floor (`shared/ledger.rs`), as are the conditions of a perturbed
//! run (`shared/perturb.rs`).

pub(crate) mod audit;
pub(crate) mod bisect;
pub(crate) mod check;
pub(crate) mod counts;
pub(crate) mod ledger;
pub(crate) mod quarantine;
pub(crate) mod statistics;
pub(crate) mod violated;

use std::collections::HashSet;

use deriva_api::{CAddr, Error, ErrorKind, LedgerEntry, Result};

use crate::determinism::ledger::Stage;
use crate::shared::Deriva;

impl Deriva {
    /// What is known of recipes whose runs gave different outputs, released entries too. A damaged entry is one of them, and
    /// says so. What could not be written when it was found, as the store failed, is written now, if that works.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn ledger(&self) -> Result<Vec<LedgerEntry>> {
        violated::write_again(&self.inner).await;
        let mut found = ledger::list(&self.inner, None).await?;
        // An entry that is about to be finished has both names for a moment.
        let new = found
            .iter()
            .filter(|it| it.stage == Stage::New && it.document.is_ok());
        let new: HashSet<CAddr> = new.map(|it| it.recipe).collect();
        found.retain(|it| it.stage != Stage::Open || !new.contains(&it.recipe));
        let entries = found.into_iter().map(ledger::Found::into_entry);
        let unwritten = self.inner.ledger.unwritten().into_iter();
        let unwritten = unwritten.map(|it| LedgerEntry::new(it, false, Vec::new()));
        Ok(entries.chain(unwritten).collect())
    }

    /// Lets a recipe be computed and served again whose runs gave different outputs: after its function was mended, or where
    /// what differed is known not to matter. Its entry stays in the ledger, as released.
    ///
    /// # Errors
    /// `NotFound` where the ledger has no entry of this recipe that was not released, and what the store says.
    pub async fn release(&self, recipe: CAddr) -> Result<()> {
        let inner = &self.inner;
        let _turn = inner.ledger.turn.lock().await;
        violated::finish(inner, recipe).await?;
        let stored = ledger::release(inner, recipe).await?;
        // One that could not be written condemns all the same.
        if !inner.ledger.release(recipe) && !stored {
            let what = "the ledger has no entry of this recipe that was not released";
            return Err(Error::new(ErrorKind::NotFound, what)
                .with("addr", recipe)
                .hint("`deriva ledger ls` lists the entries"));
        }
        Ok(())
    }
}
