//! A request from its beginning to its end: planned and run, in stages where the graph is larger than
//! there is room for.
//!
//! A plan holds a number of recipes that the memory budget allows. Where a request needs more, the
//! planner answers with the frontier that it came to. That frontier is a stage of its own, and is
//! materialized first, by the same rule; then the request is planned again, and finds it done. What is
//! remembered of a stage meanwhile is the addresses of its frontier, so memory grows with the frontiers
//! of the graph and not with the graph, at the price of planning each part twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    BuildAddrHasher, CAddr, Error, ErrorKind, Event, Materialized, Result, Reuse, Summary,
};
use futures::TryStreamExt;
use tracing::{Instrument, Span};

use crate::materialize::Options;
use crate::materialize::carried::Carried;
use crate::materialize::plan::{BATCH, NodeId, Plan, Planned, Planning, Room, plan};
use crate::materialize::run::{Context, End, Run};
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::claimant::Claimant;
use crate::shared::invalidations::Revision;
use crate::shared::leases::Lease;
use crate::shared::nesting::Waiting;
use crate::shared::spans;
use crate::timeline::Work;

/// New plans that lost blobs may force in one stage, before the disk is taken for broken.
const MAX_LOST_ROUNDS: usize = 16;
/// The share of the memory budget that a plan may take.
const SHARE: u64 = 4;
/// What a recipe takes in a plan and in its run, in bytes, with some inputs.
const RECIPE_BYTES: u64 = 320;
/// Recipes that a plan holds however small the budget is.
const MIN_RECIPES: u64 = 1024;

struct Stages {
    inner: Arc<Inner>,
    lease: Arc<Lease>,
    claimant: Arc<Claimant>,
    options: Options,
    /// What is to be materialized: last what all before it waits for.
    stages: Vec<Stage>,
    /// What earlier stages of this request made: to find it is no reuse.
    ours: HashSet<CAddr, BuildAddrHasher>,
    carried: Carried,
    /// When the last plan began to watch for invalidations.
    watched: Option<Revision>,
    summary: Summary,
    /// Parts that were planned and run so far.
    rounds: usize,
    /// Plans of this stage so far, and how many of them lost blobs forced.
    plans: usize,
    lost_rounds: usize,
}

/// A part of a request that is planned and run on its own.
struct Stage {
    targets: Vec<CAddr>,
    /// How often it had to wait for others. It needs room for what it came to then, and a look beyond.
    deferred: usize,
}

impl Stage {
    fn new(targets: impl Into<Vec<CAddr>>) -> Self {
        Self {
            targets: targets.into(),
            deferred: 0,
        }
    }
}

/// Makes the bytes of `targets` available.
pub(crate) async fn materialize(
    inner: Arc<Inner>,
    targets: Vec<CAddr>,
    options: Options,
) -> Result<Materialized> {
    // What was asked for, and what it needs, is kept from collection until the end.
    let leased = targets.iter().copied();
    let leased = leased.filter(|_| !planted(Fault::a_request_leases_nothing));
    let lease = Arc::new(inner.lease(leased.collect()).await);
    let mut stages = Stages {
        claimant: Claimant::checking(inner.handle(), options.urgency(), options.asked.clone()),
        inner,
        lease,
        options,
        stages: vec![Stage::new(targets)],
        ours: HashSet::default(),
        carried: Carried::default(),
        watched: None,
        summary: Summary::default(),
        rounds: 0,
        plans: 0,
        lost_rounds: 0,
    };
    loop {
        let span = stages.span();
        if let Some(done) = stages.round().instrument(span).await? {
            return Ok(done);
        }
    }
}

impl Stages {
    /// The span of the next round.
    fn span(&mut self) -> Span {
        self.rounds += 1;
        let targets = self.stages.last().map_or(0, |stage| stage.targets.len());
        spans::stage(self.rounds, targets)
    }

