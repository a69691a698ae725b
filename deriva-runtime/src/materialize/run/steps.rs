//! What a run has under way: steps with the executor, chunks with workers, and flights of others that it waits for.

use deriva_api::CAddr;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};

use super::executing::Executing;
use super::light::{Chunk, Pace};
use super::workers::Workers;
use super::{Context, Done};
use crate::materialize::plan::{NodeId, Plan};
use crate::shared::flights::{JoinId, Joined};

pub(super) struct Steps {
    pub(super) executing: Executing,
    pub(super) workers: Workers,
    pub(super) pace: Pace,
    joins: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl Steps {
    /// Nothing is under way.
    pub(super) fn new(context: &Context, plan: &Plan) -> Self {
        let (inner, jobs) = (&context.inner, context.options.jobs);
        Self {
            executing: Executing::new(context),
            workers: Workers::new(inner, &plan.functions, jobs),
            pace: Pace::new(),
            joins: FuturesUnordered::new(),
        }
    }

    /// Waits for a flight of another, of a node itself or of its `resolved` recipe.
    pub(super) fn join(&mut self, node: NodeId, resolved: Option<CAddr>, flight: Joined) -> JoinId {
        let join = flight.id();
        let landed = flight.map(move |end| Done::Landed(node, resolved, end));
        self.joins.push(landed.boxed());
        join
    }

    /// Whether a chunk should be brought to a worker, when N light nodes are ready.
    pub(super) fn wants_a_worker(&self, ready: usize) -> bool {
        self.pace.is_worth_a_worker(ready) && self.workers.have_room()
    }

    /// A chunk that no worker has begun.
    pub(super) fn take_back(&mut self) -> Option<Chunk> {
        self.workers.take_back()
    }

    /// Whether no function runs for this run, as far as it knows.
    pub(super) fn none_runs(&self) -> bool {
        self.executing.is_empty() && self.workers.is_idle()
    }

    /// Whether something will be done of itself.
    pub(super) fn is_under_way(&self) -> bool {
        self.executing.waits() || !self.workers.is_idle() || !self.joins.is_empty()
    }

    /// What is done next; waits for ever where nothing is under way.
    pub(super) async fn next(&mut self) -> Done {
        // A branch whose condition does not hold is not waited for.
        tokio::select! {
            biased;
            done = self.executing.next(), if self.executing.waits() => done,
            Some(chunk) = self.workers.next(), if !self.workers.is_idle() => Done::Chunk(chunk),
            Some(done) = self.joins.next(), if !self.joins.is_empty() => done,
            else => std::future::pending().await,
        }
    }

    /// What is done by now, if anything.
    pub(super) fn try_next(&mut self) -> Option<Done> {
        if let Some(outcome) = self.executing.try_next() {
            return Some(Done::Executed(outcome));
        }
        if let Some(chunk) = self.workers.try_next() {
            return Some(Done::Chunk(chunk));
        }
        if self.joins.is_empty() {
            return None;
        }
        self.joins.next().now_or_never().flatten()
    }
}
