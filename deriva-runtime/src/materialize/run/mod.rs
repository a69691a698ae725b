//! The scheduler: runs a plan.
//!
//! One task owns all state of a run, so nothing here is shared or locked. Its loop takes ready nodes,
//! runs light ones in chunks and hands heavy ones to the executor; a finished node decrements the
//! counters of its dependents. Results are written behind the computation, in batches.
//!
//! The state has parts, each in a file of its own. A part knows the plan and what does not change, and no other part's
//! state but as an argument:
//!
//! | part | what it owns |
//! |---|---|
//! | `graph.rs` | the plan, and how far each node is |
//! | `ready.rs` | what waits for nothing, in its order (`order.rs`: the longest remaining path first) |
//! | `lent.rs` | what goes first as others wait for it, over `wanted.rs` |
//! | `values.rs` | what is held in memory, and what goes when the budget is short; inputs are read in `load.rs` |
//! | `steps.rs` | what is under way: with the executor (`executing.rs`, `heavy.rs`), in chunks (`light.rs`, `workers.rs`) |
//! | `writer.rs` | what waits to be written, and is being written (`commit.rs`) |
//! | `verdict.rs` | failures, results, what needs a new plan |
//! | `violated.rs` | nodes whose runs differ, on their way to the ledger |
//! | `reporter.rs` | what is told: events, summary, costs, a timeline (`timeline.rs`) |
//!
//! What crosses the parts is here (the loop), in `settle.rs` (a node is finished or failed), `violated.rs` (its runs
//! differ), `cutoff.rs` (early cutoff), `lost.rs` (blobs that are gone) and `hand_over.rs` (what a dropped request leaves to others).

mod commit;
mod cutoff;
mod executing;
mod graph;
mod hand_over;
mod heavy;
mod lent;
mod light;
mod load;
mod lost;
mod mode;
mod order;
mod ready;
mod repeat;
mod reporter;
mod settle;
mod steps;
mod timeline;
mod values;
mod verdict;
mod violated;
mod wanted;
mod workers;
mod writer;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use deriva_api::{CAddr, ComputeFunction, Determinism, Error, ErrorKind, Record, Result, Summary};

use crate::determinism::check::Check;
use crate::materialize::Options;
use crate::materialize::carried::{Carried, Seen};
use crate::materialize::plan::{Join, NodeId, Plan, Task};
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::claimant::Claimant;
use crate::shared::flights::{Joined, Landing};
use crate::shared::invalidations::Watch;
use crate::shared::leases::Lease;
use crate::shared::slots::Slot;

use commit::Committed;
#[cfg(test)]
pub(crate) use commit::commit_of;
use cutoff::resolved_address;
use executing::StepProgress;
use graph::Graph;
use heavy::{output_len, prepare};
use lent::Lent;
use light::{Chunk, ChunkDone, run_chunk};
use mode::FunctionMode;
use order::priorities;
use ready::Ready;
use reporter::Reporter;
use steps::Steps;
use values::Values;
use verdict::{Results, Verdict};
use violated::Violations;
use writer::Writer;

/// How a run ended, if not with an error.
pub(crate) enum End {
    /// Every requested address is there or has failed.
    Finished(Results),
    /// A blob was lost, another request gave up, or outputs were forgotten: what is left needs a new plan.
    Replan,
}

/// Something that the loop waited for.
enum Done {
    Executed(heavy::Outcome),
    /// A function told how far it is.
    Progress(StepProgress),
    Chunk(ChunkDone),
    /// A batch was written, or it was not.
    Committed(Committed),
    /// A flight of another ended; with an address where it is that of the resolved recipe.
    Landed(NodeId, Option<CAddr>, Landing),
    /// There may be a slot of the executor for this request.
    Slot,
    /// What others lend to this request is not what it was.
    Told,
}

