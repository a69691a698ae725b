//! The scheduler: runs a plan.
//!
//! One task owns all state of a run, so nothing here is shared or locked. Its loop takes ready nodes,
//! runs light ones in chunks and hands heavy ones to the executor; a finished node decrements the
//! counters of its dependents. Results are written behind the computation, in batches.
//!
//! | concern | file |
//! |---|---|
//! | inputs into memory, light functions in chunks | `light.rs` |
//! | early cutoff, heavy functions on the executor | `heavy.rs` |
//! | results, failures, flights of others | `settle.rs` |
//! | writing behind | `commit.rs` |

mod commit;
mod heavy;
mod light;
mod settle;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Blob, BlobStat, CAddr, Error, ErrorKind, Executed, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::event::{Event, Summary};
use crate::flights::Landing;
use crate::inner::Inner;
use crate::invalidations::Watch;
use crate::needs::LostLeaves;
use crate::plan::{NodeId, Plan, Task};
use crate::request::Options;
use crate::survey::Distrusted;

use commit::{Batch, Written};
use light::{CHUNK_TIME, ChunkDone};

/// How a run ended, if not with an error.
pub(crate) enum End {
    /// Every requested address is there or has failed.
    Finished(Vec<(Result<BlobStat>, Option<Blob>)>),
    /// A blob was lost, another request gave up, or outputs were forgotten: what is left needs a new plan.
    Replan,
}

/// Something that the loop waited for.
enum Done {
    Executed(NodeId, Result<Executed>),
    Unread(NodeId, Vec<Unread>),
    Chunk(ChunkDone),
    /// A batch was written, or it was not.
    Committed(Result<Written>),
    /// A flight of another ended; with an address where it is that of the resolved recipe.
    Landed(NodeId, Option<CAddr>, Landing),
}

/// An input of a node that could not be read, and why.
struct Unread {
    input: NodeId,
    error: Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not finished.
    Open,
    /// Its output is known; or it never was to be computed.
    Done,
    /// It failed, or something that it needs did.
    Failed,
}

pub(crate) struct Run {
    inner: Arc<Inner>,
    options: Options,
    watch: Arc<Watch>,
    plan: Plan,
    state: Vec<State>,
    is_target: Vec<bool>,
    /// Inputs that are not there yet.
    waiting: Vec<u32>,
    /// Dependents that still need the value; one more for a requested node.
    consumers: Vec<u32>,
    values: Vec<Option<Blob>>,
    /// Nodes whose inputs are all there, not sorted yet into the queues below.
    ready: VecDeque<NodeId>,
    light: VecDeque<NodeId>,
    heavy: VecDeque<NodeId>,
    /// Nodes to be looked up under their resolved address.
    cutoff: Vec<NodeId>,
    /// Resolved addresses that this run has claimed.
    resolved: HashMap<NodeId, CAddr>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    executing: usize,
    chunks: usize,
    /// What a light node cost lately.
    light_cost: Duration,
    /// Time spent in light nodes since this task last let others run.
    busy: Duration,
    committing: bool,
    batch: Batch,
    failure: Option<Error>,
    failures: HashMap<NodeId, Error>,
    finished: HashMap<NodeId, BlobStat>,
    replan: bool,
    pub(crate) summary: Summary,
    pub(crate) distrusted: Distrusted,
    lost_leaves: LostLeaves,
}

impl Run {
    /// Takes over a plan and the claims on its nodes.
    pub(crate) fn new(
        inner: Arc<Inner>,
        options: Options,
        mut plan: Plan,
        distrusted: Distrusted,
        watch: &Arc<Watch>,
    ) -> Self {
        let count = plan.nodes.len();
        let joins = std::mem::take(&mut plan.joins);
        let mut run = Self {
            state: vec![State::Open; count],
            is_target: vec![false; count],
            waiting: vec![0; count],
            consumers: (0..count as NodeId)
                .map(|node| plan.dependents(node).len() as u32)
                .collect(),
            values: vec![None; count],
            ready: VecDeque::new(),
            light: VecDeque::new(),
            heavy: VecDeque::new(),
            cutoff: Vec::new(),
            resolved: HashMap::new(),
            running: FuturesUnordered::new(),
            executing: 0,
            chunks: 0,
            light_cost: CHUNK_TIME / 8,
            busy: Duration::ZERO,
            committing: false,
            batch: Batch::default(),
            failure: None,
            failures: HashMap::new(),
            finished: HashMap::new(),
            replan: false,
            summary: Summary {
                planned: plan.computes,
                ..Summary::default()
            },
            distrusted,
            lost_leaves: LostLeaves::default(),
            inner,
            options,
            watch: Arc::clone(watch),
            plan,
        };
        for target in &run.plan.targets {
            run.consumers[*target as usize] += 1;
            run.is_target[*target as usize] = true;
        }
        for node in 0..count as NodeId {
            match &run.plan.nodes[node as usize].task {
                Task::Stored { stat, .. } => {
                    run.state[node as usize] = State::Done;
                    run.finished
                        .extend(run.is_target[node as usize].then_some((node, *stat)));
                }
                Task::Compute { .. } => {
                    let open = |input: &&NodeId| {
                        !matches!(run.plan.nodes[**input as usize].task, Task::Stored { .. })
                    };
                    run.waiting[node as usize] =
                        run.plan.inputs(node).iter().filter(open).count() as u32;
                    if run.waiting[node as usize] == 0 {
                        run.ready.push_back(node);
                    }
                }
                Task::Join => {}
            }
        }
        for (node, landing) in joins {
            let landed =
                landing.map(move |end| Done::Landed(node, None, end.unwrap_or(Landing::Abandoned)));
            run.running.push(landed.boxed());
        }
        run
    }

