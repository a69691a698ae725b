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

use deriva_api::{CAddr, ExplainedNode, Explanation, NodeState, Result};

use crate::explain::forecast::forecast;
use crate::explain::node::{BATCH, LookedUp, Met, look_up_nodes};
use crate::shared::Inner;

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
        let mut explained = Self::new(node.addr, node.state);
        explained.inputs = node.inputs().collect();
        explained.function = node.function;
        explained.output = node.output;
        explained.len = node.len;
        explained
    }
}
