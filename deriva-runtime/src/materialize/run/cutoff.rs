//! Early cutoff: a look whether the work was done under another name.

use std::sync::Arc;

use deriva_api::{CAddr, Result, Reuse};
use futures::FutureExt;

use super::{Done, Run};
use crate::materialize::plan::NodeId;
use crate::planted::{Fault, planted};

impl Run {
    /// Looks up the resolved addresses of waiting nodes, in one batch. What is recorded there is
    /// reused; what somebody computes is waited for; the rest is queued.
    pub(super) async fn look_up_resolved(&mut self) -> Result<()> {
        if self.cutoff.is_empty() {
            return Ok(());
        }
        let mut resolved: Vec<(NodeId, CAddr)> = Vec::new();
        for node in std::mem::take(&mut self.cutoff) {
            match self.resolve(node)? {
                Some(addr) => resolved.push((node, addr)),
                None => self.queue(node, self.is_light(node)),
            }
        }
        let claims = resolved.iter().map(|(_, addr)| *addr);
        let joined = self.inner.flights.claim(&self.claimant, claims);
        for (place, landing) in joined.into_iter().rev() {
            let (node, addr) = resolved.remove(place);
            self.lent.joins.insert(node, landing.id());
            self.inner
                .flights
                .raise(landing.id(), self.lent.urgency(node));
            let landed = landing.map(move |end| Done::Landed(node, Some(addr), end));
            self.running.push(landed.boxed());
        }
        if !planted(Fault::forgets_what_it_claimed) {
            self.resolved.extend(resolved.iter().copied());
        }
        let addrs: Vec<CAddr> = resolved.iter().map(|(_, addr)| *addr).collect();
        if addrs.is_empty() {
            return Ok(());
        }
        // From the look at a blob to the lease on it nobody takes it away.
        let inner = Arc::clone(&self.inner);
        let together = inner.gate.read().await;
        let began = self.inner.clock.now();
        let outputs = self.inner.dag.outputs(&addrs).await;
        if outputs.is_err() && planted(Fault::keeps_a_permit) {
            std::mem::forget(together);
            return outputs.map(drop);
        }
        let outputs = outputs?;
        let contents: Vec<CAddr> = outputs.iter().flatten().map(|output| output.addr).collect();
        let mut stats = if contents.is_empty() {
            Vec::new()
        } else {
            self.inner.blobs.stat(&contents).await?
        }
        .into_iter();
        let took = self.inner.clock.now().saturating_sub(began);
        self.inner.costs.observe_lookup(addrs.len() as u64, took);
        for ((node, _), output) in resolved.into_iter().zip(outputs) {
            let there = output.is_some()
                && stats
                    .next()
                    .flatten()
                    .is_some_and(|stat| !self.carried.distrusted.contains(&stat.addr));
            match output {
                Some(output) if there => self.reuse(node, output, None, Reuse::Cutoff, true),
                _ => self.queue(node, self.is_light(node)),
            }
        }
        Ok(())
    }

    /// The resolved address of a node, unless it is the node's own.
    fn resolve(&self, node: NodeId) -> Result<Option<CAddr>> {
        let Some((recipe, _)) = self.plan.recipe(node) else {
            return Ok(None);
        };
        let inputs = self.plan.inputs(node).iter();
        let contents = inputs.filter_map(|input| self.content(*input));
        let contents: Vec<CAddr> = contents.map(|stat| stat.addr).collect();
        let resolved = recipe.resolve(&contents)?.addr();
        Ok((resolved != recipe.addr()).then_some(resolved))
    }
}
