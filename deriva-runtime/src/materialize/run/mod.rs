//! The scheduler: runs a plan.
//!
//! One task owns all state of a run, so nothing here is shared or locked. Its loop takes ready nodes,
//! runs light ones in chunks and hands heavy ones to the executor; a finished node decrements the
//! counters of its dependents. Results are written behind the computation, in batches.
//!
//! | concern | file |
//! |---|---|
//! | what is held in memory, and what goes when the budget is short | `values.rs` |
//! | light functions in chunks | `light.rs`, beside the scheduler `workers.rs`, their inputs read in `load.rs` |
//! | early cutoff | `cutoff.rs` |
//! | heavy functions on the executor | `heavy.rs` |
//! | results, failures, flights of others | `settle.rs`, lost blobs in `lost.rs` |
//! | writing behind | `commit.rs` |
//! | what goes first as others wait for it | `lent.rs`, over `wanted.rs` |
//! | longest remaining path first | `order.rs` |
//! | how far it is | `progress.rs` |
//! | what is told to a timeline | `timeline.rs` |
//! | what a dropped request leaves to others | `hand_over.rs` |

mod commit;
mod cutoff;
mod hand_over;
mod heavy;
mod lent;
mod light;
mod load;
mod lost;
mod order;
mod progress;
mod settle;
mod timeline;
mod values;
mod wanted;
mod workers;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    Blob, BlobStat, CAddr, ComputeFunction, Error, ErrorKind, Event, Result, Summary, Weight,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use hashbrown::HashMap;

use crate::materialize::Options;
use crate::materialize::carried::{Carried, Seen};
use crate::materialize::plan::{NodeId, Plan, Task};
use crate::shared::Inner;
use crate::shared::able::supports;
use crate::shared::claimant::Claimant;
use crate::shared::costs::Calls;
use crate::shared::flights::Landing;
use crate::shared::invalidations::Watch;
use crate::shared::leases::Lease;
use crate::shared::needed_by::LostLeaves;
use crate::shared::policy::{Cutoff, StoreResults};

use commit::{Batch, Committed};
use heavy::Executing;
use lent::{Lent, Ready};
use light::{CHUNK_TIME, ChunkDone};
use timeline::Slices;
use values::Values;
use workers::Workers;

/// How a run ended, if not with an error.
pub(crate) enum End {
    /// Every requested address is there or has failed.
    Finished(Vec<(Result<BlobStat>, Option<Blob>)>),
    /// A blob was lost, another request gave up, or outputs were forgotten: what is left needs a new plan.
    Replan,
}

/// Something that the loop waited for.
enum Done {
    Executed(heavy::Outcome),
    /// A function told how far it is.
    Progress(heavy::StepProgress),
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not finished.
    #[default]
    Open,
    /// Its output is known; or it never was to be computed.
    Done,
    /// It failed, or something that it needs did.
    Failed,
}

/// What changes about a node while it is run.
#[derive(Clone, Copy, Debug, Default)]
struct NodeState {
    /// Inputs that are not there yet.
    waiting: u32,
    /// Dependents that still need the value; one more for a requested node.
    consumers: u32,
    /// Bytes of the inputs that are there.
    input_bytes: u32,
    value: values::Place,
    state: State,
    is_target: bool,
    /// Its blob is in the store, or will be with the batch that is being written.
    is_kept: bool,
}

/// What this run does with the recipes of a function.
#[derive(Clone, Copy, Debug)]
struct FunctionMode {
    is_light: bool,
    /// They are run here however large their inputs are: the executor lacks their function.
    is_ours: bool,
    /// They are looked up under their resolved address first; or those are that have large inputs.
    cutoff: bool,
    cutoff_of_large: bool,
    results: StoreResults,
}

/// What keeps a run and those who take things away out of each other's way.
pub(crate) struct Guards {
    /// Keeps what was asked for, and what was found elsewhere, from collection.
    pub(crate) lease: Arc<Lease>,
    /// Hears of outputs that are forgotten.
    pub(crate) watch: Arc<Watch>,
    /// Claims flights for the request.
    pub(crate) claimant: Arc<Claimant>,
}

