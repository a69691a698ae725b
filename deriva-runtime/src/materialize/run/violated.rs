//! A node whose runs were compared, and what follows where they differ.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    Answer, Blob, CAddr, Clock, Determinism, Divergence, Error, ErrorKind, FoundBy, OnViolation,
    Operand, Output, Result, Violation,
};

use super::commit::divergent;
use super::cutoff::resolved_address;
use super::{Context, Run};
use crate::determinism::check::{Check, Checked, Dissent};
use crate::determinism::violated::{Violated, accepted, diverged, enter_all};
use crate::materialize::plan::NodeId;
use crate::shared::ledger::condemned;

/// Violations that are entered together, where the request goes on meanwhile.
const TOGETHER: usize = 1024;
/// They are entered no more often than takes this share of the time, as long as there is something else to do.
const SPARED: u32 = 20;

/// An output that is not what was recorded before.
pub(super) struct Contradiction {
    pub(super) recorded: Output,
    pub(super) offered: Output,
    pub(super) blob: Option<Blob>,
}

impl Context {
    /// Whether this request asks for checks, or is made to.
    pub(super) fn asks_for_checks(&self) -> bool {
        self.inner.policies.checks_anything(&self.options.asked)
    }
}

/// Nodes whose runs differ, and that wait until the ledger has them.
#[derive(Default)]
pub(super) struct Violations {
    pending: Vec<Pending>,
    /// When some were entered last, and how long that took.
    entered: Option<(Duration, Duration)>,
}

impl Violations {
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether they should be entered: where nothing else is to be done, and where that takes no more than a small part of
    /// the time.
    pub(super) fn are_due(&self, clock: &dyn Clock, none_runs: bool) -> bool {
        let is_time = |(at, took): (Duration, Duration)| {
            clock.now().saturating_sub(at) >= took.saturating_mul(SPARED)
        };
        !self.is_empty() && (none_runs || self.entered.is_none_or(is_time))
    }
}

struct Pending {
    node: NodeId,
    violated: Violated,
    agreed: bool,
    /// What they agreed on; else the first output, or the first error.
    result: Result<(Operand, Duration)>,
}

impl Run {
    /// A node was run as often as its check asks for.
    pub(super) async fn checked(&mut self, node: NodeId, checked: Checked) {
        let Checked { result, dissent } = checked;
        let Some(dissent) = dissent else {
            return match result {
                Ok((output, cost)) => {
                    let mode = self.context.determinism(&self.graph, node);
                    let mode = mode.unwrap_or_default();
                    self.reporter.checked(&self.graph, node, mode, true);
                    self.computed(node, output, cost, false).await;
                }
                Err(error) => self.fail(node, error),
            };
        };
        // What it was compared with may have been forgotten since; or what it was computed from.
        let compared = dissent.check.prior.is_some();
        if compared && self.context.watch.refuse_if_changed() {
            return self.verdict.plan_anew();
        }
        self.violated(node, *dissent, result).await;
    }

    /// Why a node is not run: the same computation gave different outputs, under this name or another. What it is called is
    /// known only once its inputs are there.
    pub(super) fn condemned(&self, node: NodeId) -> Option<Error> {
        let ledger = &self.context.inner.ledger;
        if ledger.is_empty() || self.graph.mode(node)?.on_violation == OnViolation::Report {
            return None;
        }
        let addr = self.graph.plan.addr(node);
        // What cannot be resolved fails when it is run.
        let resolved = resolved_address(&self.graph, &self.values, node).ok()?;
        let entry = ledger
            .entry_of(&addr)
            .or_else(|| ledger.entry_of(&resolved))?;
        Some(condemned(addr, entry))
    }

    /// Those of these nodes that may be run; the others fail.
    pub(super) fn without_condemned(&mut self, mut nodes: Vec<NodeId>) -> Vec<NodeId> {
        nodes.retain(|node| match self.condemned(*node) {
            None => true,
            Some(error) => {
                self.fail(*node, error);
                false
            }
        });
        nodes
    }

    /// Whether the ledger lets an output of a node be served, whatever the node is called.
    pub(super) fn may_serve(&self, node: NodeId, content: CAddr) -> bool {
        let ledger = &self.context.inner.ledger;
        if ledger.is_empty() {
            return true;
        }
        let resolved = resolved_address(&self.graph, &self.values, node).ok();
        let names = [Some(self.graph.plan.addr(node)), resolved];
        let mut names = names.iter().flatten();
        names.all(|name| ledger.may_serve(name, &content))
    }

