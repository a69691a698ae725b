//! What a collection tells.

use serde::Serialize;

/// What a collection took, or would take in a dry run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Collected {
    /// Whether nothing was really taken.
    pub dry_run: bool,
    /// Recipes taken.
    pub recipes: u64,
    /// Outputs taken, of these recipes and of live ones under a quota.
    pub outputs: u64,
    /// Blobs taken.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Seconds of computation that would have to be repeated to have the outputs again.
    pub rebuild_seconds: f64,
    /// Recipes that were there when the collection began and stay.
    pub kept_recipes: u64,
    /// Blobs that were there when the collection began and stay.
    pub kept_blobs: u64,
    /// Their bytes.
    pub kept_bytes: u64,
    /// Bytes of outputs that are left, where a quota was set.
    pub derived_bytes: Option<u64>,
    /// Time from the request to its end, in seconds.
    pub seconds: f64,
}

/// Something that happened during a collection. Handlers should be quick.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CollectEvent {
    /// All addresses were listed.
    Listed {
        /// Number of recipes.
        recipes: u64,
        /// Number of blobs.
        blobs: u64,
    },
    /// Some recipes were found live; comes often.
    Living {
        /// Recipes found so far.
        recipes: u64,
    },
    /// A batch was taken.
    Taken(Collected),
}
