//! What follows when a node is finished or failed.

use std::time::Duration;

use deriva_api::{
    Blob, BlobStat, CAddr, Error, ErrorKind, Executed, OnViolation, Operand, Output, Reason,
    Record, Result, Reuse,
};

use super::cutoff::resolved_address;
use super::graph::Graph;
use super::heavy::{Ended, Outcome};
use super::light::ChunkDone;
use super::violated::Contradiction;
use super::{Context, Run};
use crate::materialize::plan::NodeId;
use crate::planted::{Fault, planted};
use crate::shared::flights::Landing;
use crate::shared::ledger::condemned;

impl Run {
    /// A step of this run ended.
    pub(super) async fn executed(&mut self, outcome: Outcome) {
        let node = outcome.node;
        let ahead = self.steps.executing.ended(node, outcome.slot);
        self.values.give_back(ahead);
        if self.lent.rank(node).1 {
            self.context.inner.nested.lend(outcome.addr, None);
        }
        match outcome.ended {
            Ended::Executed(Ok(executed)) => {
                let Executed {
                    output,
                    cost,
                    reused,
                    ..
                } = executed;
                let waited = outcome.took.saturating_sub(cost);
                self.reporter.waited(&self.graph, node, waited);
                self.computed(node, output, cost, reused).await;
            }
            Ended::Executed(Err(error)) => self.fail(node, error),
            Ended::Checked(checked) => self.checked(node, *checked).await,
            Ended::Unread(inputs) => self.lost(node, inputs).await,
        }
    }

    /// A node was computed, or the executor had its output already.
    pub(super) async fn computed(
        &mut self,
        node: NodeId,
        output: Operand,
        cost: Duration,
        reused: bool,
    ) {
        let (output, blob) = output_of(output, cost);
        if let Some(contradiction) = self.found(node, output, blob, reused) {
            self.contradicted(node, contradiction).await;
        }
    }

    /// A node was computed, and what it gave counts whatever was recorded before.
    pub(super) fn computed_as_agreed(&mut self, node: NodeId, output: Operand, cost: Duration) {
        let (output, blob) = output_of(output, cost);
        self.graph.plan.expected.remove(&node);
        let contradiction = self.found(node, output, blob, false);
        debug_assert!(contradiction.is_none(), "nothing is expected any more");
    }

    /// A chunk of light nodes was run.
    pub(super) async fn chunk_done(&mut self, mut done: ChunkDone) {
        self.steps.pace.ran(&done);
        self.reporter.chunk(&self.graph.plan, &done);
        for (node, result) in done.results {
            let is_checked = (done.checked.front()).is_some_and(|(next, _)| *next == node);
            if is_checked && let Some((_, mut checked)) = done.checked.pop_front() {
                if let Ok((_, cost)) = &mut checked.result {
                    *cost = done.cost;
                }
                self.checked(node, checked).await;
                if self.verdict.is_failure() {
                    return;
                }
                continue;
            }
            match result {
                Ok(blob) => {
                    let output = Output {
                        addr: blob.addr(),
                        len: blob.len(),
                        cost: done.cost,
                    };
                    if let Some(contradiction) = self.found(node, output, Some(blob), false) {
                        self.contradicted(node, contradiction).await;
                    }
                }
                Err(error) => self.fail(node, error),
            }
            if self.verdict.is_failure() {
                return;
            }
        }
    }

    /// The output of a node was computed, or the executor had it already (`reused`). It is compared with what was recorded
    /// before its blob was lost: where that is contradicted, it is the answer, and the node is open.
    fn found(
        &mut self,
        node: NodeId,
        output: Output,
        blob: Option<Blob>,
        reused: bool,
    ) -> Option<Contradiction> {
        if let Some(recorded) = self.graph.contradicted_by(node, &output) {
            return Some(Contradiction {
                recorded: *recorded,
                offered: output,
                blob,
            });
        }
        if !self.may_serve(node, output.addr)
            && !self.graph.is_doubted(node)
            && let Some(error) = self.doubt_or_refuse(node)
        {
            self.fail(node, error);
            return None;
        }
        match reused {
            true => (self.reporter).reused(&self.graph, node, output, Reuse::Executor),
            false => self.reporter.computed(&self.graph, node, output),
        }
        let lost = self.graph.reason(node) == Reason::Lost;
        if lost {
            self.reporter.healed(self.graph.plan.addr(node));
        }
        let dropped = blob.is_some() && lost && planted(Fault::stores_nothing_that_it_healed);
        let record = !dropped && keeps(&self.context, &self.graph, node, output);
        self.settle(node, output, blob, record);
        None
    }