/// What does not change while a plan is run.
pub(crate) struct Context {
    pub(crate) inner: Arc<Inner>,
    pub(crate) options: Options,
    /// Keeps what was asked for, and what was found elsewhere, from collection.
    pub(crate) lease: Arc<Lease>,
    /// Hears of outputs that are forgotten.
    pub(crate) watch: Arc<Watch>,
    /// Claims flights for the request.
    pub(crate) claimant: Arc<Claimant>,
    /// The results are for a later plan of the same request.
    pub(crate) is_stage: bool,
}

impl Context {
    /// The mode in which the computation of a node is checked.
    fn determinism(&self, graph: &Graph, node: NodeId) -> Option<Determinism> {
        let (recipe, _) = graph.plan.recipe(node)?;
        if self.options.asked.at.is_none() {
            return Some(graph.mode(node)?.determinism);
        }
        let asked = self.options.asked.of(&graph.plan.addr(node));
        let policies = &self.inner.policies;
        Some(policies.determinism_of(&recipe.function(), asked))
    }

    /// How the computation of a node is checked, if it is.
    fn check(&self, graph: &Graph, values: &Values, node: NodeId) -> Option<Check> {
        if !graph.checks() {
            return None;
        }
        let mode = self.determinism(graph, node)?;
        let perturb = self.options.perturbs(&self.inner);
        let resolved = || resolved_address(graph, values, node);
        let key = &self.inner.policies.sampling_key;
        // What cannot be resolved fails when it is computed.
        graph.check(node, mode, perturb, key, resolved).ok()?
    }

    /// Whether what a flight of the resolved address brings is checked as this request asks for.
    fn is_satisfied_by(&self, graph: &Graph, node: NodeId, flight: &Joined) -> bool {
        let Some((recipe, _)) = graph.plan.recipe(node).filter(|_| graph.checks()) else {
            return true;
        };
        let (policies, addr) = (&self.inner.policies, graph.plan.addr(node));
        policies.are_checked_elsewhere(flight.owner(), &self.claimant, addr, &recipe.function())
    }
}

pub(crate) struct Run {
    context: Context,
    graph: Graph,
    ready: Ready,
    lent: Lent,
    values: Values,
    steps: Steps,
    writer: Writer,
    verdict: Verdict,
    reporter: Reporter,
    violations: Violations,
}

impl Run {
    /// Takes over a plan and the claims on its nodes. `roots` are the named addresses among them.
    pub(crate) fn new(
        context: Context,
        mut plan: Plan,
        carried: Carried,
        roots: HashSet<NodeId>,
    ) -> Self {
        let inner = &context.inner;
        let joins = std::mem::take(&mut plan.joins);
        let functions = plan.functions.iter();
        let mode = |function: &Arc<dyn ComputeFunction>| {
            FunctionMode::of(inner, &context.options, &**function)
        };
        let modes = functions.map(mode).collect();
        let checks = context.options.asked.at.is_some();
        let graph = Graph::new(plan, modes, roots, checks);
        let mut run = Self {
            ready: Ready::new(priorities(&graph, &inner.costs)),
            lent: Lent::new(context.claimant.own),
            values: Values::new(inner.memory.account(), &graph.plan),
            steps: Steps::new(&context, &graph.plan),
            writer: Writer::new(inner.memory.limit()),
            verdict: Verdict::new(carried),
            reporter: Reporter::new(&context, &graph.plan),
            violations: Violations::default(),
            graph,
            context,
        };
        run.begin();
        for Join {
            node,
            flight,
            satisfies,
        } in joins
        {
            run.graph.set_satisfied(node, satisfies);
            let addr = run.graph.plan.addr(node);
            match run.context.options.nesting.deadlock(addr) {
                Some(error) => run.fail(node, error),
                None => run.lent.joins(node, run.steps.join(node, None, flight)),
            }
        }
        let Self {
            context,
            graph,
            lent,
            steps,
            ..
        } = &mut run;
        if lent.rebase(context, graph, &steps.executing) {
            run.reorder();
        }
        run
    }

