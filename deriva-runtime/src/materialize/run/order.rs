//! What comes first: the node with the longest remaining path above it.

use super::Run;
use crate::materialize::plan::NodeId;
use crate::schedule::{Graph, priorities};

impl Run {
    /// Finds the longest remaining path above each node, by what the functions are likely to cost. Light
    /// nodes run in the order in which they become ready: where there are no others nothing is to be
    /// found.
    pub(super) fn prioritize(&mut self) {
        if self.modes.iter().all(|mode| mode.is_light) {
            return;
        }
        let functions = self.plan.functions.iter();
        let nanos = functions.map(|function| {
            let estimate = self.inner.costs.estimate(function.id(), function.weight());
            u64::try_from(estimate.time.as_nanos()).unwrap_or(u64::MAX)
        });
        let nanos: Vec<u64> = nanos.collect();
        let cost = |node: NodeId| match self.plan.recipe(node) {
            // What it cost before its blob was lost.
            Some((_, function)) => self
                .plan
                .expected
                .get(&node)
                .map_or(nanos[function as usize], |output| {
                    u64::try_from(output.cost.as_nanos()).unwrap_or(u64::MAX)
                }),
            None => 0,
        };
        let costs: Vec<u64> = (0..self.plan.len() as NodeId).map(cost).collect();
        let (at, dependents) = self.plan.edges();
        if let Some(graph) = Graph::new(at, dependents) {
            self.priorities = priorities(graph, &costs);
        }
    }
}