    /// The output of a node must not be served: the error that says so; or, where that is to be reported alone, the node is
    /// doubted.
    fn doubt_or_refuse(&mut self, node: NodeId) -> Option<Error> {
        let addr = self.graph.plan.addr(node);
        match self.graph.mode(node).map(|mode| mode.on_violation) {
            Some(OnViolation::Report) => {
                self.graph.doubt(node);
                None
            }
            _ => {
                let ledger = &self.context.inner.ledger;
                let resolved = resolved_address(&self.graph, &self.values, node).ok();
                let names = [Some(addr), resolved];
                let entry = names
                    .iter()
                    .flatten()
                    .find_map(|it| ledger.any_entry_of(it));
                Some(condemned(addr, entry.unwrap_or(addr)))
            }
        }
    }

    /// The output of a node was found; `stored` tells that its blob is in the store.
    pub(super) fn reuse(
        &mut self,
        node: NodeId,
        output: Output,
        blob: Option<Blob>,
        how: Reuse,
        stored: bool,
    ) {
        if how == Reuse::Cutoff {
            // Whoever recorded it may be taken by a collection.
            self.context.lease.extend([output.addr]);
        }
        self.reporter.reused(&self.graph, node, output, how);
        // What another request recorded under this very address is recorded.
        let theirs = stored || planted(Fault::stores_nothing_that_it_joined);
        let record =
            keeps(&self.context, &self.graph, node, output) && !(theirs && how == Reuse::Joined);
        self.settle(node, output, blob.filter(|_| !stored), record);
    }

    /// A node was finished by an earlier plan of this request, and is in no store.
    pub(super) fn take_held(&mut self, node: NodeId, output: Output, blob: Blob) {
        self.graph.is_there(node);
        if self.graph.is_target(node) {
            self.verdict.finished(node, output.stat());
        }
        self.values.hold(node, blob, output.cost);
    }

    /// A flight of somebody else ended, of the node itself or of its resolved recipe.
    pub(super) async fn landed(&mut self, node: NodeId, resolved: Option<CAddr>, landing: Landing) {
        self.lent.landed(node);
        if !self.graph.is_open(node) {
            return;
        }
        let satisfied = self.graph.is_satisfied(node);
        match &landing {
            // No doubted output is enough for who asks for checks: its own are made.
            Landing::Done { doubted: true, .. } if self.context.asks_for_checks() => {
                return self.verdict.plan_anew();
            }
            Landing::Done { output, .. } | Landing::Recorded(output) if !satisfied => {
                return self.verdict.repeat(self.graph.plan.addr(node), *output);
            }
            Landing::Done { doubted: true, .. } => self.graph.doubt(node),
            _ => {}
        }
        if let Landing::Recorded(_) | Landing::Done { .. } = &landing {
            // Whoever had it may have found it under that address, too.
            self.writer.rely_on(resolved);
        }
        if let Landing::Done { stored: false, .. } = &landing {
            self.writer.be_strict();
        }
        let how = match resolved {
            Some(_) => Reuse::Cutoff,
            None => Reuse::Joined,
        };
        match landing {
            Landing::Done {
                output,
                blob,
                stored,
                doubted: _,
            } => self.reuse(node, output, blob, how, stored),
            Landing::Recorded(output) => match is_stored(&self.context, output).await {
                Ok(true) if !self.verdict.distrusts(&output.addr) => {
                    self.reuse(node, output, None, how, true);
                }
                // Its layers, or its blob store, are others.
                Ok(_) => self.verdict.plan_anew(),
                Err(error) => self.fail(node, error),
            },
            Landing::Failed(error) => self.fail(node, error),
            Landing::Abandoned if planted(Fault::fails_with_the_leader) => {
                let what = "the request that computed it gave up";
                self.fail(node, Error::new(ErrorKind::Cancelled, what));
            }
            Landing::Abandoned if resolved.is_some() => self.ready.look_up(node),
            Landing::Abandoned => self.verdict.plan_anew(),
        }
    }

    /// A node failed. Without `keep_going` this ends the run; with it, only what depends on the node.
    pub(super) fn fail(&mut self, node: NodeId, error: Error) {
        let error = self.graph.located(node, error);
        self.reporter.failed(&self.graph, node, &error);
        self.give_up(node, &error);
        match self.context.options.keep_going {
            true => self.skip_above(node, &error),
            false => self.verdict.end_with(error),
        }
    }

    /// Gives up all that needs a node that failed.
    pub(super) fn skip_above(&mut self, node: NodeId, error: &Error) {
        let mut above = self.graph.plan.dependents(node).to_vec();
        while let Some(node) = above.pop() {
            if self.graph.is_open(node) {
                // Told one at a time: where a handler panics, what is still open is abandoned.
                self.reporter.skipped(self.graph.plan.addr(node));
                self.give_up(node, error);
                above.extend_from_slice(self.graph.plan.dependents(node));
            }
        }
    }

