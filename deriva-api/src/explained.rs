//! What a request would find and do.

use serde::Serialize;

use crate::node::as_shown;
use crate::{CAddr, Forecast, FunctionId, NodeState, Output};

/// What a request would find and do.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The requested addresses first, then what they need, breadth-first. What lies above a recipe
    /// whose output is there is not needed, and not among them.
    pub nodes: Vec<ExplainedNode>,
    /// Addresses that are needed but are neither blob nor recipe.
    pub missing: Vec<CAddr>,
    /// Functions that are needed but not registered, or lacking in the executor.
    pub unknown_functions: Vec<FunctionId>,
    /// What the request would take.
    pub forecast: Forecast,
}

/// One address of an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedNode {
    /// The address.
    pub addr: CAddr,
    /// What is known of it.
    pub state: NodeState,
    /// The function, where it is a recipe.
    pub function: Option<FunctionId>,
    /// The inputs, where it is a recipe.
    pub inputs: Vec<CAddr>,
    /// The recorded output, where there is one.
    #[serde(serialize_with = "as_shown")]
    pub output: Option<Output>,
    /// Length of the bytes in bytes, where it is known.
    #[serde(rename = "bytes")]
    pub len: Option<u64>,
    /// What computing it is likely to take, in seconds, where the request would: what it took before its
    /// bytes were lost, else what its function takes.
    pub seconds: Option<f64>,
}

impl ExplainedNode {
    /// An address of which no more is said than this.
    #[must_use]
    pub fn new(addr: CAddr, state: NodeState) -> Self {
        Self {
            addr,
            state,
            function: None,
            inputs: Vec::new(),
            output: None,
            len: None,
            seconds: None,
        }
    }
}
