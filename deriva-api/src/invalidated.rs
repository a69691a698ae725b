//! What an invalidation tells.

use serde::Serialize;

/// What was forgotten, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Invalidated {
    /// Recipes that were reached, with or without an output.
    pub recipes: u64,
    /// Their outputs that were forgotten.
    pub outputs: u64,
    /// Bytes of these outputs.
    pub bytes: u64,
    /// Seconds of computation that would have to be repeated to have these outputs again.
    pub rebuild_seconds: f64,
    /// The longest way from what was asked for to what was reached, in recipes; 0 without `cascade`.
    pub depth: u64,
    /// Whether nothing was forgotten, as only the numbers were asked for.
    pub dry_run: bool,
    /// Time that it took, in seconds.
    pub seconds: f64,
}
