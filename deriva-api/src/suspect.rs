//! Functions of which too much is known to be trusted.

use serde::Serialize;

use crate::{CAddr, FunctionId};

/// A function with recipes whose runs gave different outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Suspect {
    /// The function.
    pub function: FunctionId,
    /// Its entries in the ledger that were not released, by recipe.
    pub entries: Vec<CAddr>,
    /// Whether nothing of it is computed any more, as it has as many entries as the runtime is set up to take.
    pub quarantined: bool,
}

impl Suspect {
    /// A function, with its entries in the ledger.
    #[must_use]
    pub fn new(function: FunctionId, entries: Vec<CAddr>, quarantined: bool) -> Self {
        Self {
            function,
            entries,
            quarantined,
        }
    }
}
