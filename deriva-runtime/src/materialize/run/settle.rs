//! What follows when a node is finished or failed.

use std::time::Duration;

use deriva_api::{Blob, Error, ErrorKind, Event, Output, Reason, Record, Result, Reuse};

use super::{Run, State, saturated};
use crate::materialize::plan::NodeId;
use crate::planted::{Fault, planted};
use crate::shared::flights::Landing;

impl Run {
    /// A node was computed here.
    pub(super) fn computed(&mut self, node: NodeId, blob: Blob, cost: Duration) {
        let output = Output {
            addr: blob.addr(),
            len: blob.len(),
            cost,
        };
        if self.count_computed(node, output) {
            let lost = self.plan.expected.contains_key(&node);
            let record = !(lost && planted(Fault::stores_nothing_that_it_healed));
            self.settle(node, output, Some(blob), record && self.keeps(node, output));
        }
    }

    /// A node was computed by an executor that stored the output itself.
    pub(super) fn computed_elsewhere(&mut self, node: NodeId, output: Output) {
        if self.count_computed(node, output) {
            self.settle(node, output, None, self.keeps(node, output));
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
        match how {
            Reuse::Cutoff => {
                // Whoever recorded it may be taken by a collection.
                self.lease.extend([output.addr]);
                self.summary.cutoff += 1;
            }
            Reuse::Joined => self.summary.joined += 1,
            Reuse::Recorded => self.summary.reused += 1,
        }
        self.emit(Event::Reused {
            addr: self.plan.addr(node),
            output,
            how,
        });
        // What another request recorded under this very address is recorded.
        let theirs = stored || planted(Fault::stores_nothing_that_it_joined);
        let record = self.keeps(node, output) && !(theirs && how == Reuse::Joined);
        self.settle(node, output, blob.filter(|_| !stored), record);
    }

    /// A node was finished by an earlier plan of this request, and is in no store.
    pub(super) fn take_held(&mut self, node: NodeId, output: Output, blob: Blob) {
        self.nodes[node as usize].state = State::Done;
        if self.nodes[node as usize].is_target {
            self.finished.insert(node, output.stat());
        }
        self.hold(node, blob, output.cost);
    }

    /// Whether the output of a node is to be recorded.
    fn keeps(&self, node: NodeId, output: Output) -> bool {
        let results = match self.plan.recipe(node) {
            Some((_, function)) => self.modes[function as usize].results,
            None => self.options.results(&self.inner),
        };
        // A later plan of this request is built on what a stage was made for.
        results.keeps(&output, self.roots.contains(&node))
            || (self.is_stage && self.nodes[node as usize].is_target)
    }

    /// A flight of somebody else ended, of the node itself or of its resolved recipe.
    pub(super) async fn landed(
        &mut self,
        node: NodeId,
        resolved: Option<deriva_api::CAddr>,
        landing: Landing,
    ) {
        self.lent.joins.remove(&node);
        if self.nodes[node as usize].state != State::Open {
            return;
        }
        if let Landing::Recorded(_) = &landing {
            self.batch.also.extend(resolved);
        }
        if let Landing::Done { stored, .. } = &landing {
            // Whoever had it may have found it under that address, too.
            self.batch.also.extend(resolved);
            self.batch.strict |= !stored;
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
            } => self.reuse(node, output, blob, how, stored),
            Landing::Recorded(output) => match self.is_there(output).await {
                Ok(true) => self.reuse(node, output, None, how, true),
                // Its layers, or its blob store, are others.
                Ok(false) => self.replan = true,
                Err(error) => self.fail(node, error),
            },
            Landing::Failed(error) => self.fail(node, error),
            Landing::Abandoned if planted(Fault::fails_with_the_leader) => {
                let what = "the request that computed it gave up";
                self.fail(node, Error::new(ErrorKind::Cancelled, what));
            }
            Landing::Abandoned if resolved.is_some() => self.cutoff.push(node),
            Landing::Abandoned => self.replan = true,
        }
    }

    /// Whether the blob of an output that another handle recorded is there for this one.
    async fn is_there(&mut self, output: Output) -> Result<bool> {
        self.lease.extend([output.addr]);
        let _together = self.inner.gate.read().await;
        let stats = self.inner.blobs.stat(&[output.addr]).await?;
        Ok(stats.iter().any(Option::is_some) && !self.carried.distrusted.contains(&output.addr))
    }

    /// A node failed. Without `keep_going` this ends the run; with it, only what depends on the node.
    pub(super) fn fail(&mut self, node: NodeId, error: Error) {
        let addr = self.plan.addr(node);
        let error = if error.path().is_empty() || error.path().last() == Some(&addr) {
            error.with("addr", addr).along(self.plan.path(node))
        } else {
            error
        };
        self.summary.failed += 1;
        self.emit(Event::Failed {
            addr,
            error: error.clone(),
        });
        self.give_up(node, &error);
        if self.options.keep_going {
            self.skip_above(node, &error);
        } else {
            self.failure = Some(error);
        }
    }

