//! What is known of an address.

use serde::Serialize;

/// What is known of an address, and so what a request would do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NodeState {
    /// A stored blob: read.
    Leaf,
    /// A recipe whose output is recorded and stored: reused.
    Present,
    /// A recipe whose output is recorded but whose blob is gone: computed again and compared.
    Lost,
    /// A recipe that was never computed, or whose output was forgotten: computed.
    Absent,
    /// A recipe without output, or whose output is lost, that another request computes now: waited for.
    InFlight,
    /// A recipe without output, or whose output is lost, and whose function is not known where it would be computed: the request
    /// fails before any work.
    UnknownFunction,
    /// A recipe whose runs gave different outputs, or one of a function in quarantine: the request fails before any work.
    Condemned,
    /// Neither a blob nor a recipe: the request fails before any work.
    Missing,
}

impl NodeState {
    /// Whether the request would compute it.
    #[must_use]
    pub fn is_computed(self) -> bool {
        matches!(self, Self::Lost | Self::Absent)
    }
}
