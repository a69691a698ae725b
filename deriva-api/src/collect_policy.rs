//! What a collection takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a collection takes.
///
/// By default: recipes that no root and no lease needs, their outputs, and the blobs that are outputs of
/// such recipes alone. A blob that is needed as itself, as an input of a live recipe or by a root or a
/// lease of its own, stays. What deriva noted of checks and noted anew since is taken as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CollectPolicy {
    /// See [`CollectPolicy::unreferenced_blobs`].
    pub unreferenced_blobs: bool,
    /// See [`CollectPolicy::derived_bytes_at_most`].
    pub derived_bytes_at_most: Option<u64>,
    /// See [`CollectPolicy::older_than`].
    pub older_than: Option<Duration>,
}

impl CollectPolicy {
    /// Takes blobs as well that nothing refers to: those that were put and never named by a recipe that
    /// lives or by a root. Nothing can make these again. Default: they stay.
    #[must_use]
    pub fn unreferenced_blobs(mut self, take: bool) -> Self {
        self.unreferenced_blobs = take;
        self
    }

    /// Drops outputs of live recipes, too, until their blobs are no more than this many bytes: those
    /// first that cost the least computation per byte. The recipes stay, and make them again when they are
    /// asked for.
    ///
    /// Never dropped is the output of a recipe that a root names itself, what is leased, what is needed as
    /// itself, and what could not be computed again because a function is not registered or a blob below
    /// is missing. So more may be left than was asked for. Default: no quota.
    #[must_use]
    pub fn derived_bytes_at_most(mut self, bytes: u64) -> Self {
        self.derived_bytes_at_most = Some(bytes);
        self
    }

    /// Takes only what an earlier collection of the same runtime found unreachable this long ago, and
    /// each one since. Stores keep no times: the age is that of an observation, so the first collection
    /// with an age takes nothing, and a new process begins anew. Default: what is unreachable now is taken
    /// now.
    #[must_use]
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }
}