    /// Gives up all that needs a node that failed.
    pub(super) fn skip_above(&mut self, node: NodeId, error: &Error) {
        let mut above = self.plan.dependents(node).to_vec();
        while let Some(node) = above.pop() {
            if self.nodes[node as usize].state == State::Open {
                self.summary.skipped += 1;
                self.emit(Event::Skipped {
                    addr: self.plan.addr(node),
                });
                self.give_up(node, error);
                above.extend_from_slice(self.plan.dependents(node));
            }
        }
    }

    /// Why a node is computed.
    pub(super) fn reason(&self, node: NodeId) -> Reason {
        match self.plan.expected.contains_key(&node) {
            true => Reason::Lost,
            false => Reason::New,
        }
    }

    /// Counts a computed node, and checks it against what was recorded before its blob was lost.
    fn count_computed(&mut self, node: NodeId, output: Output) -> bool {
        let addr = self.plan.addr(node);
        let expected = self.plan.expected.get(&node);
        if let Some(expected) = expected.filter(|expected| !expected.same_bytes(&output)) {
            if self.watch.refuse_if_changed() {
                // What was recorded may have been forgotten since; or what this was computed from.
                self.replan = true;
                return false;
            }
            let what = "computing a lost output again gave different bytes";
            let error = Error::new(ErrorKind::Nondeterministic, what)
                .with("recorded", expected.addr)
                .with("offered", output.addr)
                .hint("the function is not deterministic: give it a new version, or forget the old output");
            self.fail(node, error);
            return false;
        }
        let reason = self.reason(node);
        self.summary.computed += 1;
        self.summary.bytes += output.len;
        self.observe(node, output.cost, output.len);
        self.emit(Event::Computed {
            addr,
            output,
            reason,
        });
        if reason == Reason::Lost {
            self.summary.healed += 1;
            self.emit(Event::Healed { addr });
        }
        true
    }

    /// The output of a node is known: record it, keep its bytes while they are needed, let those go on
    /// that wait for it, and let go of its own inputs. `blob` is what the store does not have yet.
    fn settle(&mut self, node: NodeId, output: Output, blob: Option<Blob>, record: bool) {
        let addr = self.plan.addr(node);
        let at = node as usize;
        self.nodes[at].state = State::Done;
        self.loan_ended(node);
        self.nodes[at].is_kept = record || blob.is_none();
        self.carried.distrusted.remove(&output.addr);
        let lands = self.plan.recipe(node).is_some();
        // Light nodes have none, and then nothing is hashed.
        let resolved = match self.resolved.is_empty() {
            true => None,
            false => self.resolved.remove(&node),
        };
        if record {
            let record = Record {
                addr,
                resolved,
                output,
            };
            self.batch.add(node, record, blob.clone(), lands);
        } else {
            // Not recorded, though its blob may be in the store: found by cutoff, or left there by the executor.
            let landing = Landing::Done {
                output,
                blob: blob.clone(),
                stored: false,
            };
            let landed = lands.then_some(addr).into_iter().chain(resolved);
            let landed = landed.map(|addr| (addr, landing.clone()));
            self.inner.land_unrecorded(self.watch.since(), landed);
        }
        if !planted(Fault::keeps_the_inputs_of_what_is_done) {
            self.release_inputs(node);
        }
        if self.nodes[at].is_target {
            self.finished.insert(node, output.stat());
        }
        match blob {
            Some(blob) => self.hold(node, blob, output.cost),
            None => self.plan.set_stored(node, output.stat(), true),
        }
        let bytes = saturated(output.len);
        for i in 0..self.plan.dependents(node).len() {
            let above = self.plan.dependents(node)[i];
            let at = &mut self.nodes[above as usize];
            at.waiting -= 1;
            at.input_bytes = at.input_bytes.saturating_add(bytes);
            if at.waiting == 0 && at.state == State::Open {
                self.ready(above);
            }
        }
    }

    fn release_inputs(&mut self, node: NodeId) {
        for i in 0..self.plan.inputs(node).len() {
            self.release(self.plan.inputs(node)[i]);
        }
    }

    pub(super) fn give_up(&mut self, node: NodeId, error: &Error) {
        self.nodes[node as usize].state = State::Failed;
        self.loan_ended(node);
        self.failures.insert(node, error.clone());
        if !planted(Fault::keeps_the_inputs_of_what_it_gives_up) {
            self.release_inputs(node);
        }
        let own = self.plan.recipe(node).map(|_| self.plan.addr(node));
        let resolved = self.resolved.remove(&node);
        let resolved = resolved.filter(|_| !planted(Fault::keeps_the_resolved_flight_of_a_failure));
        let own = own.filter(|_| !planted(Fault::tells_nobody_of_failures));
        let ended = own.into_iter().chain(resolved);
        // That this request ran out of time is no failure for those who wait with it.
        let landing = match error.kind() {
            ErrorKind::Timeout | ErrorKind::Cancelled if !planted(Fault::hands_a_timeout_on) => {
                Landing::Abandoned
            }
            _ => Landing::Failed(error.clone()),
        };
        let ended = ended.map(|addr| (addr, landing.clone()));
        self.inner.land_unrecorded(self.watch.since(), ended);
    }
}
