//! What calls cost, told to the running means; and what these say about early cutoff.

use std::time::Duration;

use deriva_api::Weight;

use super::Run;
use crate::costs::Calls;
use crate::inner::Inner;
use crate::plan::{NodeId, Plan};

/// Of each function of a plan, whether a look-up under the resolved address pays. Decided once a run, so
/// that what is measured during it changes nothing in it.
pub(super) fn cutoff_pays(inner: &Inner, plan: &Plan) -> Vec<bool> {
    let functions = plan.functions.iter();
    functions
        .map(|function| {
            let estimate = inner.costs.estimate(function.id(), function.weight());
            inner.costs.cutoff_pays(estimate, function.weight()).pays
        })
        .collect()
}

impl Run {
    /// Whether a node is looked up under its resolved address. A light function on large inputs always
    /// is: what its calls on small ones cost says nothing about it.
    pub(super) fn cutoff_pays(&self, node: NodeId, light: bool) -> bool {
        let Some((_, function)) = self.recipe(node) else {
            return false;
        };
        let large = !light && self.plan.functions[function as usize].weight() == Weight::Light;
        large || self.cutoff_pays[function as usize]
    }

    /// Takes in nodes that were computed, with the lengths of their outputs; each took `cost`. One lock
    /// for all of them.
    pub(super) fn observe_costs(
        &self,
        computed: impl Iterator<Item = (NodeId, u64)>,
        cost: Duration,
    ) {
        // A chunk has few functions, and long runs of the same one.
        let mut by_function: Vec<(u32, Calls)> = Vec::new();
        for (node, len) in computed {
            let Some((_, function)) = self.recipe(node) else {
                continue;
            };
            let known = by_function
                .iter()
                .rposition(|(known, _)| *known == function);
            let at = known.unwrap_or_else(|| {
                by_function.push((function, Calls::default()));
                by_function.len() - 1
            });
            let calls = &mut by_function[at].1;
            calls.calls += 1;
            calls.bytes += len;
            calls.time += cost;
        }
        let id = |function: u32| self.plan.functions[function as usize].id();
        let observed = by_function.iter();
        let observed = observed.map(|(function, calls)| (id(*function), *calls));
        self.inner.costs.observe(observed);
    }
}
