//! What a request that is dropped, or that failed, leaves to others.
//!
//! What was computed is written all the same. Steps that are running and that others wait for run on,
//! and land for them; all else is abandoned, so that whoever waits for it can claim it anew.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use deriva_api::{BlobStat, ErrorKind, Executed, Operand, Output, Record};

use super::commit::{self, Batch};
use super::heavy::{Ended, Outcome};
use super::{Run, State};
use crate::materialize::plan::NodeId;
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::flights::Landing;

impl Drop for Run {
    fn drop(&mut self) {
        self.share_costs();
        let mut batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() && !planted(Fault::writes_nothing_of_a_dropped_request) {
            // The batch before may still be refused, so this one is not judged by itself.
            batch.strict = true;
            commit::spawn(&self.inner, batch, &self.watch);
        }
        let handed_over = self.hand_over_steps();
        let left = |node: &NodeId| !handed_over.contains(node);
        let open = (0..self.plan.len() as NodeId).filter(left).filter(|node| {
            let at = &self.nodes[*node as usize];
            at.state == State::Open && self.plan.recipe(*node).is_some()
        });
        let open = open.map(|node| self.plan.addr(node));
        let resolved = self.resolved.iter().filter(|(node, _)| left(node));
        let open = open.filter(|_| !planted(Fault::keeps_the_flights_of_a_dropped_request));
        let resolved = resolved.filter(|_| !planted(Fault::keeps_resolved_flights));
        let abandoned = open.chain(resolved.map(|(_, addr)| *addr));
        self.inner.flights.abandon(abandoned);
    }
}

impl Run {
    /// Leaves steps that others wait for to their tasks, and stops the others.
    fn hand_over_steps(&mut self) -> HashSet<NodeId> {
        let mut handed_over = HashSet::new();
        for (node, step) in self.executing.steps.drain() {
            let own = Some(self.plan.addr(node));
            let claims = own.into_iter().chain(self.resolved.get(&node).copied());
            if claims
                .into_iter()
                .any(|addr| self.inner.flights.is_awaited(addr))
            {
                step.is_handed_over.store(true, Ordering::Release);
                handed_over.insert(node);
            } else if !planted(Fault::lets_steps_run_on) {
                step.task.abort();
                self.inner.nested.lend(self.plan.addr(node), None);
            }
        }
        // From here on a task finds nobody to tell and lands its step itself.
        self.executing.outcomes.close();
        while let Ok(outcome) = self.executing.outcomes.try_recv() {
            if handed_over.contains(&outcome.node) {
                let inner = Arc::clone(&self.inner);
                let land = async move { land(&inner, outcome).await };
                self.inner.tokio.spawn(land);
            }
        }
        handed_over
    }
}

/// Lands a step for those who wait for it: its run is gone.
pub(super) async fn land(inner: &Arc<Inner>, outcome: Outcome) {
    let Outcome {
        node,
        addr,
        resolved,
        watch,
        results,
        is_root,
        ended,
        slot,
    } = outcome;
    drop(slot);
    inner.nested.lend(addr, None);
    let claims = Some(addr).into_iter().chain(resolved);
    let landing = match ended {
        Ended::Executed(Ok(Executed { output, cost, .. })) => {
            let BlobStat { addr: content, len } = output.stat();
            let output_row = Output {
                addr: content,
                len,
                cost,
            };
            let blob = match output {
                Operand::Held(blob) => Some(blob),
                Operand::Stored(_) => None,
            };
            if results.keeps(&output_row, is_root) {
                let record = Record {
                    addr,
                    resolved,
                    output: output_row,
                };
                let mut batch = Batch::new(u64::MAX);
                batch.add(node, record, blob, true);
                // What it was computed from is known to its run alone, which is gone.
                batch.strict = true;
                // The task lands what it holds, also when it is not waited for.
                drop(commit::spawn(inner, batch, &watch).await);
                return;
            }
            Landing::Done {
                output: output_row,
                stored: false,
                blob,
            }
        }
        Ended::Executed(Err(error))
            if !matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Cancelled)
                || planted(Fault::hands_the_timeout_of_a_step_on) =>
        {
            Landing::Failed(error)
        }
        Ended::Executed(Err(_)) | Ended::Unread(_) => Landing::Abandoned,
    };
    let ended = claims.map(|addr| (addr, landing.clone()));
    inner.land_unrecorded(watch.since(), ended);
}
