//! Light functions: run by the scheduler itself, many at a time.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    Blob, BlobStore, Bytes, CAddr, Clock, ComputeFunction, Error, ErrorKind, Params, Result, Weight,
};

use super::{Done, Run, Unread};
use crate::call::call;
use crate::plan::{NodeId, Task};
use crate::request::Cutoff;

/// Light nodes that are run at the most between two looks at anything else.
const CHUNK: usize = 256;
/// And how long they may take together, as far as the chunk before tells.
pub(super) const CHUNK_TIME: Duration = Duration::from_millis(1);
/// A light function on more input bytes than this is treated as heavy.
const LIGHT_BYTES: u64 = 16 * 1024;
/// The encoded form of no params.
const NO_PARAMS: &[u8] = &[0xa0];

/// Light nodes with everything that they need, so that they can run anywhere.
struct Chunk {
    steps: Vec<(NodeId, u32, Params, Range<u32>)>,
    inputs: Vec<Bytes>,
}

/// What came of a chunk: each node's result, and what one node cost on the average.
pub(super) struct ChunkDone {
    results: Vec<(NodeId, Result<Blob>)>,
    cost: Duration,
    began: Duration,
    took: Duration,
}

impl Run {
    /// Sorts nodes that became ready into those that need a look at their resolved address, the
    /// heavy and the light.
    pub(super) fn sort_ready(&mut self) {
        for _ in 0..self.ready.len().min(4 * CHUNK) {
            let Some(node) = self.ready.pop_front() else {
                return;
            };
            let light = self.is_light(node);
            match self.options.cutoff {
                Cutoff::Always => self.cutoff.push(node),
                Cutoff::Auto if self.cutoff_pays(node, light) => self.cutoff.push(node),
                Cutoff::Auto | Cutoff::Never => self.queue(node, light),
            }
        }
    }

    /// Queues a node to be computed.
    pub(super) fn queue(&mut self, node: NodeId, light: bool) {
        if light {
            self.light.push_back(node);
        } else {
            self.heavy.push_back(node);
        }
    }

    pub(super) fn is_light(&self, node: NodeId) -> bool {
        let Some((_, function)) = self.recipe(node) else {
            return true;
        };
        let bytes = || {
            self.plan
                .inputs(node)
                .iter()
                .filter_map(|input| self.content(*input))
                .map(|stat| stat.len)
        };
        self.plan.functions[function as usize].weight() == Weight::Light
            && bytes().sum::<u64>() <= LIGHT_BYTES
    }

    /// Runs the next chunk: here, or beside this task where there is enough for both.
    pub(super) async fn run_light(&mut self) {
        let fitting = CHUNK_TIME.as_nanos() / self.light_cost.as_nanos().max(1);
        let size = usize::try_from(fitting).unwrap_or(CHUNK).clamp(1, CHUNK);
        let nodes: Vec<NodeId> = self.light.drain(..self.light.len().min(size)).collect();
        let nodes = self.load(nodes).await;
        let chunk = self.chunk(&nodes);
        let enough_left = self.light.len() + self.ready.len() >= size;
        if enough_left && self.chunks + 1 < self.options.jobs {
            let functions = self.plan.functions.clone();
            let clock = Arc::clone(&self.inner.clock);
            let handle = self
                .inner
                .tokio
                .spawn(async move { run_chunk(&chunk, &functions, &*clock) });
            let nodes: Vec<NodeId> = nodes.clone();
            self.chunks += 1;
            self.running.push(Box::pin(async move {
                Done::Chunk(
                    handle
                        .await
                        .unwrap_or_else(|source| broken_chunk(nodes, &source)),
                )
            }));
        } else {
            let done = run_chunk(&chunk, &self.plan.functions, &*self.inner.clock);
            self.chunk_done(done);
        }
    }

    pub(super) fn chunk_done(&mut self, done: ChunkDone) {
        self.light_cost = done.cost;
        self.busy += done.cost * done.results.len() as u32;
        let computed = done.results.iter();
        let computed = computed.filter_map(|(node, blob)| Some((*node, blob.as_ref().ok()?.len())));
        self.observe_costs(computed, done.cost);
        if self.slices.is_some() {
            let nodes: Vec<NodeId> = done.results.iter().map(|(node, _)| *node).collect();
            self.chunk_slice(&nodes, done.began, done.took);
        }
        for (node, result) in done.results {
            match result {
                Ok(blob) => self.computed(node, blob, done.cost),
                Err(error) => self.fail(node, error),
            }
            if self.failure.is_some() {
                return;
            }
        }
    }

