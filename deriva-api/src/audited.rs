//! What an audit tells.

use std::sync::Arc;

use serde::Serialize;

use crate::{CAddr, Violation};

/// Something that happened during an audit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AuditEvent {
    /// A batch was audited.
    Progress {
        /// Recorded outputs looked at so far.
        outputs: u64,
        /// Those that were computed again.
        audited: u64,
        /// Those that were not what is recorded.
        violated: u64,
        /// Where an audit that ends now is continued.
        cursor: CAddr,
    },
    /// A recorded output is not what its recipe gives now.
    Violated {
        /// The recipe.
        addr: CAddr,
        /// What was seen.
        violation: Arc<Violation>,
    },
    /// A recorded output could not be compared.
    Skipped {
        /// The recipe.
        addr: CAddr,
        /// Why.
        reason: Skipped,
    },
}

/// Why a recorded output could not be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Skipped {
    /// An input has no output, or its bytes are gone or damaged: a scrub heals those.
    Inputs,
    /// Nobody here has the function.
    UnknownFunction,
    /// The ledger has an entry of it that was not released: it is condemned already.
    Condemned,
    /// It, or an input, was forgotten or computed anew meanwhile.
    Changed,
    /// The recipe's own row is damaged.
    Damaged,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Inputs => "inputs",
            Self::UnknownFunction => "unknown-function",
            Self::Condemned => "condemned",
            Self::Changed => "changed",
            Self::Damaged => "damaged",
        })
    }
}

/// What an audit computed, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Audited {
    /// Recorded outputs that were looked at.
    pub outputs: u64,
    /// Those whose recipe was computed again, from the recorded outputs of its inputs.
    pub audited: u64,
    /// Those of them that are what is recorded.
    pub agreed: u64,
    /// Those that are not.
    pub violated: u64,
    /// Those that could not be compared.
    pub skipped: u64,
    /// Bytes of what was computed.
    pub bytes: u64,
    /// The recipes whose outputs are not what is recorded: the first 100.
    pub violations: Vec<CAddr>,
    /// Whether nothing was entered or forgotten, as only the numbers were asked for.
    pub dry_run: bool,
    /// Where to continue, if a limit ended it.
    pub cursor: Option<CAddr>,
    /// Time that it took, in seconds.
    pub seconds: f64,
}