    /// Takes over what is there, and finds the nodes that wait for nothing.
    fn begin(&mut self) {
        let mut failed = Vec::new();
        for node in self.graph.plan.nodes() {
            match self.graph.plan.task(node) {
                Task::Held | Task::Failed => {
                    match self.verdict.seen(&self.graph.plan.addr(node)).cloned() {
                        Some(Seen::Held(output, blob)) => {
                            if self.verdict.doubts(&self.graph.plan.addr(node)) {
                                self.graph.doubt(node);
                            }
                            self.take_held(node, output, blob);
                        }
                        Some(Seen::Failed(error)) => failed.push((node, error)),
                        None => {}
                    }
                }
                Task::Stored { .. } if self.graph.is_target(node) => {
                    if let Some(stat) = self.graph.plan.content(node) {
                        self.verdict.finished(node, stat);
                    }
                }
                Task::Stored { .. } | Task::Compute { .. } | Task::Join => {}
            }
        }
        let Self {
            graph,
            ready,
            lent,
            values,
            ..
        } = self;
        let len = |plan: &Plan, node| values.content(plan, node).map_or(0, |stat| stat.len);
        graph.begin(len, |node, way| ready.push(node, way, lent.rank(node)));
        for (node, error) in failed {
            self.give_up(node, &error);
            self.skip_above(node, &error);
        }
        for (node, error) in std::mem::take(&mut self.graph.plan.refused) {
            self.fail(node, error);
        }
    }

    /// Runs until nothing is left to do or something failed. Whatever was computed is committed.
    pub(crate) async fn drive(&mut self) -> Result<End> {
        while !self.verdict.is_failure() && !self.context.watch.is_refused() {
            self.hear();
            if let Some(done) = self.try_next() {
                self.absorb(done).await;
                // Where this was a failure, nothing more is waited for: others may wait for what is claimed here.
                continue;
            }
            if let Err(error) = self.look_up_resolved().await {
                self.verdict.end_with(error);
                break;
            }
            self.relieve();
            // What is being written makes room: for results that wait for it, or for values.
            let blocked =
                self.writer.is_writing() && (self.writer.is_backlog() || self.values.excess(0) > 0);
            match blocked {
                false => self.start_heavy(),
                true => self.steps.executing.let_go(),
            }
            if !blocked && self.ready.light() > 0 {
                self.run_light().await;
                self.commit(false);
                if self.steps.pace.is_over() {
                    self.report_progress(false);
                    tokio::task::yield_now().await;
                }
                continue;
            }
            if self.ready.has_look_ups() {
                continue;
            }
            if let Some(chunk) = self.steps.take_back() {
                self.run_here(chunk).await;
                continue;
            }
            if self
                .violations
                .are_due(&*self.context.inner.clock, self.steps.none_runs())
            {
                self.judge().await;
                continue;
            }
            // More to write comes soon while there is a worker at work.
            self.commit(self.steps.workers.is_idle());
            // What is left waits for flights, maybe for one of this run that only a new plan can end.
            let idle = self.steps.none_runs() && !self.writer.is_writing();
            if self.verdict.needs_a_plan() && idle {
                break;
            }
            match self.next().await {
                Some(done) => self.absorb(done).await,
                None => break,
            }
        }
        self.steps.executing.leave();
        if !self.violations.is_empty() {
            self.judge().await;
        }
        self.finish_commits().await;
        self.report_progress(true);
        match self.verdict.take_failure() {
            Some(error) => Err(error),
            None => self.end(),
        }
    }

    /// What is done by now, if anything.
    fn try_next(&mut self) -> Option<Done> {
        let done = self.steps.try_next();
        done.or_else(|| self.writer.try_written().map(Done::Committed))
    }

    /// What is done next; `None` when nothing is under way.
    async fn next(&mut self) -> Option<Done> {
        if !self.steps.is_under_way() && !self.writer.is_writing() {
            return None;
        }
        tokio::select! {
            biased;
            done = self.steps.next() => Some(done),
            committed = self.writer.written() => Some(Done::Committed(committed)),
            () = self.context.claimant.told() => Some(Done::Told),
        }
    }