pub(crate) struct Run {
    inner: Arc<Inner>,
    options: Options,
    watch: Arc<Watch>,
    lease: Arc<Lease>,
    claimant: Arc<Claimant>,
    plan: Plan,
    nodes: Vec<NodeState>,
    modes: Vec<FunctionMode>,
    /// Nodes that are named roots, where that matters.
    roots: HashSet<NodeId>,
    values: Values,
    light: VecDeque<NodeId>,
    heavy: Ready,
    /// The longest remaining path above each node, where there are heavy ones.
    priorities: Vec<u64>,
    /// Nodes to be looked up under their resolved address.
    cutoff: Vec<NodeId>,
    /// Resolved addresses that this run has claimed.
    resolved: HashMap<NodeId, CAddr>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    executing: Executing,
    workers: Workers,
    /// What a light node cost lately.
    light_cost: Duration,
    /// Time spent in light nodes since this task last let others run.
    busy: Duration,
    committing: bool,
    batch: Batch,
    /// What is filled while `batch` is written: both keep their room.
    next_batch: Batch,
    failure: Option<Error>,
    failures: HashMap<NodeId, Error>,
    finished: HashMap<NodeId, BlobStat>,
    replan: bool,
    /// Blobs were found lost that the plan relied on.
    pub(crate) lost: bool,
    slices: Option<Slices>,
    /// What was computed of each function.
    calls: Vec<Calls>,
    /// How many recipes of each function are to be computed.
    planned_of: Vec<u64>,
    /// When progress was last reported.
    reported: Duration,
    /// The results are for a later plan of the same request.
    is_stage: bool,
    pub(crate) summary: Summary,
    pub(crate) carried: Carried,
    lost_leaves: LostLeaves,
    lent: Lent,
}

impl Run {
    /// Takes over a plan and the claims on its nodes. `roots` are the named addresses among them.
    pub(crate) fn new(
        inner: Arc<Inner>,
        options: Options,
        mut plan: Plan,
        carried: Carried,
        roots: HashSet<NodeId>,
        is_stage: bool,
        guards: Guards,
    ) -> Self {
        let joins = std::mem::take(&mut plan.joins);
        let mut run = Self {
            nodes: vec![NodeState::default(); plan.len()],
            modes: modes(&inner, &options, &plan),
            roots,
            values: Values::new(&inner),
            light: VecDeque::new(),
            heavy: Ready::default(),
            priorities: Vec::new(),
            cutoff: Vec::new(),
            resolved: HashMap::new(),
            running: FuturesUnordered::new(),
            executing: Executing::new(&inner, &options),
            workers: Workers::new(&inner, &plan.functions, options.jobs),
            light_cost: CHUNK_TIME / 8,
            busy: Duration::ZERO,
            committing: false,
            batch: Batch::new(inner.memory.limit()),
            next_batch: Batch::new(inner.memory.limit()),
            failure: None,
            failures: HashMap::new(),
            finished: HashMap::new(),
            replan: false,
            lost: false,
            calls: vec![Calls::default(); plan.functions.len()],
            slices: (options.timeline.clone()).map(|timeline| Slices::new(timeline, plan.len())),
            planned_of: planned_of(&plan),
            reported: inner.clock.now(),
            is_stage,
            summary: Summary {
                planned: plan.computes(),
                ..Summary::default()
            },
            carried,
            lost_leaves: LostLeaves::default(),
            lent: Lent::new(guards.claimant.own),
            inner,
            options,
            watch: guards.watch,
            lease: guards.lease,
            claimant: guards.claimant,
            plan,
        };
        run.prioritize();
        run.begin();
        for (node, landing) in joins {
            let deadlock = run.options.nesting.deadlock(run.plan.addr(node));
            if let Some(error) = deadlock {
                run.fail(node, error);
                continue;
            }
            run.lent.joins.insert(node, landing.id());
            let landed = landing.map(move |end| Done::Landed(node, None, end));
            run.running.push(landed.boxed());
        }
        run.rebase();
        run
    }

