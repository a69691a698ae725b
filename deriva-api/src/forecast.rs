//! What a request would take: work, longest path, wall time, bytes, and what cutoff would do.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::{CAddr, FunctionId, Weight};

/// What a request would take, if nothing that it computes turns out to be known under another name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Forecast {
    /// Steps at a time that were assumed: those that the runtime is set up for.
    pub jobs: usize,
    /// Recipes that would be computed.
    pub computed: u64,
    /// Time of all computations together, in seconds.
    pub work_seconds: f64,
    /// The longest chain of computations, in seconds: no number of workers is faster.
    pub critical_seconds: f64,
    /// The recipes of that chain, the first to run first.
    pub critical_path: Vec<CAddr>,
    /// Time from beginning to end with `jobs` at a time, in seconds; look-ups, reads and writes are left out.
    pub wall_seconds: f64,
    /// Whether `wall_seconds` comes from a simulated schedule; for a very large plan it is the bound that no
    /// schedule beats.
    pub simulated: bool,
    /// What would be read and written.
    pub bytes: ForecastBytes,
    /// What would be computed by each function, the one with the most work first.
    pub functions: Vec<FunctionForecast>,
}

/// Bytes that a request would touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ForecastBytes {
    /// Of stored blobs and outputs at which the plan stops.
    pub stored: u64,
    /// Of outputs that were lost, whose length is recorded.
    pub lost: u64,
    /// Of outputs never computed, by what their functions gave so far.
    pub estimated: u64,
    /// Outputs of whose length nothing is known; not in the sums above.
    pub unknown_outputs: u64,
}

/// What a request would compute by one function.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FunctionForecast {
    /// The function.
    pub function: FunctionId,
    /// What its author says of one call.
    pub weight: Weight,
    /// Recipes that would be computed.
    pub nodes: u64,
    /// Their time together, in seconds.
    pub seconds: f64,
    /// What one call is likely to take, where its recipe has no recorded cost.
    pub estimate: Estimate,
    /// Whether recipes are first looked up under their resolved address, and why. Light functions on large
    /// inputs always are.
    pub cutoff: CutoffDecision,
}

impl FunctionForecast {
    /// Of this function nothing would be computed yet.
    #[must_use]
    pub fn new(
        function: FunctionId,
        weight: Weight,
        estimate: Estimate,
        cutoff: CutoffDecision,
    ) -> Self {
        Self {
            function,
            weight,
            nodes: 0,
            seconds: 0.0,
            estimate,
            cutoff,
        }
    }
}

/// What one call of a function is likely to take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Time of one call, in seconds.
    #[serde(rename = "seconds", serialize_with = "as_seconds")]
    pub time: Duration,
    /// Bytes of one output, where calls were seen.
    pub bytes: Option<u64>,
    /// Calls of this very function that were seen, or sampled.
    pub calls: u64,
    /// Where the figures come from.
    pub basis: Basis,
}

impl Estimate {
    /// This time, where no call of the function was seen.
    #[must_use]
    pub fn new(time: Duration, basis: Basis) -> Self {
        Self {
            time,
            bytes: None,
            calls: 0,
            basis,
        }
    }
}

/// What an [`Estimate`] was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Basis {
    /// Calls of the function.
    Function,
    /// Calls of the function whose cost the store recorded: a sample of them.
    Recorded,
    /// Calls of other functions: this one was not seen.
    OtherFunctions,
    /// The weight that its author gave it: nothing was seen.
    Weight,
}

/// Whether a function is looked up under its resolved address before it is computed (early cutoff), and
/// the figures that decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CutoffDecision {
    /// Whether it is looked up.
    pub pays: bool,
    /// Whether measured figures decided; otherwise it was the weight.
    pub measured: bool,
    /// What one call takes, in seconds.
    #[serde(rename = "call_seconds", serialize_with = "as_seconds")]
    pub call: Duration,
    /// What one look-up takes in this store, in seconds.
    #[serde(rename = "lookup_seconds", serialize_with = "as_seconds")]
    pub lookup: Duration,
    /// What writing the row of one more resolved recipe takes in this store, in seconds.
    #[serde(rename = "write_seconds", serialize_with = "as_seconds")]
    pub write: Duration,
}

fn as_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
