//! What follows when a node is finished, failed, or lost.

use std::time::Duration;

use deriva_api::{Blob, CAddr, Error, ErrorKind, Output, Record};

use super::{Run, State, Unread};
use crate::event::{Event, Reuse};
use crate::flights::Landing;
use crate::plan::{NodeId, Task};
use crate::request::StoreResults;

impl Run {
    /// A node was computed here.
    pub(super) fn computed(&mut self, node: NodeId, blob: Blob, cost: Duration) {
        let output = Output {
            addr: blob.addr(),
            len: blob.len(),
            cost,
        };
        if self.count_computed(node, output) {
            self.settle(node, output, Some(blob), self.records());
        }
    }

    /// A node was computed by an executor that stored the output itself.
    pub(super) fn computed_elsewhere(&mut self, node: NodeId, output: Output) {
        if self.count_computed(node, output) {
            self.settle(node, output, None, self.records());
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
            Reuse::Cutoff => self.summary.cutoff += 1,
            Reuse::Joined => self.summary.joined += 1,
            Reuse::Recorded => self.summary.reused += 1,
        }
        self.emit(Event::Reused {
            addr: self.addr(node),
            output,
            how,
        });
        // What another request recorded under this very address is recorded.
        let record = self.records() && !(stored && how == Reuse::Joined);
        self.settle(node, output, blob.filter(|_| !stored), record);
    }

    /// Whether outputs are recorded.
    fn records(&self) -> bool {
        self.options.store_results == StoreResults::All
    }

    /// A flight of somebody else ended, of the node itself or of its resolved recipe.
    pub(super) fn landed(&mut self, node: NodeId, resolved: Option<CAddr>, landing: Landing) {
        if self.state[node as usize] != State::Open {
            return;
        }
        if let Landing::Done { stored, .. } = &landing {
            // Whoever had it may have found it under that address, too.
            self.batch.also.extend(resolved);
            self.batch.strict |= !stored;
        }
        match (landing, resolved) {
            (
                Landing::Done {
                    output,
                    blob,
                    stored,
                },
                Some(_),
            ) => self.reuse(node, output, blob, Reuse::Cutoff, stored),
            (
                Landing::Done {
                    output,
                    blob,
                    stored,
                },
                None,
            ) => self.reuse(node, output, blob, Reuse::Joined, stored),
            (Landing::Failed(error), _) => self.fail(node, error),
            (Landing::Abandoned, Some(_)) => self.cutoff.push(node),
            (Landing::Abandoned, None) => self.replan = true,
        }
    }

    /// A node failed. Without `keep_going` this ends the run; with it, only what depends on the node.
    pub(super) fn fail(&mut self, node: NodeId, error: Error) {
        let error = if error.path().is_empty() || error.path().last() == Some(&self.addr(node)) {
            error
                .with("addr", self.addr(node))
                .along(self.plan.path(node))
        } else {
            error
        };
        self.summary.failed += 1;
        self.emit(Event::Failed {
            addr: self.addr(node),
            error: error.clone(),
        });
        self.give_up(node, &error);
        if !self.options.keep_going {
            self.failure = Some(error);
            return;
        }
        let mut above = self.plan.dependents(node).to_vec();
        while let Some(node) = above.pop() {
            if self.state[node as usize] == State::Open {
                self.summary.skipped += 1;
                self.emit(Event::Skipped {
                    addr: self.addr(node),
                });
                self.give_up(node, &error);
                above.extend_from_slice(self.plan.dependents(node));
            }
        }
    }

    /// Inputs of a node could not be read. Where all of them are damaged or gone and recipes can make
    /// them again, that is left to a new plan.
    pub(super) async fn lost(&mut self, node: NodeId, inputs: Vec<Unread>) {
        let mut made = Vec::new();
        let mut damaged = Vec::new();
        for Unread { input, error } in inputs {
            match (&self.plan.nodes[input as usize].task, error.kind()) {
                (Task::Stored { stat, made: true }, ErrorKind::Corrupt) => damaged.push(stat.addr),
                (Task::Stored { stat, made: true }, ErrorKind::NotFound) => made.push(stat.addr),
                (_, ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    let leaf = self.addr(input);
                    let error = self.lost_leaves.name(&self.inner, leaf, error).await;
                    return self.fail(node, error);
                }
                _ => return self.fail(node, error),
            }
        }
        match self.inner.discard_damaged(&damaged).await {
            Ok(()) => {
                self.distrusted.extend(made.into_iter().chain(damaged));
                self.replan = true;
            }
            Err(error) => self.fail(node, error),
        }
    }

