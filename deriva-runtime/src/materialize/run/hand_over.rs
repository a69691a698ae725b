//! What a request that is dropped, or that failed, leaves to others.
//!
//! What was computed is written all the same. Steps that are running and that others wait for run on,
//! and land for them; all else is abandoned, so that whoever waits for it can claim it anew.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use deriva_api::{BlobStat, ErrorKind, Executed, Operand, Output, Record};

use super::executing::Executing;
use super::graph::Graph;
use super::heavy::{Ended, Outcome};
use super::writer::Batch;
use super::{Context, Run, commit};
use crate::materialize::plan::NodeId;
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::flights::Landing;

impl Drop for Run {
    fn drop(&mut self) {
        let Context { inner, watch, .. } = &self.context;
        self.reporter.share_costs(&inner.costs, &self.graph.plan);
        let mut batch = self.writer.take();
        if !batch.is_empty() && !planted(Fault::writes_nothing_of_a_dropped_request) {
            // The batch before may still be refused, so this one is not judged by itself.
            batch.strict = true;
            commit::spawn(inner, batch, watch);
        }
        let handed_over = hand_over_steps(inner, &self.graph, &mut self.steps.executing);
        let left = |node: &NodeId| !handed_over.contains(node);
        let open = self.graph.unfinished().filter(left);
        let open = open.map(|node| self.graph.plan.addr(node));
        let resolved = self.graph.all_resolved().filter(|(node, _)| left(node));
        let open = open.filter(|_| !planted(Fault::keeps_the_flights_of_a_dropped_request));
        let resolved = resolved.filter(|_| !planted(Fault::keeps_resolved_flights));
        let abandoned = open.chain(resolved.map(|(_, addr)| addr));
        inner.flights.abandon(abandoned);
    }
}

/// Leaves steps that others wait for to their tasks, and stops the others.
fn hand_over_steps(
    inner: &Arc<Inner>,
    graph: &Graph,
    executing: &mut Executing,
) -> HashSet<NodeId> {
    let mut handed_over = HashSet::new();
    for (node, step) in executing.steps.drain() {
        let own = graph.plan.addr(node);
        let mut claims = Some(own).into_iter().chain(graph.resolved(node));
        if claims.any(|addr| inner.flights.is_awaited(addr)) {
            step.is_handed_over.store(true, Ordering::Release);
            handed_over.insert(node);
        } else if !planted(Fault::lets_steps_run_on) {
            step.task.abort();
            inner.nested.lend(own, None);
        }
    }
    // From here on a task finds nobody to tell and lands its step itself.
    executing.outcomes.close();
    while let Ok(outcome) = executing.outcomes.try_recv() {
        if handed_over.contains(&outcome.node) {
            let all = Arc::clone(inner);
            let land = async move { land(&all, outcome).await };
            inner.tokio.spawn(land);
        }
    }
    handed_over
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
