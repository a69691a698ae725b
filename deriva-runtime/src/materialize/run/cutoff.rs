//! Early cutoff: a look whether the work was done under another name.

use std::sync::Arc;

use deriva_api::{CAddr, Output, Result, Reuse};

use super::graph::Graph;
use super::values::Values;
use super::{Context, Run};
use crate::materialize::plan::NodeId;
use crate::planted::{Fault, planted};

impl Run {
    /// Looks up the resolved addresses of waiting nodes, in one batch. What is recorded there is
    /// reused; what somebody computes is waited for; the rest is queued.
    pub(super) async fn look_up_resolved(&mut self) -> Result<()> {
        if !self.ready.has_look_ups() {
            return Ok(());
        }
        let mut resolved: Vec<(NodeId, CAddr)> = Vec::new();
        for node in self.ready.take_look_ups() {
            // What is recorded of it is to be compared, not to be taken.
            if self.graph.is_unchecked(node) {
                self.queue_unfound(node);
                continue;
            }
            match resolve(&self.graph, &self.values, node)? {
                Some(addr) => resolved.push((node, addr)),
                None => self.queue_unfound(node),
            }
        }
        let inner = &self.context.inner;
        let claims = resolved.iter().map(|(_, addr)| *addr);
        let joined = inner.flights.claim(&self.context.claimant, claims);
        for (place, flight) in joined.into_iter().rev() {
            let (node, addr) = resolved.remove(place);
            let satisfies = self.context.is_satisfied_by(&self.graph, node, &flight);
            self.graph.set_satisfied(node, satisfies);
            let join = self.steps.join(node, Some(addr), flight);
            self.lent.joins(node, join);
            inner.flights.raise(join, self.lent.urgency(node));
        }
        if !planted(Fault::forgets_what_it_claimed) {
            self.graph.claimed(resolved.iter().copied());
        }
        if resolved.is_empty() {
            return Ok(());
        }
        let addrs: Vec<CAddr> = resolved.iter().map(|(_, addr)| *addr).collect();
        let inner = Arc::clone(inner);
        // From the look at a blob to the lease on it nobody takes it away.
        let together = inner.gate.read().await;
        let outputs = look_up(&self.context, &addrs).await;
        if outputs.is_err() && planted(Fault::keeps_a_permit) {
            std::mem::forget(together);
            return outputs.map(drop);
        }
        for ((node, _), output) in resolved.into_iter().zip(outputs?) {
            match output.filter(|output| !self.verdict.distrusts(&output.addr)) {
                Some(output) => self.reuse(node, output, None, Reuse::Cutoff, true),
                None => self.queue_unfound(node),
            }
        }
        Ok(())
    }

    fn queue_unfound(&mut self, node: NodeId) {
        if let Some(way) = self.graph.way_unfound(node) {
            self.ready.push(node, way, self.lent.rank(node));
        }
    }
}

/// What is recorded under each of these addresses, where its blob is stored.
async fn look_up(context: &Context, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
    let inner = &context.inner;
    let began = inner.clock.now();
    let mut outputs = inner.dag.outputs(addrs).await?;
    if !inner.ledger.is_empty() {
        for (addr, output) in addrs.iter().zip(&mut outputs) {
            output.take_if(|output| !inner.ledger.may_serve(addr, &output.addr));
        }
    }
    let contents: Vec<CAddr> = outputs.iter().flatten().map(|output| output.addr).collect();
    if !contents.is_empty() {
        let mut stats = inner.blobs.stat(&contents).await?.into_iter();
        for output in outputs.iter_mut().filter(|output| output.is_some()) {
            output.take_if(|_| stats.next().flatten().is_none());
        }
    }
    let took = inner.clock.now().saturating_sub(began);
    inner.costs.observe_lookup(addrs.len() as u64, took);
    Ok(outputs)
}

/// The resolved address of a node, unless it is the node's own.
fn resolve(graph: &Graph, values: &Values, node: NodeId) -> Result<Option<CAddr>> {
    let resolved = resolved_address(graph, values, node)?;
    Ok((resolved != graph.plan.addr(node)).then_some(resolved))
}

/// The address of a node's recipe over the contents of its inputs, which are there.
pub(super) fn resolved_address(graph: &Graph, values: &Values, node: NodeId) -> Result<CAddr> {
    let Some((recipe, _)) = graph.plan.recipe(node) else {
        return Ok(graph.plan.addr(node));
    };
    let inputs = graph.plan.inputs(node).iter();
    let contents = inputs.filter_map(|input| values.content(&graph.plan, *input));
    let contents: Vec<CAddr> = contents.map(|stat| stat.addr).collect();
    Ok(recipe.resolve(&contents)?.addr())
}
