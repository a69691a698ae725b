//! What a run tells: to observers, in its summary, to a timeline, to the log, and what functions cost. Whatever
//! happens is told here and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    CAddr, Clock, Determinism, Error, Event, FunctionWork, Output, Reuse, Summary, Violation, Work,
};
use tracing::Span;

use super::Context;
use super::graph::Graph;
use super::light::ChunkDone;
use super::timeline::Slices;
use crate::materialize::plan::{NodeId, Plan};
use crate::shared::costs::{Calls, Costs};
use crate::shared::observers::{Observers, Watcher};
use crate::shared::spans;
use crate::shared::statistics::{Checks, Statistics};
use crate::timeline::Open;

/// Time between two reports.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct Reporter {
    observers: Observers,
    clock: Arc<dyn Clock>,
    summary: Summary,
    slices: Option<Slices>,
    /// What was computed of each function.
    calls: Vec<Calls>,
    /// What came of checks of each function; nothing where nothing is checked.
    checks: Vec<Checks>,
    /// How many recipes of each function are to be computed.
    planned_of: Vec<u64>,
    /// When progress was last reported.
    reported: Duration,
    /// How long a function may take before that is worth a word.
    slow_after: Duration,
    /// Whether it was told that memory is short.
    is_short: bool,
    /// What those who watch the instance are to be told; nothing is noted where nobody does.
    untold: Option<Box<Untold>>,
}

/// What was done since it was last told.
struct Untold {
    watcher: Watcher,
    /// As it was then.
    before: Summary,
    work: Work,
    /// When the batch that is being written began to be.
    commit: Duration,
}