    async fn absorb(&mut self, done: Done) {
        match done {
            Done::Executed(outcome) => self.executed(outcome).await,
            Done::Progress(StepProgress { addr, done, of }) => {
                self.reporter.stepped(addr, done, of)
            }
            Done::Chunk(chunk) => self.chunk_done(chunk).await,
            Done::Committed(committed) => self.committed(committed).await,
            Done::Landed(node, resolved, landing) => self.landed(node, resolved, landing).await,
            // The loop looks.
            Done::Slot | Done::Told => {}
        }
        self.report_progress(false);
        self.commit(false);
    }

    /// Hears what others lend by now.
    fn hear(&mut self) {
        let Self {
            context,
            graph,
            lent,
            steps,
            ..
        } = self;
        if lent.hear(context, graph, &steps.executing) {
            self.reorder();
        }
    }

    /// Puts what is ready in its order again.
    fn reorder(&mut self) {
        self.ready.reorder(|node| self.lent.rank(node));
        self.steps.executing.set_top(self.lent.top());
    }

    /// Hands heavy nodes to the executor, as many as may be in flight and memory allows.
    fn start_heavy(&mut self) {
        let (limit, jobs) = (self.context.inner.memory.limit(), self.context.options.jobs);
        while let Some(next) = self.ready.next_heavy() {
            if let Some(error) = self.condemned(next.node) {
                self.ready.pop_heavy();
                self.fail(next.node, error);
                match self.verdict.is_failure() {
                    true => return,
                    false => continue,
                }
            }
            let room = jobs.saturating_sub(self.steps.executing.len());
            // No more than there is: then it runs by itself.
            let ahead = output_len(&self.graph.plan, &self.values, next.node, limit);
            let bytes = self.graph.input_bytes(next.node).saturating_add(ahead);
            let executing = &mut self.steps.executing;
            if room == 0 || (!executing.is_empty() && self.values.excess(bytes) > 0) {
                break;
            }
            let slot = match self.context.options.nesting.is_nested() {
                true => None,
                false => match executing.take_slot(next.equals.min(room), next.priority) {
                    None => return,
                    slot => slot,
                },
            };
            self.ready.pop_heavy();
            self.start(next.node, slot, ahead);
        }
        self.steps.executing.let_go();
    }

    /// Hands a node to the executor. N bytes are set aside for its output.
    fn start(&mut self, node: NodeId, slot: Option<Slot>, ahead: u64) {
        let Self {
            context,
            graph,
            values,
            lent,
            steps: Steps { executing, .. },
            reporter,
            ..
        } = self;
        let deadline = match lent.urgency(node).until {
            Duration::MAX => None,
            until => Some(until.saturating_sub(context.inner.clock.now())),
        };
        let addr = graph.plan.addr(node);
        let call = executing.call_context(context, addr, deadline, reporter.is_heard());
        let Some(step) = prepare(context, graph, values, node, call, deadline) else {
            return;
        };
        let (span, slice) = reporter.started(graph, node);
        values.set_aside(ahead);
        executing.start(context, step, slot, ahead, (span, slice));
        if lent.rank(node).1 {
            lent.lend_to_nested(context, graph, node);
        }
    }

    /// Runs the next chunk of light nodes: here, or beside this task where there is enough for both.
    async fn run_light(&mut self) {
        let beside = self.steps.wants_a_worker(self.ready.light());
        let nodes = self.ready.take_light(self.steps.pace.size());
        let blobs = &*self.context.inner.blobs;
        let loaded = self.values.load(blobs, &self.graph.plan, nodes).await;
        for (node, unread) in loaded.lacking {
            self.lost(node, unread).await;
        }
        let mut nodes = loaded.whole;
        if !self.context.inner.ledger.is_empty() {
            nodes = self.without_condemned(nodes);
        }
        let (graph, values) = (&self.graph, &self.values);
        let check = |node| self.context.check(graph, values, node);
        let check = graph.checks().then_some(check);
        let chunk = Chunk::new(&graph.plan, values, &nodes, check);
        match beside {
            true => self.steps.workers.push(chunk),
            false => self.run_here(chunk).await,
        }
    }

