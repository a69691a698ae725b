//! What happens while addresses are materialized, and what was done.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::{CAddr, Error, Output, Violation};

/// Something that happened during a materialization. Handlers are called in order, one at a time,
/// by the request itself: they should be quick.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The plan is made: how many recipes to compute, how many recorded outputs to reuse. Comes again
    /// when a lost blob, a cancelled request or an invalidation forces a new plan.
    Planned {
        /// Recipes to be computed by this request.
        compute: u64,
        /// Recipes whose recorded output is reused.
        reused: u64,
    },
    /// How far the request is: about ten times a second, and at the end of each plan.
    Progress {
        /// Recipes that need nothing more: computed, found by early cutoff or by the executor, failed or skipped.
        done: u64,
        /// Recipes that were planned to be computed.
        planned: u64,
        /// Bytes of the outputs computed so far.
        bytes: u64,
        /// Time that the rest of this plan is likely to take, once something is known of it.
        left: Option<Duration>,
    },
    /// A heavy recipe was handed to the executor.
    Started {
        /// The recipe.
        addr: CAddr,
        /// Why it is computed.
        reason: Reason,
    },
    /// A running function told how far it is, by its [`CallContext`](crate::CallContext): about ten times a second at the most.
    Step {
        /// The recipe.
        addr: CAddr,
        /// What is done, in units of the function's choice.
        done: u64,
        /// What there is to do in all, where that is known.
        of: Option<u64>,
    },
    /// A recipe was computed by this request.
    Computed {
        /// The recipe.
        addr: CAddr,
        /// What it produced.
        output: Output,
        /// Why it was computed.
        reason: Reason,
    },
    /// A recipe was not computed because its output is known.
    Reused {
        /// The recipe.
        addr: CAddr,
        /// Its output.
        output: Output,
        /// How the output was known.
        how: Reuse,
    },
    /// A blob that had been lost or damaged was computed again, and is what it was.
    Healed {
        /// The recipe that makes it.
        addr: CAddr,
    },
    /// Runs of a recipe did not give the same. What was recorded of it, and of what was made from it, is forgotten, and
    /// the ledger has it.
    Violated {
        /// The recipe.
        addr: CAddr,
        /// What was seen.
        violation: Arc<Violation>,
    },
    /// A recipe failed.
    Failed {
        /// The recipe.
        addr: CAddr,
        /// Why.
        error: Error,
    },
    /// A recipe was given up because one that it needs failed.
    Skipped {
        /// The recipe.
        addr: CAddr,
    },
}

/// How an output was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reuse {
    /// It was recorded under the recipe's own address.
    Recorded,
    /// It was recorded, or computed at the same time, under another recipe that resolves to the same.
    Cutoff,
    /// Another request was computing it at the same time.
    Joined,
    /// The executor had it already, and ran no function ([`Executed::reused`](crate::Executed::reused)).
    Executor,
}

/// What a request did, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Recipes that were planned to be computed.
    pub planned: u64,
    /// Recipes computed by this request.
    pub computed: u64,
    /// Recipes whose recorded output was reused. What lies above them was not even looked at.
    pub reused: u64,
    /// Recipes whose output was found under another recipe that resolves to the same.
    pub cutoff: u64,
    /// Recipes whose blob had been lost or damaged and was made again.
    pub healed: u64,
    /// Recipes that another request computed at the same time.
    pub joined: u64,
    /// Recipes whose output the executor had already; none of them counts as computed.
    #[serde(skip_serializing_if = "is_zero")]
    pub executor_hits: u64,
    /// Recipes computed by this request whose output was compared with that of other runs.
    #[serde(skip_serializing_if = "is_zero")]
    pub checked: u64,
    /// Recipes whose runs did not give the same.
    #[serde(skip_serializing_if = "is_zero")]
    pub violations: u64,
    /// Recipes whose output is doubted, as theirs or that of one that they need was found to differ from run to run, and
    /// is served all the same.
    #[serde(skip_serializing_if = "is_zero")]
    pub doubted: u64,
    /// Recipes that failed.
    pub failed: u64,
    /// Recipes given up because one that they need failed.
    pub skipped: u64,
    /// Bytes of the outputs computed by this request.
    pub bytes: u64,
    /// Time from the request to its end, in seconds.
    pub seconds: f64,
}

/// Few executors remember outputs, and few requests are checked: these numbers are shown where there is something to tell.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Summary {
    /// Counts an output that was known.
    pub fn count(&mut self, how: Reuse) {
        match how {
            Reuse::Recorded => self.reused += 1,
            Reuse::Cutoff => self.cutoff += 1,
            Reuse::Joined => self.joined += 1,
            Reuse::Executor => self.executor_hits += 1,
        }
    }
}

/// Why a recipe is computed, as events and traces tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// It has no output: it was never computed, or its output was forgotten.
    New,
    /// Its output is recorded, but the bytes are gone or damaged.
    Lost,
    /// Another request computed it at the same time, without the checks that this one asks for.
    Unchecked,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::New => "new",
            Self::Lost => "lost",
            Self::Unchecked => "unchecked",
        })
    }
}
