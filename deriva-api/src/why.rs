//! Why an address would be computed, or was.

use serde::Serialize;

use crate::diff::Diff;
use crate::{CAddr, NodeState};

/// Why an address would be computed, or would not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Why {
    /// The address.
    pub addr: CAddr,
    /// What is known of it, and so what a request would do with it.
    pub state: NodeState,
    /// Whether it is a recipe whose output is not recorded any more: that of a recipe over it is, so it once had one.
    pub forgotten: bool,
    /// What differs from the other address that was given.
    pub diff: Option<Diff>,
}

impl Why {
    /// What is known of an address, whose output was not forgotten, and which was compared with no other.
    #[must_use]
    pub fn new(addr: CAddr, state: NodeState) -> Self {
        Self {
            addr,
            state,
            forgotten: false,
            diff: None,
        }
    }
}