    async fn run_here(&mut self, chunk: Chunk) {
        let clock = &*self.context.inner.clock;
        let done = run_chunk(chunk, &self.graph.plan.functions, clock);
        self.chunk_done(done).await;
    }

    /// Lets values go, or has them written so that they can, until the budget is kept.
    fn relieve(&mut self) {
        let Self { graph, values, .. } = self;
        let spilled = values.relieve(|node, stat| {
            // A leaf was read; everything else was made.
            let made = !matches!(graph.plan.task(node), Task::Stored { made: false, .. });
            graph.plan.set_stored(node, stat, made);
        });
        if spilled.is_empty() {
            return;
        }
        self.reporter
            .short_of_memory(self.context.inner.memory.limit());
        for node in spilled {
            let Some(held) = self.values.held(node) else {
                continue;
            };
            let spilled = &self.context.inner.tallies.spilled;
            spilled.fetch_add(held.blob.len(), Relaxed);
            let record = Record {
                addr: self.graph.plan.addr(node),
                resolved: None,
                output: held.output(),
            };
            self.writer
                .add(node, record, Some(held.blob.clone()), false);
        }
        self.commit(true);
    }

    /// Starts to write what is there, if nothing is being written: a full batch, or with `any` also
    /// a smaller one.
    fn commit(&mut self, any: bool) {
        if let Some(records) = self.writer.due(any) {
            self.reporter.commit_begins(records);
            let Context { inner, watch, .. } = &self.context;
            self.writer
                .write(|batch| commit::spawn(inner, batch, watch));
        }
    }

    async fn committed(&mut self, committed: Committed) {
        self.reporter.commit_ends();
        let nodes = self.writer.take_back(committed.batch);
        match self.verdict.written(committed.result) {
            Some(divergences) if divergences.is_empty() => self.values.may_go(nodes),
            Some(divergences) => self.diverged(&nodes, divergences).await,
            None => {}
        }
    }

    /// Writes everything that was computed, also after a failure: it need not be computed again.
    async fn finish_commits(&mut self) {
        while !planted(Fault::acknowledges_before_the_last_batch) {
            self.commit(true);
            if !self.writer.is_writing() {
                return;
            }
            let committed = self.writer.written().await;
            let failed = committed.result.is_err();
            self.committed(committed).await;
            if failed || planted(Fault::acknowledges_after_the_first_batch) {
                return;
            }
        }
    }

    fn report_progress(&mut self, now: bool) {
        self.reporter.progress(&self.context, &self.graph.plan, now);
    }

    fn end(&mut self) -> Result<End> {
        if self.verdict.needs_a_plan() {
            self.carry();
            return Ok(End::Replan);
        }
        let plan = &self.graph.plan;
        if let Some(target) = self.graph.open_target() {
            let what = "the store shows a recipe that depends on itself";
            return Err(Error::new(ErrorKind::Corrupt, what).with("addr", plan.addr(target)));
        }
        debug_assert!(
            self.values.are_gone_but(|node| self.graph.is_target(node)),
            "values are held that nobody needs, or bytes for no value"
        );
        let results = self.verdict.results(plan, &self.values);
        self.carry();
        Ok(End::Finished(results))
    }

    /// Carries what no store has over to a next plan of the same request.
    fn carry(&mut self) {
        let held = self.values.unkept();
        let held = held.map(|(node, held)| (node, held.output(), held.blob.clone()));
        self.verdict
            .carry(&self.graph.plan, held, self.graph.doubted());
    }

    /// What was done, what a next plan of the same request is to know, whether blobs were found lost that this one
    /// relied on, and which of the requested addresses are doubted.
    pub(crate) fn into_report(mut self) -> (Summary, Carried, bool, Vec<CAddr>) {
        let carried = self.verdict.take_carried();
        let doubted = self.graph.doubted_targets();
        (
            *self.reporter.summary(),
            carried,
            self.verdict.is_lost(),
            doubted,
        )
    }
}