/// Nanoseconds.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Reporter {
    pub(super) fn new(context: &Context, plan: &Plan) -> Self {
        let (clock, options) = (&context.inner.clock, &context.options);
        let mut planned_of = vec![0; plan.functions.len()];
        for node in plan.nodes() {
            if let Some((_, function)) = plan.recipe(node) {
                planned_of[function as usize] += 1;
            }
        }
        let slices = (options.timeline.clone()).map(|timeline| Slices::new(timeline, plan.len()));
        let mut summary = Summary::default();
        summary.planned = plan.computes();
        let watcher = &context.inner.watcher;
        let untold = (!watcher.is_empty()).then(|| {
            let mut work = Work::default();
            let functions = plan.functions.iter();
            work.functions = functions
                .map(|function| FunctionWork::new(function.id().clone()))
                .collect();
            Box::new(Untold {
                watcher: watcher.clone(),
                before: Summary::default(),
                work,
                commit: Duration::ZERO,
            })
        });
        Self {
            untold,
            observers: options.observers.clone(),
            clock: Arc::clone(clock),
            summary,
            slices,
            calls: vec![Calls::default(); plan.functions.len()],
            checks: Vec::new(),
            planned_of,
            reported: clock.now(),
            slow_after: context.inner.slow_after,
            is_short: false,
        }
    }

    /// Whether anybody hears of events.
    pub(super) fn is_heard(&self) -> bool {
        !self.observers.is_empty()
    }

    /// What was done so far.
    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// A heavy node is handed to the executor. Answers with its span, and the slice of a timeline that its work is.
    pub(super) fn started(&mut self, graph: &Graph, node: NodeId) -> (Span, Option<Open>) {
        let (addr, reason) = (graph.plan.addr(node), graph.reason(node));
        let span = match graph.plan.recipe(node) {
            Some((_, function)) => {
                let function = graph.plan.functions[function as usize].id();
                spans::compute(addr, function, reason)
            }
            None => Span::none(),
        };
        self.observers.tell(|| Event::Started { addr, reason });
        let slices = self.slices.as_mut();
        let slice = slices.and_then(|slices| slices.heavy(&self.clock, graph, node));
        (span, slice)
    }

    /// A running function told how far it is.
    pub(super) fn stepped(&self, addr: CAddr, done: u64, of: Option<u64>) {
        self.observers.tell(|| Event::Step { addr, done, of });
    }

    /// A node was computed.
    pub(super) fn computed(&mut self, graph: &Graph, node: NodeId, output: Output) {
        let (addr, reason) = (graph.plan.addr(node), graph.reason(node));
        self.summary.computed += 1;
        self.summary.bytes += output.len;
        if let Some((_, function)) = graph.plan.recipe(node) {
            let calls = &mut self.calls[function as usize];
            calls.calls += 1;
            calls.time += output.cost;
            calls.bytes += output.len;
            if output.cost >= self.slow_after {
                let function = graph.plan.functions[function as usize].id();
                spans::slow(addr, function, output.cost);
            }
            if let Some(untold) = &mut self.untold {
                let work = &mut untold.work.functions[function as usize];
                work.times.add(nanos(output.cost));
                work.inputs.add(graph.input_bytes(node));
                work.outputs.add(output.len);
            }
        }
        self.observers.tell(|| Event::Computed {
            addr,
            output,
            reason,
        });
    }

    /// A step took longer than the function that it ran.
    pub(super) fn waited(&mut self, graph: &Graph, node: NodeId, time: Duration) {
        if let Some(untold) = &mut self.untold
            && let Some((_, function)) = graph.plan.recipe(node)
        {
            let work = &mut untold.work.functions[function as usize];
            work.waits.add(nanos(time));
        }
    }

    /// The runs of a node were compared.
    pub(super) fn checked(&mut self, graph: &Graph, node: NodeId, mode: Determinism, agree: bool) {
        self.summary.checked += 1;
        let Some((_, function)) = graph.plan.recipe(node) else {
            return;
        };
        if let Some(untold) = &mut self.untold {
            untold.work.functions[function as usize].checked(mode, agree);
        }
        if self.checks.is_empty() {
            self.checks = vec![Checks::default(); graph.plan.functions.len()];
        }
        let differed = (!agree).then(|| self.clock.date());
        self.checks[function as usize] += Checks::one(differed);
    }

    /// They differ.
    pub(super) fn violated(&mut self, addr: CAddr, violation: &Arc<Violation>) {
        self.summary.violations += 1;
        let violation = Arc::clone(violation);
        self.observers.tell(|| Event::Violated { addr, violation });
    }

    /// The output of a node is doubted.
    pub(super) fn doubted(&mut self) {
        self.summary.doubted += 1;
    }

    /// A lost blob is there again.
    pub(super) fn healed(&mut self, addr: CAddr) {
        self.summary.healed += 1;
        self.observers.tell(|| Event::Healed { addr });
    }

    /// A node was not computed, as its output was found.
    pub(super) fn reused(&mut self, graph: &Graph, node: NodeId, output: Output, how: Reuse) {
        let addr = graph.plan.addr(node);
        self.summary.count(how);
        self.observers.tell(|| Event::Reused { addr, output, how });
    }

    /// A node failed.
    pub(super) fn failed(&mut self, graph: &Graph, node: NodeId, error: &Error) {
        let addr = graph.plan.addr(node);
        self.summary.failed += 1;
        if let Some(untold) = &mut self.untold
            && let Some((_, function)) = graph.plan.recipe(node)
        {
            untold.work.functions[function as usize].failed(error.kind());
        }
        self.observers.tell(|| Event::Failed {
            addr,
            error: error.clone(),
        });
    }

    /// A node was given up.
    pub(super) fn skipped(&mut self, addr: CAddr) {
        self.summary.skipped += 1;
        self.observers.tell(|| Event::Skipped { addr });
    }

    /// Outputs have to leave memory, of which a request has this many bytes.
    pub(super) fn short_of_memory(&mut self, limit: u64) {
        if !std::mem::replace(&mut self.is_short, true) {
            spans::memory_is_short(limit);
        }
    }

    /// A chunk of light nodes was run.
    pub(super) fn chunk(&mut self, plan: &Plan, chunk: &ChunkDone) {
        if let Some(slices) = &mut self.slices {
            slices.chunk(plan, chunk);
        }
    }

    /// N records begin to be written.
    pub(super) fn commit_begins(&mut self, records: usize) {
        if let Some(untold) = &mut self.untold {
            untold.commit = self.clock.now();
            untold.work.commit_records.add(records as u64);
        }
        if let Some(slices) = &mut self.slices {
            slices.commit_begins(&self.clock, records);
        }
    }

    /// They are written, or they are not.
    pub(super) fn commit_ends(&mut self) {
        if let Some(untold) = &mut self.untold {
            let took = self.clock.now().saturating_sub(untold.commit);
            untold.work.commits.add(nanos(took));
        }
        if let Some(slices) = &mut self.slices {
            slices.commit_ends();
        }
    }

    /// Tells how far the request is, if it is time or `now`.
    pub(super) fn progress(&mut self, context: &Context, plan: &Plan, now: bool) {
        if self.observers.is_empty() && self.untold.is_none() {
            return;
        }
        let time = self.clock.now();
        if !now && time.saturating_sub(self.reported) < INTERVAL {
            return;
        }
        self.reported = time;
        self.share_work();
        if self.observers.is_empty() {
            return;
        }
        let elapsed = time.saturating_sub(context.options.began);
        let left = self.left(&context.inner.costs, plan, elapsed);
        let summary = &self.summary;
        let found = summary.cutoff + summary.executor_hits;
        self.observers.tell(|| Event::Progress {
            done: summary.computed + found + summary.failed + summary.skipped,
            planned: summary.planned,
            bytes: summary.bytes,
            left,
        });
    }

    /// The time that what is left of this plan is likely to take: its work, at the rate of work so far.
    fn left(&self, costs: &Costs, plan: &Plan, elapsed: Duration) -> Option<Duration> {
        let done: Duration = self.calls.iter().map(|calls| calls.time).sum();
        if done.is_zero() || elapsed.is_zero() {
            return None;
        }
        let functions = plan.functions.iter().zip(&self.calls);
        let work = functions
            .zip(&self.planned_of)
            .map(|((function, seen), planned)| {
                let open = planned.saturating_sub(seen.calls) as f64;
                let each = match u32::try_from(seen.calls) {
                    Ok(calls @ 1..) => seen.time / calls,
                    _ => costs.estimate(function.id(), function.weight()).time,
                };
                open * each.as_secs_f64()
            });
        let rate = done.as_secs_f64() / elapsed.as_secs_f64();
        Duration::try_from_secs_f64(work.sum::<f64>() / rate).ok()
    }

    /// Tells those who watch the instance what was done.
    pub(super) fn share_work(&mut self) {
        let Some(untold) = &mut self.untold else {
            return;
        };
        let mut work = Work::default();
        work.summary = since(&self.summary, &untold.before);
        (work.summary.planned, work.summary.reused) = (0, 0);
        untold.before = self.summary;
        work.commits = std::mem::take(&mut untold.work.commits);
        work.commit_records = std::mem::take(&mut untold.work.commit_records);
        let done = untold.work.functions.iter_mut();
        let done = done.filter(|function| !function.is_empty());
        let take = |function: &mut FunctionWork| {
            let anew = FunctionWork::new(function.function.clone());
            std::mem::replace(function, anew)
        };
        work.functions = done.map(take).collect();
        if !work.is_empty() {
            untold.watcher.tell(|observer| observer.worked(&work));
        }
    }

    /// Tells what came of checks.
    pub(super) fn share_checks(&mut self, statistics: &Statistics, plan: &Plan) {
        for (function, checks) in plan.functions.iter().zip(self.checks.drain(..)) {
            statistics.add(function.id(), checks);
        }
    }

    /// Tells the other requests what the functions of this run cost.
    pub(super) fn share_costs(&mut self, costs: &Costs, plan: &Plan) {
        let seen = plan.functions.iter().zip(&self.calls);
        let seen = seen.filter(|(_, calls)| calls.calls > 0);
        let seen = seen.map(|(function, calls)| (function.id(), *calls));
        costs.observe(seen);
        self.calls.fill(Calls::default());
    }
}

/// What was done between two looks at a summary.
fn since(now: &Summary, before: &Summary) -> Summary {
    let mut done = *now;
    done.computed -= before.computed;
    done.cutoff -= before.cutoff;
    done.healed -= before.healed;
    done.joined -= before.joined;
    done.executor_hits -= before.executor_hits;
    done.checked -= before.checked;
    done.violations -= before.violations;
    done.doubted -= before.doubted;
    done.failed -= before.failed;
    done.skipped -= before.skipped;
    done.bytes -= before.bytes;
    done
}