    /// Counts what each node waits for, and finds those that wait for nothing.
    fn begin(&mut self) {
        for (i, node) in self.nodes.iter_mut().enumerate() {
            node.consumers = self.plan.dependents(i as NodeId).len() as u32;
        }
        for target in &self.plan.targets {
            let node = &mut self.nodes[*target as usize];
            node.consumers += 1;
            node.is_target = true;
        }
        let mut failed = Vec::new();
        for node in 0..self.plan.len() as NodeId {
            match self.plan.task(node) {
                Task::Stored { .. } => {
                    let at = &mut self.nodes[node as usize];
                    (at.state, at.is_kept) = (State::Done, true);
                    if at.is_target {
                        self.finished
                            .extend(self.plan.content(node).map(|stat| (node, stat)));
                    }
                }
                Task::Held | Task::Failed => {
                    match self.carried.of(&self.plan.addr(node)).cloned() {
                        Some(Seen::Held(output, blob)) => self.take_held(node, output, blob),
                        Some(Seen::Failed(error)) => failed.push((node, error)),
                        None => {}
                    }
                }
                Task::Compute { .. } | Task::Join => {}
            }
        }
        for node in 0..self.plan.len() as NodeId {
            if self.plan.recipe(node).is_none() {
                continue;
            }
            let (mut waiting, mut bytes) = (0, 0);
            for input in self.plan.inputs(node) {
                match self.nodes[*input as usize].state {
                    State::Done => bytes += self.content(*input).map_or(0, |stat| stat.len),
                    State::Open | State::Failed => waiting += 1,
                }
            }
            self.nodes[node as usize].waiting = waiting;
            self.nodes[node as usize].input_bytes = saturated(bytes);
            if waiting == 0 {
                self.ready(node);
            }
        }
        for (node, error) in failed {
            self.give_up(node, &error);
            self.skip_above(node, &error);
        }
    }

