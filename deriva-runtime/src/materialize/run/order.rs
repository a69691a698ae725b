//! What comes first: the node with the longest remaining path above it.

use super::graph::Graph;
use crate::materialize::plan::NodeId;
use crate::schedule;
use crate::shared::costs::Costs;

/// The longest remaining path above each node, by what the functions are likely to cost. Light nodes run in the order
/// in which they become ready: where there are no others nothing is to be found.
pub(super) fn priorities(graph: &Graph, costs: &Costs) -> Vec<u64> {
    if graph.modes.iter().all(|mode| mode.is_light) {
        return Vec::new();
    }
    let plan = &graph.plan;
    let nanos = plan.functions.iter().map(|function| {
        let estimate = costs.estimate(function.id(), function.weight());
        u64::try_from(estimate.time.as_nanos()).unwrap_or(u64::MAX)
    });
    let nanos: Vec<u64> = nanos.collect();
    let cost = |node: NodeId| match plan.recipe(node) {
        // What it cost before its blob was lost.
        Some((_, function)) => (plan.expected.get(&node))
            .map_or(nanos[function as usize], |output| {
                u64::try_from(output.cost.as_nanos()).unwrap_or(u64::MAX)
            }),
        None => 0,
    };
    let costs: Vec<u64> = plan.nodes().map(cost).collect();
    let (at, dependents) = plan.edges();
    let graph = schedule::Graph::new(at, dependents);
    graph.map_or_else(Vec::new, |graph| schedule::priorities(graph, &costs))
}