    /// Counts a computed node, and checks it against what was recorded before its blob was lost.
    fn count_computed(&mut self, node: NodeId, output: Output) -> bool {
        let addr = self.addr(node);
        if let Some(expected) = self
            .plan
            .expected
            .get(&node)
            .filter(|expected| !expected.same_bytes(&output))
        {
            if self.watch.refuse_if_moved() {
                // What was recorded may have been forgotten since; or what this was computed from.
                self.replan = true;
                return false;
            }
            let error = Error::new(ErrorKind::Nondeterministic, "computing a lost output again gave different bytes")
                .with("recorded", expected.addr)
                .with("offered", output.addr)
                .hint("the function is not deterministic: give it a new version, or forget the old output");
            self.fail(node, error);
            return false;
        }
        self.summary.computed += 1;
        self.summary.bytes += output.len;
        self.emit(Event::Computed { addr, output });
        if self.plan.expected.contains_key(&node) {
            self.summary.healed += 1;
            self.emit(Event::Healed { addr });
        }
        true
    }

    /// The output of a node is known: record it, keep its bytes while they are needed, let those go on
    /// that wait for it, and let go of its own inputs. `blob` is what the store does not have yet.
    fn settle(&mut self, node: NodeId, output: Output, blob: Option<Blob>, record: bool) {
        let addr = self.addr(node);
        let at = node as usize;
        self.state[at] = State::Done;
        self.distrusted.remove(&output.addr);
        let owned = matches!(self.plan.nodes[at].task, Task::Compute { .. });
        let resolved = self.resolved.remove(&node);
        let landed = owned.then_some(addr).into_iter().chain(resolved);
        if record {
            self.batch
                .landings
                .extend(landed.map(|addr| (addr, output)));
            let record = Record {
                addr,
                resolved,
                output,
            };
            self.batch.add(record, blob.clone());
        } else {
            let landing = || Landing::Done {
                output,
                blob: blob.clone(),
                stored: blob.is_none(),
            };
            self.inner
                .land_unrecorded(self.watch.since(), landed.map(|addr| (addr, landing())));
        }
        self.release_inputs(node);
        if self.is_target[node as usize] {
            self.finished.insert(node, output.stat());
        }
        match blob {
            Some(blob) => self.values[at] = (self.consumers[at] > 0).then_some(blob),
            None => {
                self.plan.nodes[at].task = Task::Stored {
                    stat: output.stat(),
                    made: true,
                }
            }
        }
        for i in 0..self.plan.dependents(node).len() {
            let above = self.plan.dependents(node)[i] as usize;
            self.waiting[above] -= 1;
            if self.waiting[above] == 0 && self.state[above] == State::Open {
                self.ready.push_back(above as NodeId);
            }
        }
    }

    fn release_inputs(&mut self, node: NodeId) {
        for i in 0..self.plan.inputs(node).len() {
            let input = self.plan.inputs(node)[i] as usize;
            self.consumers[input] -= 1;
            if self.consumers[input] == 0 {
                self.values[input] = None;
            }
        }
    }

    fn give_up(&mut self, node: NodeId, error: &Error) {
        self.state[node as usize] = State::Failed;
        self.failures.insert(node, error.clone());
        self.release_inputs(node);
        let own = matches!(self.plan.nodes[node as usize].task, Task::Compute { .. })
            .then_some(self.addr(node));
        let ended = own.into_iter().chain(self.resolved.remove(&node));
        // That this request ran out of time is no failure for those who wait with it.
        let landing = match error.kind() {
            ErrorKind::Timeout | ErrorKind::Cancelled => Landing::Abandoned,
            _ => Landing::Failed(error.clone()),
        };
        self.inner.land_unrecorded(
            self.watch.since(),
            ended.map(|addr| (addr, landing.clone())),
        );
    }

    fn addr(&self, node: NodeId) -> CAddr {
        self.plan.nodes[node as usize].addr
    }
}