    /// Runs until nothing is left to do or something failed. Whatever was computed is committed.
    pub(crate) async fn drive(&mut self) -> Result<End> {
        let mut turns = 0u32;
        while self.failure.is_none() && !self.watch.is_refused() {
            while let Some(Some(done)) = self.poll_done() {
                self.absorb(done).await;
            }
            self.sort_ready();
            if let Err(error) = self.look_up_resolved().await {
                self.failure = Some(error);
                break;
            }
            self.start_heavy();
            let backlog = self.batch.is_backlog() && self.committing;
            if !backlog && !self.light.is_empty() {
                self.run_light().await;
                self.commit(false);
                turns += 1;
                if self.busy >= CHUNK_TIME || turns.is_multiple_of(64) {
                    self.busy = Duration::ZERO;
                    tokio::task::yield_now().await;
                }
                continue;
            }
            if !self.ready.is_empty() && !backlog {
                continue;
            }
            self.commit(true);
            // What is left waits for flights, maybe for one of this run that only a new plan can end.
            if self.replan && self.executing == 0 && self.chunks == 0 && !self.committing {
                break;
            }
            match self.running.next().await {
                Some(done) => self.absorb(done).await,
                None => break,
            }
        }
        self.finish_commits().await;
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.end(),
        }
    }

    fn poll_done(&mut self) -> Option<Option<Done>> {
        if self.running.is_empty() {
            None
        } else {
            self.running.next().now_or_never()
        }
    }

    async fn absorb(&mut self, done: Done) {
        match done {
            Done::Executed(node, result) => {
                self.executing -= 1;
                self.executed(node, result);
            }
            Done::Unread(node, inputs) => {
                self.executing -= 1;
                self.lost(node, inputs).await;
            }
            Done::Chunk(chunk) => {
                self.chunks -= 1;
                self.chunk_done(chunk);
            }
            Done::Committed(result) => self.committed(result),
            Done::Landed(node, resolved, landing) => self.landed(node, resolved, landing),
        }
        self.commit(false);
    }

    fn end(&mut self) -> Result<End> {
        let open = |target: &&NodeId| self.state[**target as usize] == State::Open;
        if self.replan {
            return Ok(End::Replan);
        }
        if let Some(target) = self.plan.targets.iter().find(open) {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "the store shows a recipe that depends on itself",
            )
            .with("addr", self.plan.nodes[*target as usize].addr));
        }
        let result = |target: &NodeId| match self.finished.get(target) {
            Some(stat) => (Ok(*stat), self.values[*target as usize].clone()),
            None => {
                let unknown =
                    || Error::new(ErrorKind::Internal, "a request ended without a result");
                (
                    Err(self.failures.get(target).cloned().unwrap_or_else(unknown)),
                    None,
                )
            }
        };
        Ok(End::Finished(
            self.plan.targets.iter().map(result).collect(),
        ))
    }

    fn emit(&self, event: Event) {
        if let Some(progress) = &self.options.progress {
            progress(&event);
        }
    }

    /// The recipe of a node that is to be computed, and the index of its function.
    fn recipe(&self, node: NodeId) -> Option<(&deriva_api::Recipe, u32)> {
        match &self.plan.nodes[node as usize].task {
            Task::Compute { recipe, function } => Some((recipe, *function)),
            Task::Stored { .. } | Task::Join => None,
        }
    }

    /// Address and length of a node's bytes, once they are known.
    fn content(&self, node: NodeId) -> Option<BlobStat> {
        match (
            &self.values[node as usize],
            &self.plan.nodes[node as usize].task,
        ) {
            (Some(blob), _) => Some(blob.stat()),
            (None, Task::Stored { stat, .. }) => Some(*stat),
            (None, _) => None,
        }
    }
}

impl Drop for Run {
    /// Gives up what is still claimed, so that whoever waits for it can claim it anew; what was
    /// computed is written all the same.
    fn drop(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            // The batch before may still be refused, so this one is not judged by itself.
            batch.strict = true;
            commit::spawn(&self.inner, batch, &self.watch);
        }
        let open = self
            .plan
            .nodes
            .iter()
            .zip(&self.state)
            .filter_map(|(node, state)| {
                (*state == State::Open && matches!(node.task, Task::Compute { .. }))
                    .then_some(node.addr)
            });
        let abandoned = open.chain(self.resolved.values().copied());
        self.inner
            .flights
            .land(abandoned.map(|addr| (addr, Landing::Abandoned)));
    }
}
