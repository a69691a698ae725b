//! How much is held, and what came of checks.

use serde::Serialize;

use crate::FunctionId;

/// How much a runtime holds. Counts are `None` where a store cannot tell them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Number of recipes.
    pub recipes: Option<u64>,
    /// Number of recipes with an output.
    pub outputs: Option<u64>,
    /// Number of blobs.
    pub blobs: Option<u64>,
    /// Their bytes.
    pub blob_bytes: Option<u64>,
    /// Number of roots, without those that deriva keeps for itself.
    pub roots: Option<u64>,
    /// Bytes in the memory cache, with its own overhead.
    pub cache_bytes: u64,
    /// The blob store, as a URI or a stack of layers.
    pub blob_store: String,
    /// The DAG store, as a URI or a stack of layers.
    pub dag_store: String,
    /// Where heavy functions run.
    pub executor: String,
    /// What came of all checks that were ever made in this store.
    pub verification: Verification,
}

/// What came of the checks that were made in a store so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// All functions together.
    #[serde(flatten)]
    pub total: FunctionChecks,
    /// By function, in the order of their names; those of which nothing was checked are left out.
    pub functions: Vec<(FunctionId, FunctionChecks)>,
}

/// What came of checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FunctionChecks {
    /// Computations whose output was compared: with that of another run, or with what was recorded.
    pub checked: u64,
    /// Those where all was the same.
    pub agreed: u64,
    /// Those where it was not.
    pub violated: u64,
    /// When that was last: milliseconds since 1970 in UTC, by the clock of the handle that saw it.
    pub last_violation_millis: Option<u64>,
    /// The highest rate of disagreement that these checks do not exclude, with a confidence of 95 %: 1 where nothing was
    /// checked, about 3 / n where n computations were checked and all agreed (Clopper and Pearson, 1934).
    pub rate_at_most: f64,
}