    /// Computing a lost output again gave other bytes.
    pub(super) async fn contradicted(&mut self, node: NodeId, found: Contradiction) {
        if self.context.watch.refuse_if_changed() {
            // What was recorded may have been forgotten since; or what this was computed from.
            return self.verdict.plan_anew();
        }
        let Contradiction {
            recorded,
            offered,
            blob,
        } = found;
        let operand = blob.map_or(Operand::Stored(offered.stat()), Operand::Held);
        let dissent = two(recorded, offered, vec![operand.clone()], FoundBy::Healing);
        self.violated(node, dissent, Ok((operand, offered.cost)))
            .await;
    }

    /// Runs of a node differ. It is settled when the ledger has it: with others, where the request goes on meanwhile.
    async fn violated(
        &mut self,
        node: NodeId,
        dissent: Dissent,
        result: Result<(Operand, Duration)>,
    ) {
        let mode = match dissent.check.found_by {
            FoundBy::Healing => Determinism::Off,
            _ => self
                .context
                .determinism(&self.graph, node)
                .unwrap_or_default(),
        };
        self.reporter.checked(&self.graph, node, mode, false);
        let addr = self.graph.plan.addr(node);
        let resolved = resolved_address(&self.graph, &self.values, node);
        let (function, resolved) = match (self.graph.plan.recipe(node), resolved) {
            (Some((recipe, _)), Ok(resolved)) => (recipe.function(), resolved),
            (_, Err(error)) => return self.fail(node, error),
            (None, _) => {
                let what = "what was computed is no recipe";
                return self.fail(node, Error::new(ErrorKind::Internal, what));
            }
        };
        let agreed = dissent.agreed;
        let policy = self.graph.mode(node).map(|mode| mode.on_violation);
        let goes_on = agreed || policy == Some(OnViolation::Report);
        // Whoever waits for the first failure is told at once.
        let ends = !goes_on && !self.context.options.keep_going;
        let violated = Violated {
            recipe: addr,
            resolved,
            function,
            accepted: accepted(agreed, &result),
            dissent,
        };
        self.violations.pending.push(Pending {
            node,
            violated,
            agreed,
            result,
        });
        if ends || self.violations.pending.len() >= TOGETHER {
            self.judge().await;
        }
    }

    /// Enters what is pending into the ledger, and settles it.
    pub(super) async fn judge(&mut self) {
        let pending = std::mem::take(&mut self.violations.pending);
        let began = self.context.inner.clock.now();
        let mut settled = Vec::with_capacity(pending.len());
        let mut violated = Vec::with_capacity(pending.len());
        for pending in pending {
            settled.push((pending.node, pending.agreed, pending.result));
            violated.push(pending.violated);
        }
        let entered = enter_all(&self.context.inner, violated).await;
        let ended = self.context.inner.clock.now();
        self.violations.entered = Some((ended, ended.saturating_sub(began)));
        for ((node, agreed, result), violation) in settled.into_iter().zip(entered) {
            let violation = Arc::new(violation);
            self.reporter.violated(violation.recipe, &violation);
            let policy = self.graph.mode(node).map(|mode| mode.on_violation);
            match result {
                Ok((output, cost)) if agreed => self.computed_as_agreed(node, output, cost),
                Err(error) if agreed => self.fail(node, error),
                Ok((output, cost)) if policy == Some(OnViolation::Report) => {
                    self.graph.doubt(node);
                    self.computed_as_agreed(node, output, cost);
                }
                _ => self.fail(node, Violation::clone(&violation).into_error()),
            }
        }
    }

    /// Others recorded something else meanwhile than what was computed here.
    pub(super) async fn diverged(
        &mut self,
        nodes: &[NodeId],
        divergences: Vec<(CAddr, Divergence)>,
    ) {
        for (addr, divergence) in divergences {
            let Divergence {
                recorded, offered, ..
            } = divergence;
            let dissent = two(recorded, offered, Vec::new(), FoundBy::Record);
            // That it diverges is the answer, also where no more can be found out.
            let error = match diverged(&self.context.inner, addr, dissent).await {
                Ok(violation) => {
                    let violation = Arc::new(violation);
                    self.reporter.violated(addr, &violation);
                    Violation::clone(&violation).into_error()
                }
                Err(error) => divergent(&divergence).caused_by(error),
            };
            let node = nodes
                .iter()
                .find(|node| self.graph.plan.addr(**node) == addr);
            self.verdict.end_with(match node {
                Some(node) => self.graph.located(*node, error),
                None => error,
            });
        }
    }
}

/// An output that was recorded, and one that is not the same.
pub(super) fn two(
    recorded: Output,
    offered: Output,
    outputs: Vec<Operand>,
    found_by: FoundBy,
) -> Dissent {
    Dissent {
        check: Check {
            agree: 2,
            of: 2,
            perturb: false,
            found_by,
            prior: Some(recorded),
        },
        answers: vec![
            Answer::output(recorded.addr, recorded.len),
            Answer::output(offered.addr, offered.len),
        ],
        outputs,
        agreed: false,
    }
}