    pub(super) fn give_up(&mut self, node: NodeId, error: &Error) {
        self.graph.fail(node);
        self.nobody_waits(node);
        self.verdict.failed(node, error.clone());
        if !planted(Fault::keeps_the_inputs_of_what_it_gives_up) {
            self.release_inputs(node);
        }
        let plan = &self.graph.plan;
        let own = plan.recipe(node).map(|_| plan.addr(node));
        let resolved = self.graph.take_resolved(node);
        let resolved = resolved.filter(|_| !planted(Fault::keeps_the_resolved_flight_of_a_failure));
        let own = own.filter(|_| !planted(Fault::tells_nobody_of_failures));
        // That this request ran out of time is no failure for those who wait with it.
        let landing = match error.kind() {
            ErrorKind::Timeout | ErrorKind::Cancelled if !planted(Fault::hands_a_timeout_on) => {
                Landing::Abandoned
            }
            _ => Landing::Failed(error.clone()),
        };
        self.land(own.into_iter().chain(resolved), &landing);
    }

    /// The output of a node is known: record it, keep its bytes while they are needed, let those go on
    /// that wait for it, and let go of its own inputs. `blob` is what the store does not have yet.
    fn settle(&mut self, node: NodeId, output: Output, blob: Option<Blob>, record: bool) {
        let addr = self.graph.plan.addr(node);
        self.nobody_waits(node);
        let doubted = self.graph.is_doubted(node);
        let record = record && !doubted;
        if doubted {
            self.reporter.doubted();
        }
        self.values.set_kept(node, record || blob.is_none());
        self.verdict.trust(&output.addr);
        self.verdict.repeated(&addr);
        let lands = self.graph.plan.recipe(node).is_some();
        let resolved = self.graph.take_resolved(node);
        if record {
            let record = Record {
                addr,
                resolved,
                output,
            };
            self.writer.add(node, record, blob.clone(), lands);
        } else {
            // Not recorded, though its blob may be in the store: found by cutoff, or left there by the executor.
            let landing = Landing::Done {
                output,
                blob: blob.clone(),
                stored: false,
                doubted,
            };
            self.land(lands.then_some(addr).into_iter().chain(resolved), &landing);
        }
        if !planted(Fault::keeps_the_inputs_of_what_is_done) {
            self.release_inputs(node);
        }
        if self.graph.is_target(node) {
            self.verdict.finished(node, output.stat());
        }
        match blob {
            Some(blob) => {
                self.values.hold(node, blob, output.cost);
                if doubted {
                    self.values.stays(node);
                }
            }
            None => self.graph.plan.set_stored(node, output.stat(), true),
        }
        let Self {
            graph, ready, lent, ..
        } = self;
        graph.settle(node, output.len, |above, way| {
            ready.push(above, way, lent.rank(above));
        });
    }

    /// A node is finished, or failed: what others lent to it ends.
    fn nobody_waits(&mut self, node: NodeId) {
        if self.lent.ended(node) {
            self.writer.hurry();
            self.steps.executing.set_top(self.lent.top());
        }
    }

    fn release_inputs(&mut self, node: NodeId) {
        for input in self.graph.plan.inputs(node) {
            self.values.release(*input);
        }
    }

    /// Lands flights whose results are not recorded.
    fn land(&self, flights: impl Iterator<Item = CAddr>, landing: &Landing) {
        let landings = flights.map(|addr| (addr, landing.clone()));
        let Context { inner, watch, .. } = &self.context;
        inner.land_unrecorded(watch.since(), landings);
    }
}

/// An output as it is recorded, and its blob unless the executor stored that itself.
fn output_of(output: Operand, cost: Duration) -> (Output, Option<Blob>) {
    let BlobStat { addr, len } = output.stat();
    let blob = match output {
        Operand::Held(blob) => Some(blob),
        Operand::Stored(_) => None,
    };
    (Output { addr, len, cost }, blob)
}

/// Whether the output of a node is to be recorded.
fn keeps(context: &Context, graph: &Graph, node: NodeId, output: Output) -> bool {
    let results = match graph.mode(node) {
        Some(mode) => mode.results,
        None => context.options.results(&context.inner),
    };
    // A later plan of this request is built on what a stage was made for.
    results.keeps(&output, graph.is_root(node)) || (context.is_stage && graph.is_target(node))
}

/// Whether the blob of an output that another handle recorded is there for this one.
async fn is_stored(context: &Context, output: Output) -> Result<bool> {
    context.lease.extend([output.addr]);
    let _together = context.inner.gate.read().await;
    let stats = context.inner.blobs.stat(&[output.addr]).await?;
    Ok(stats.iter().any(Option::is_some))
}
