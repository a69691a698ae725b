//! Explaining a request without running it.
//!
//! The walk holds every node that it meets, with its inputs: memory is linear in the nodes and edges of
//! the plan (about 250 bytes a node and 32 an input), as the answer itself is.

pub(crate) mod diff;
pub(crate) mod forecast;
pub(crate) mod graph;
pub(crate) mod node;
pub(crate) mod why;

use std::collections::BTreeSet;

use deriva_api::{CAddr, FunctionId, Output, Result};
use serde::Serialize;

use crate::explain::forecast::{Forecast, forecast};
use crate::explain::node::{BATCH, LookedUp, Met, NodeState, as_shown, look_up_nodes};
use crate::shared::Inner;

/// What a request would find and do.
#[derive(Clone, Debug, Default, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
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

pub(crate) async fn explain(inner: &Inner, targets: &[CAddr]) -> Result<Explanation> {
    let mut explanation = Explanation::default();
    let mut unknown = BTreeSet::new();
    let mut met: Met = targets.iter().copied().collect();
    while explanation.nodes.len() < met.len() {
        let batch: Vec<CAddr> = met
            .iter()
            .skip(explanation.nodes.len())
            .take(BATCH)
            .copied()
            .collect();
        for node in look_up_nodes(inner, &batch).await? {
            match node.state {
                NodeState::Missing => explanation.missing.push(node.addr),
                NodeState::UnknownFunction => unknown.extend(node.function.clone()),
                state if state.is_computed() => met.extend(node.inputs()),
                _ => {}
            }
            explanation.nodes.push(node.into());
        }
    }
    explanation.unknown_functions = unknown.into_iter().collect();
    explanation.forecast = forecast(inner, &mut explanation.nodes, &met).await?;
    Ok(explanation)
}

impl From<LookedUp> for ExplainedNode {
    fn from(node: LookedUp) -> Self {
        Self {
            addr: node.addr,
            state: node.state,
            inputs: node.inputs().collect(),
            function: node.function,
            output: node.output,
            len: node.len,
            seconds: None,
        }
    }
}