    /// Plans the last stage and runs it, or learns that others must go before.
    async fn round(&mut self) -> Result<Option<Materialized>> {
        let watch = self.inner.invalidations.watch();
        // What is carried over may have been made from what was forgotten since.
        if let Some(before) = self.watched.replace(watch.since()) {
            let carried = &mut self.carried;
            let keeps = planted(Fault::carries_over_what_was_forgotten);
            let drop_if = |changed: bool| (changed && !keeps).then(|| carried.drop_results());
            self.inner.invalidations.with_changed(before, drop_if);
        }
        let room = room(&self.inner);
        let Some(Stage { targets, deferred }) = self.stages.last_mut() else {
            return Ok(None);
        };
        let began = self.inner.clock.now();
        let more = *deferred * 2 * BATCH;
        let (carried, claimant) = (&self.carried, &self.claimant);
        let planning = Planning::of(&self.inner);
        let planned = plan(planning, claimant, targets, carried, room.more(more));
        let span = spans::plan();
        let (plan, claims) = match planned.instrument(span.clone()).await? {
            Planned::Whole(plan, claims) => (*plan, claims),
            Planned::TooMany(frontier) => {
                *deferred += 1;
                self.inner.watcher.tell(|observer| {
                    let mut told = deriva_api::Planned::default();
                    (told.in_part, told.took) =
                        (true, self.inner.clock.now().saturating_sub(began));
                    observer.planned(&told);
                });
                let stages = frontier.chunks(room.recipes / 4).rev();
                self.stages.extend(stages.map(Stage::new));
                self.plans = 0;
                return Ok(None);
            }
        };
        let took = self.inner.clock.now().saturating_sub(began);
        spans::planned(&span, plan.computes(), plan.reused.len(), || plan.depth());
        // Until the run has ended.
        let _waiting = self.waits(&plan).await?;
        if let Some(timeline) = &self.options.timeline {
            let computes = plan.computes();
            timeline.add(Work::Plan { computes }, None, began, began + took);
        }
        self.announce(&plan, took);
        let roots = self.roots_in(&plan).await?;
        let is_stage = self.stages.len() > 1;
        let carried = std::mem::take(&mut self.carried);
        let context = Context {
            inner: Arc::clone(&self.inner),
            options: self.options.clone(),
            lease: Arc::clone(&self.lease),
            watch: Arc::clone(&watch),
            claimant: Arc::clone(&self.claimant),
            is_stage,
        };
        let mut run = Run::new(context, plan, carried, roots);
        // The run lands what it does not finish.
        drop(claims.disarm());
        let end = run.drive().await;
        let (summary, carried, lost, doubted) = run.into_report();
        add(&mut self.summary, &summary);
        self.carried = carried;
        match end? {
            End::Finished(results) if !is_stage => {
                let now = self.inner.clock.now();
                self.summary.seconds = now.saturating_sub(self.options.began).as_secs_f64();
                let (results, held) = results.into_iter().unzip();
                let mut done = Materialized::new(results, held, self.summary);
                done.doubted = doubted;
                return Ok(Some(done));
            }
            End::Finished(_) => {
                let done = self.stages.pop().map(|stage| stage.targets);
                self.ours.extend(done.into_iter().flatten());
                (self.plans, self.lost_rounds) = (0, 0);
                self.carried.distrusted.clear();
            }
            End::Replan => {
                if watch.is_refused() {
                    self.inner.invalidations.all_ended().await;
                }
                self.plans += 1;
                self.lost_rounds += usize::from(lost);
                if self.lost_rounds > MAX_LOST_ROUNDS {
                    let what = "blobs are lost as fast as they are computed";
                    return Err(Error::new(ErrorKind::Corrupt, what)
                        .hint("check the disk that the blob store lies on"));
                }
            }
        }
        Ok(None)
    }

    /// Notes what a nested request is about to wait for.
    async fn waits(&self, plan: &Plan) -> Result<Option<Waiting>> {
        let nesting = &self.options.nesting;
        if !nesting.is_nested() {
            return Ok(None);
        }
        let joined = plan.joins.iter().map(|join| plan.addr(join.node));
        let Inner {
            nested,
            flights,
            dag,
            ..
        } = &*self.inner;
        let waiting = nesting.wait(nested, flights, &**dag, &self.claimant, joined.collect());
        waiting.await.map(Some)
    }

    /// Tells what was planned. A later plan finds what an earlier one computed: that is no reuse.
    fn announce(&mut self, plan: &Plan, took: Duration) {
        let first = self.plans == 0;
        let found = |(addr, _): &&(CAddr, _)| first && !self.ours.contains(addr);
        let reused = plan.reused.iter().filter(found).count() as u64;
        let observers = &self.options.observers;
        if !observers.is_empty() {
            observers.tell(|| Event::Planned {
                compute: plan.computes(),
                reused,
            });
            for (addr, output) in plan.reused.iter().filter(found) {
                observers.tell(|| Event::Reused {
                    addr: *addr,
                    output: *output,
                    how: Reuse::Recorded,
                });
            }
        }
        let watcher = &self.inner.watcher;
        if !watcher.is_empty() {
            let mut told = deriva_api::Planned::default();
            (told.compute, told.reused) = (plan.computes(), reused);
            (told.depth, told.took) = (plan.depth(), took);
            watcher.tell(|observer| observer.planned(&told));
        }
        self.summary.reused += reused;
        self.summary.planned += if first { plan.computes() } else { 0 };
    }

    /// The nodes that are named roots, where results are kept by that.
    async fn roots_in(&self, plan: &Plan) -> Result<HashSet<NodeId>> {
        let results = |function: &_| self.options.results_of(&self.inner, function);
        let mut functions = plan.functions.iter();
        if !functions.any(|function| results(function.id()).asks_for_roots()) {
            return Ok(HashSet::new());
        }
        let mut roots: HashSet<CAddr, BuildAddrHasher> = HashSet::default();
        let mut named = self.inner.dag.roots(None);
        while let Some((_, addr)) = named.try_next().await? {
            roots.insert(addr);
        }
        Ok(plan
            .nodes()
            .filter(|node| roots.contains(&plan.addr(*node)))
            .collect())
    }
}

/// Takes in what one run did. What was planned and reused is told by its plan.
fn add(summary: &mut Summary, run: &Summary) {
    summary.computed += run.computed;
    summary.cutoff += run.cutoff;
    summary.healed += run.healed;
    summary.joined += run.joined;
    summary.executor_hits += run.executor_hits;
    summary.checked += run.checked;
    summary.violations += run.violations;
    summary.doubted += run.doubted;
    summary.failed += run.failed;
    summary.skipped += run.skipped;
    summary.bytes += run.bytes;
}

/// How much a plan may hold. Recipes are as long as who wrote them made them.
fn room(inner: &Inner) -> Room {
    let bytes = inner.memory.limit() / SHARE;
    let recipes = (bytes / RECIPE_BYTES).clamp(MIN_RECIPES, u64::from(u32::MAX / 8));
    Room {
        recipes: recipes as usize,
        least: MIN_RECIPES as usize,
        bytes,
    }
}