    /// Runs until nothing is left to do or something failed. Whatever was computed is committed.
    pub(crate) async fn drive(&mut self) -> Result<End> {
        let mut turns = 0u32;
        while self.failure.is_none() && !self.watch.is_refused() {
            self.hear();
            if let Some(done) = self.poll_done() {
                self.absorb(done).await;
                // Where this was a failure, nothing more is waited for: others may wait for what is claimed here.
                continue;
            }
            if let Err(error) = self.look_up_resolved().await {
                self.failure = Some(error);
                break;
            }
            self.relieve();
            // What is being written makes room: for results that wait for it, or for values.
            let blocked = self.committing && (self.batch.is_backlog() || self.values.excess(0) > 0);
            match blocked {
                false => self.start_heavy(),
                true => self.executing.let_go(),
            }
            if !blocked && !self.light.is_empty() {
                self.run_light().await;
                self.commit(false);
                turns += 1;
                if self.busy >= CHUNK_TIME || turns.is_multiple_of(64) {
                    self.busy = Duration::ZERO;
                    self.report_progress(false);
                    tokio::task::yield_now().await;
                }
                continue;
            }
            if !self.cutoff.is_empty() {
                continue;
            }
            if let Some(chunk) = self.workers.take_back() {
                self.run_here(chunk);
                continue;
            }
            // More to write comes soon while there is a worker at work.
            self.commit(self.workers.is_idle());
            // What is left waits for flights, maybe for one of this run that only a new plan can end.
            let idle = self.executing.is_empty() && self.workers.is_idle() && !self.committing;
            if self.replan && idle {
                break;
            }
            match self.next_done().await {
                Some(done) => self.absorb(done).await,
                None => break,
            }
        }
        self.executing.leave();
        self.finish_commits().await;
        self.report_progress(true);
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.end(),
        }
    }

    /// What is done by now, if anything.
    fn poll_done(&mut self) -> Option<Done> {
        if let Some(outcome) = self.executing.try_next() {
            return Some(Done::Executed(outcome));
        }
        if let Some(chunk) = self.workers.try_next() {
            return Some(Done::Chunk(chunk));
        }
        if self.running.is_empty() {
            return None;
        }
        self.running.next().now_or_never().flatten()
    }

    /// What is done next; `None` when nothing is under way.
    async fn next_done(&mut self) -> Option<Done> {
        let under_way =
            self.executing.waits() || !self.workers.is_idle() || !self.running.is_empty();
        // A branch whose condition does not hold is not waited for.
        tokio::select! {
            biased;
            Some(done) = self.executing.next(), if self.executing.waits() => Some(done),
            Some(chunk) = self.workers.next(), if !self.workers.is_idle() => Some(Done::Chunk(chunk)),
            Some(done) = self.running.next(), if !self.running.is_empty() => Some(done),
            () = self.claimant.told(), if under_way => Some(Done::Told),
            else => None,
        }
    }

    async fn absorb(&mut self, done: Done) {
        match done {
            Done::Executed(outcome) => self.executed(outcome).await,
            Done::Progress(heavy::StepProgress { addr, done, of }) => {
                self.emit(Event::Step { addr, done, of });
            }
            Done::Chunk(chunk) => {
                self.chunk_done(chunk);
            }
            Done::Committed(committed) => self.committed(committed),
            Done::Landed(node, resolved, landing) => self.landed(node, resolved, landing).await,
            // The loop looks.
            Done::Slot | Done::Told => {}
        }
        self.report_progress(false);
        self.commit(false);
    }

    /// A node waits for nothing any more: where it goes.
    fn ready(&mut self, node: NodeId) {
        let Some((_, function)) = self.plan.recipe(node) else {
            return;
        };
        let mode = self.modes[function as usize];
        let is_light = self.is_light(node);
        let is_large = mode.is_light && !is_light;
        if mode.cutoff || (mode.cutoff_of_large && is_large) {
            self.cutoff.push(node);
        } else {
            self.queue(node, is_light);
        }
    }

    /// Queues a node to be computed.
    fn queue(&mut self, node: NodeId, is_light: bool) {
        let rank = self.lent.rank(node);
        if !is_light {
            let path = self.priorities.get(node as usize).copied().unwrap_or(0);
            self.heavy.push(node, rank, path);
        } else if rank.1 {
            self.light.push_front(node);
        } else {
            self.light.push_back(node);
        }
    }

    fn end(&mut self) -> Result<End> {
        let open = |target: &&NodeId| self.nodes[**target as usize].state == State::Open;
        if self.replan {
            self.keep_unstored();
            return Ok(End::Replan);
        }
        if let Some(target) = self.plan.targets.iter().find(open) {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "the store shows a recipe that depends on itself",
            )
            .with("addr", self.plan.addr(*target)));
        }
        debug_assert!(
            self.holds_targets_alone(),
            "values are held that nobody needs, or bytes for no value"
        );
        let unknown = || Error::new(ErrorKind::Internal, "a request ended without a result");
        let result = |target: &NodeId| match self.finished.get(target) {
            Some(stat) => (Ok(*stat), self.value(*target).cloned()),
            None => {
                let failure = self.failures.get(target).cloned();
                (Err(failure.unwrap_or_else(unknown)), None)
            }
        };
        let results = self.plan.targets.iter().map(result).collect();
        self.keep_unstored();
        Ok(End::Finished(results))
    }

    /// Carries what no store has over to a next plan of the same request.
    fn keep_unstored(&mut self) {
        let held = (0..self.plan.len() as NodeId).filter_map(|node| {
            let at = &self.nodes[node as usize];
            let held = self.values.get(at.value).filter(|_| !at.is_kept)?;
            Some((
                self.plan.addr(node),
                Seen::Held(held.output(), held.blob.clone()),
            ))
        });
        let failed = self.failures.iter();
        let failed =
            failed.map(|(node, error)| (self.plan.addr(*node), Seen::Failed(error.clone())));
        let seen: Vec<_> = held.chain(failed).collect();
        self.carried.add(seen);
    }

    fn emit(&self, event: Event) {
        if let Some(handler) = &self.options.progress {
            handler(&event);
        }
    }

    /// Address and length of a node's bytes, once they are known.
    fn content(&self, node: NodeId) -> Option<BlobStat> {
        match self.value(node) {
            Some(blob) => Some(blob.stat()),
            None => self.plan.content(node),
        }
    }
}

fn modes(inner: &Inner, options: &Options, plan: &Plan) -> Vec<FunctionMode> {
    let mode = |function: &Arc<dyn ComputeFunction>| {
        let (id, weight) = (function.id(), function.weight());
        let pays = || {
            let estimate = inner.costs.estimate(id, weight);
            inner.costs.cutoff_pays(estimate, weight).pays
        };
        let (cutoff, cutoff_of_large) = match options.cutoff_of(inner, id) {
            Cutoff::Always => (true, true),
            Cutoff::Never => (false, false),
            Cutoff::Auto => (pays(), true),
        };
        FunctionMode {
            is_light: weight == Weight::Light,
            is_ours: weight == Weight::Light && !supports(&*inner.executor, id),
            cutoff,
            cutoff_of_large,
            results: options.results_of(inner, id),
        }
    };
    plan.functions.iter().map(mode).collect()
}

fn planned_of(plan: &Plan) -> Vec<u64> {
    let mut planned = vec![0; plan.functions.len()];
    for node in 0..plan.len() as NodeId {
        if let Some((_, function)) = plan.recipe(node) {
            planned[function as usize] += 1;
        }
    }
    planned
}

fn saturated(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
