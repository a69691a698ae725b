//! What a request that is dropped, or that failed, leaves to others.
//!
//! What was computed is written all the same. Steps that are running and that others wait for run on,
//! and land for them; all else is abandoned, so that whoever waits for it can claim it anew.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use deriva_api::{
    BlobStat, CAddr, ErrorKind, Executed, FoundBy, OnViolation, Operand, Output, Record, Result,
};
use tokio::task::JoinHandle;

use super::commit::{Committed, Recorded, Written};
use super::executing::Executing;
use super::graph::Graph;
use super::heavy::{Computation, Ended, Outcome};
use super::violated::two;
use super::writer::Batch;
use super::{Context, Run, commit};
use crate::determinism::check::Checked;
use crate::determinism::counts::Counting;
use crate::determinism::violated::{Violated, accepted, diverged, enter};
use crate::materialize::plan::NodeId;
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::flights::Landing;
use crate::shared::ledger::condemned;
use crate::shared::spans;
use crate::shared::statistics::Checks;

impl Drop for Run {
    fn drop(&mut self) {
        let Context { inner, watch, .. } = &self.context;
        self.reporter.share_costs(&inner.costs, &self.graph.plan);
        self.reporter
            .share_checks(&inner.statistics, &self.graph.plan);
        self.reporter.share_work();
        let mut batch = self.writer.take();
        if !batch.is_empty() && !planted(Fault::writes_nothing_of_a_dropped_request) {
            // The batch before may still be refused, so this one is not judged by itself.
            batch.strict = true;
            let written = commit::spawn(inner, batch, watch);
            let own = Arc::clone(inner);
            let remember = async move { remember_divergences(&own, written).await };
            inner.tokio.spawn(remember);
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
        computation,
        mut doubted,
        slot,
        took: _,
    } = outcome;
    drop(slot);
    inner.nested.lend(addr, None);
    let _counting = Counting::begin(inner);
    let claims = Some(addr).into_iter().chain(resolved);
    let named = computation.as_ref();
    let named = named.map(|it| (it.resolved, inner.policies.on_violation_of(&it.function)));
    let ended = match ended {
        Ended::Checked(checked) => {
            let (executed, doubt) = settled(inner, addr, computation, *checked).await;
            doubted |= doubt;
            Ended::Executed(executed)
        }
        ended => ended,
    };
    let ended = match (ended, named) {
        (Ended::Executed(Ok(executed)), Some((name, policy)))
            if !may_serve(inner, &[addr, name], &executed) && !doubted =>
        {
            doubted = true;
            let entry = (inner.ledger.any_entry_of(&addr))
                .or_else(|| inner.ledger.any_entry_of(&name))
                .unwrap_or(name);
            Ended::Executed(match policy {
                OnViolation::Report => Ok(executed),
                _ => Err(condemned(addr, entry)),
            })
        }
        (ended, _) => ended,
    };
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
            if !doubted && results.keeps(&output_row, is_root) {
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
                remember_divergences(inner, commit::spawn(inner, batch, &watch)).await;
                return;
            }
            Landing::Done {
                output: output_row,
                stored: false,
                doubted,
                blob,
            }
        }
        Ended::Executed(Err(error))
            if !matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Cancelled)
                || planted(Fault::hands_the_timeout_of_a_step_on) =>
        {
            Landing::Failed(error)
        }
        Ended::Executed(Err(_)) | Ended::Checked(_) | Ended::Unread(_) => Landing::Abandoned,
    };
    let ended = claims.map(|addr| (addr, landing.clone()));
    inner.land_unrecorded(watch.since(), ended);
}

/// Whether the ledger lets this output of a step be served, under each of these names.
fn may_serve(inner: &Inner, names: &[CAddr], executed: &Executed) -> bool {
    let content = executed.output.stat().addr;
    let mut names = names.iter();
    names.all(|name| inner.ledger.may_serve(name, &content))
}

/// Enters into the ledger what others recorded meanwhile and is not what a batch has. Its run is gone, so nobody is told.
async fn remember_divergences(inner: &Arc<Inner>, written: JoinHandle<Committed>) {
    let Ok(Committed {
        result: Ok(Written::Recorded(Recorded { divergences, .. })),
        ..
    }) = written.await
    else {
        return;
    };
    for (addr, divergence) in divergences {
        let dissent = two(
            divergence.recorded,
            divergence.offered,
            Vec::new(),
            FoundBy::Record,
        );
        if let Err(why) = diverged(inner, addr, dissent).await {
            let why = why.with("addr", addr);
            spans::determinism_not_whole("what others recorded was not compared", &why);
        }
    }
}

/// What a check of a step comes to whose run is gone, and whether that is doubted.
async fn settled(
    inner: &Arc<Inner>,
    addr: CAddr,
    computation: Option<Computation>,
    checked: Checked,
) -> (Result<Executed>, bool) {
    let executed = |(output, cost)| Executed::new(output, cost);
    let differs = checked.dissent.is_some();
    if let Some(Computation { function, .. }) = &computation
        && (differs || checked.result.is_ok())
    {
        let differed = differs.then(|| inner.clock.date());
        inner.statistics.add(function, Checks::one(differed));
    }
    let (Some(dissent), Some(computation)) = (checked.dissent, computation) else {
        return (checked.result.map(executed), false);
    };
    let agreed = dissent.agreed;
    let Computation { function, resolved } = computation;
    let violated = Violated {
        recipe: addr,
        resolved,
        accepted: accepted(agreed, &checked.result),
        dissent: *dissent,
        function,
    };
    let policy = inner.policies.on_violation_of(&violated.function);
    let violation = enter(inner, violated).await;
    match (policy, checked.result) {
        (_, result) if agreed => (result.map(executed), false),
        (OnViolation::Report, Ok(first)) => (Ok(executed(first)), true),
        _ => (Err(violation.into_error()), false),
    }
}