    /// Brings the stored inputs of these nodes into memory; answers with the nodes that have them all.
    async fn load(&mut self, nodes: Vec<NodeId>) -> Vec<NodeId> {
        let mut wanted: Vec<NodeId> = Vec::new();
        for input in nodes.iter().flat_map(|node| self.plan.inputs(*node)) {
            if self.values[*input as usize].is_none() {
                wanted.push(*input);
            }
        }
        if wanted.is_empty() {
            return nodes;
        }
        wanted.sort_unstable();
        wanted.dedup();
        let addrs: Vec<CAddr> = wanted
            .iter()
            .filter_map(|node| self.content(*node))
            .map(|stat| stat.addr)
            .collect();
        if let Ok(blobs) = read(&*self.inner.blobs, &addrs).await {
            for (node, blob) in wanted.iter().zip(blobs) {
                self.values[*node as usize] = Some(blob);
            }
            return nodes;
        }
        // Something could not be read: find out which, and let the others go on.
        let mut whole = Vec::new();
        for node in nodes {
            let mut lost: Vec<Unread> = Vec::new();
            for input in self.plan.inputs(node).to_vec() {
                if self.values[input as usize].is_some()
                    || lost.iter().any(|unread| unread.input == input)
                {
                    continue;
                }
                let Some(stat) = self.content(input) else {
                    continue;
                };
                match read(&*self.inner.blobs, &[stat.addr]).await {
                    Ok(mut blobs) => self.values[input as usize] = blobs.pop(),
                    Err(error) => lost.push(Unread { input, error }),
                }
            }
            if lost.is_empty() {
                whole.push(node);
            } else {
                self.lost(node, lost).await;
            }
        }
        whole
    }

    fn chunk(&self, nodes: &[NodeId]) -> Chunk {
        let mut chunk = Chunk {
            steps: Vec::with_capacity(nodes.len()),
            inputs: Vec::with_capacity(nodes.len() * 2),
        };
        for node in nodes {
            let Task::Compute { recipe, function } = &self.plan.nodes[*node as usize].task else {
                continue;
            };
            let start = chunk.inputs.len() as u32;
            let values = self
                .plan
                .inputs(*node)
                .iter()
                .filter_map(|input| self.values[*input as usize].as_ref());
            chunk.inputs.extend(values.map(|blob| blob.bytes().clone()));
            let params = if recipe.params_bytes() == NO_PARAMS {
                Params::new()
            } else {
                recipe.params()
            };
            chunk
                .steps
                .push((*node, *function, params, start..chunk.inputs.len() as u32));
        }
        chunk
    }
}

/// Reads blobs that must be there.
pub(super) async fn read(blobs: &dyn BlobStore, addrs: &[CAddr]) -> Result<Vec<Blob>> {
    let found = blobs.get_many(addrs).await?;
    let present = found.into_iter().zip(addrs).map(|(blob, addr)| {
        blob.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "a blob vanished during the request").with("addr", addr)
        })
    });
    present.collect()
}

fn run_chunk(
    chunk: &Chunk,
    functions: &[Arc<dyn ComputeFunction>],
    clock: &dyn Clock,
) -> ChunkDone {
    let began = clock.now();
    let run = |(node, function, params, inputs): &(NodeId, u32, Params, Range<u32>)| {
        let inputs = &chunk.inputs[inputs.start as usize..inputs.end as usize];
        (
            *node,
            call(&*functions[*function as usize], inputs, params).map(Blob::new),
        )
    };
    let results: Vec<_> = chunk.steps.iter().map(run).collect();
    let took = clock.now().saturating_sub(began);
    ChunkDone {
        cost: took / results.len().max(1) as u32,
        results,
        began,
        took,
    }
}

fn broken_chunk(nodes: Vec<NodeId>, source: &tokio::task::JoinError) -> ChunkDone {
    let error = Error::new(ErrorKind::Cancelled, "the async runtime is shutting down")
        .with("cause", source);
    ChunkDone {
        results: nodes
            .into_iter()
            .map(|node| (node, Err(error.clone())))
            .collect(),
        cost: Duration::ZERO,
        began: Duration::ZERO,
        took: Duration::ZERO,
    }
}
