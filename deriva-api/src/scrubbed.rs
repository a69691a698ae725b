//! What a scrub tells.

use serde::Serialize;

use crate::{CAddr, NeededBy, ScrubCursor};

/// Something that happened during a scrub.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ScrubEvent {
    /// A batch was read.
    Progress {
        /// Recipes read so far.
        recipes: u64,
        /// Blobs read so far.
        blobs: u64,
        /// Their bytes.
        bytes: u64,
        /// Where a scrub that ends now is continued.
        cursor: ScrubCursor,
    },
    /// Something is damaged or lost.
    Found {
        /// The recipe or blob.
        addr: CAddr,
        /// What is wrong with it.
        kind: FindingKind,
    },
    /// An output was computed again, is what it was, and is stored.
    Healed {
        /// The recipe that made it.
        addr: CAddr,
    },
    /// Something could not be healed.
    Unhealed {
        /// The recipe or blob.
        addr: CAddr,
        /// What is wrong with it.
        kind: FindingKind,
    },
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FindingKind {
    /// A blob whose stored bytes are damaged.
    Blob,
    /// A recipe with an output whose blob is gone.
    Output,
    /// A recipe whose own row, or the row of its output, is damaged.
    Recipe,
}

/// Something that could not be healed, and who needs it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The recipe or blob.
    pub addr: CAddr,
    /// What is wrong with it.
    pub kind: FindingKind,
    /// Why it could not be healed.
    pub reason: String,
    /// Who needs it.
    pub needed_by: NeededBy,
}

impl Finding {
    /// Something that could not be healed.
    #[must_use]
    pub fn new(addr: CAddr, kind: FindingKind, reason: String, needed_by: NeededBy) -> Self {
        Self {
            addr,
            kind,
            reason,
            needed_by,
        }
    }
}

/// What a scrub read, found and healed.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Scrubbed {
    /// Recipes that were read.
    pub recipes: u64,
    /// Blobs that were read.
    pub blobs: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Blobs and recipes that are damaged, as they were read.
    pub corrupt: u64,
    /// Outputs whose blob is gone, as they were met.
    pub missing: u64,
    /// Outputs that were computed again and stored, also those that were met only in doing so.
    pub healed: u64,
    /// What could not be healed.
    pub unhealed: u64,
    /// The first 100 of these.
    pub findings: Vec<Finding>,
    /// Where to continue, if a limit ended it.
    pub cursor: Option<ScrubCursor>,
    /// Time that it took, in seconds.
    pub seconds: f64,
}
