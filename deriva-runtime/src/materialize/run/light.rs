//! Light functions: many at a time, run by the scheduler itself or beside it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Blob, Bytes, Clock, ComputeFunction, ErrorKind, Params, Recipe, Result};

use super::Run;
use crate::materialize::plan::NodeId;
use crate::shared::costs::Calls;
use crate::shared::invoke::{guarded, invoke};

/// Light nodes that are run at the most between two looks at anything else.
const CHUNK: usize = 256;
/// And how long they may take together, as far as the chunk before tells.
pub(super) const CHUNK_TIME: Duration = Duration::from_millis(1);
/// What a light function costs at the least to be run on another core: what it takes and gives has to be
/// brought there and back.
const WORTH_A_WORKER: Duration = Duration::from_micros(1);
/// A light function on more input bytes than this is treated as heavy, if the executor has it.
const LIGHT_BYTES: u32 = 16 * 1024;

/// Light nodes with everything that they need, so that they can run anywhere.
pub(super) struct Chunk {
    steps: Vec<Step>,
    inputs: Vec<Bytes>,
}

struct Step {
    node: NodeId,
    function: u32,
    /// The recipe, where it has params: they become values one step at a time.
    params: Option<Recipe>,
    inputs: Range<u32>,
}

/// What came of a chunk: each node's result, and what one node cost on the average.
pub(super) struct ChunkDone {
    results: Vec<(NodeId, Result<Blob>)>,
    cost: Duration,
    began: Duration,
    took: Duration,
}

impl Run {
    /// Whether a node is run in place, now that its inputs are known.
    pub(super) fn is_light(&self, node: NodeId) -> bool {
        let function = self
            .plan
            .recipe(node)
            .map(|(_, function)| function as usize);
        let is_small = self.nodes[node as usize].input_bytes <= LIGHT_BYTES;
        function.map_or(is_small, |function| {
            let mode = &self.modes[function];
            mode.is_light && (is_small || mode.is_ours)
        })
    }

    /// Runs the next chunk: here, or beside this task where there is enough for both.
    pub(super) async fn run_light(&mut self) {
        let fitting = CHUNK_TIME.as_nanos() / self.light_cost.as_nanos().max(1);
        let size = usize::try_from(fitting).unwrap_or(CHUNK).clamp(1, CHUNK);
        let beside = self.light_cost >= WORTH_A_WORKER
            && self.light.len() >= 2 * size
            && self.workers.have_room();
        let nodes: Vec<NodeId> = self.light.drain(..self.light.len().min(size)).collect();
        let nodes = self.load(nodes).await;
        let chunk = self.chunk(&nodes);
        if beside {
            self.workers.push(chunk);
        } else {
            self.run_here(chunk);
        }
    }

    pub(super) fn run_here(&mut self, chunk: Chunk) {
        let done = run_chunk(chunk, &self.plan.functions, &*self.inner.clock);
        self.chunk_done(done);
    }

    pub(super) fn chunk_done(&mut self, done: ChunkDone) {
        self.light_cost = done.cost;
        self.busy += done.cost * done.results.len() as u32;
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

    fn chunk(&mut self, nodes: &[NodeId]) -> Chunk {
        let mut chunk = Chunk {
            steps: Vec::with_capacity(nodes.len()),
            inputs: Vec::with_capacity(nodes.len() * 2),
        };
        for node in nodes {
            let Some((_, function)) = self.plan.recipe(*node) else {
                continue;
            };
            let start = chunk.inputs.len() as u32;
            let values = self.plan.inputs(*node).iter();
            let values = values.filter_map(|input| self.value(*input));
            chunk.inputs.extend(values.map(|blob| blob.bytes().clone()));
            chunk.steps.push(Step {
                node: *node,
                function,
                params: self.plan.with_params(*node).cloned(),
                inputs: start..chunk.inputs.len() as u32,
            });
        }
        chunk
    }

    /// Remembers what the functions of this run cost.
    pub(super) fn observe(&mut self, node: NodeId, cost: Duration, bytes: u64) {
        let Some((_, function)) = self.plan.recipe(node) else {
            return;
        };
        let calls = &mut self.calls[function as usize];
        calls.calls += 1;
        calls.time += cost;
        calls.bytes += bytes;
    }

    /// Tells the other requests what the functions of this run cost.
    pub(super) fn share_costs(&mut self) {
        let seen = self.plan.functions.iter().zip(&self.calls);
        let seen = seen.filter(|(_, calls)| calls.calls > 0);
        let seen = seen.map(|(function, calls)| (function.id(), *calls));
        self.inner.costs.observe(seen);
        self.calls.fill(Calls::default());
    }
}

/// Runs a chunk and lets go of it. Functions are called behind a guard of their own; what is left is the end of
/// their inputs.
pub(super) fn run_chunk(
    chunk: Chunk,
    functions: &[Arc<dyn ComputeFunction>],
    clock: &dyn Clock,
) -> ChunkDone {
    let began = clock.now();
    let nodes: Vec<NodeId> = chunk.steps.iter().map(|step| step.node).collect();
    let message = "letting go of the inputs of a function panicked";
    let results = guarded(ErrorKind::Function, message, move || chunk.run(functions));
    let results = results.unwrap_or_else(|error| {
        let failed = nodes.into_iter().map(|node| (node, Err(error.clone())));
        failed.collect()
    });
    let took = clock.now().saturating_sub(began);
    ChunkDone {
        cost: took / results.len().max(1) as u32,
        results,
        began,
        took,
    }
}

impl Chunk {
    fn run(&self, functions: &[Arc<dyn ComputeFunction>]) -> Vec<(NodeId, Result<Blob>)> {
        let none = Params::new();
        let run = |step: &Step| {
            let inputs = &self.inputs[step.inputs.start as usize..step.inputs.end as usize];
            let function = &*functions[step.function as usize];
            let output = match &step.params {
                None => invoke(function, inputs, &none),
                Some(recipe) => {
                    let params = recipe.params();
                    params.and_then(|params| invoke(function, inputs, &params))
                }
            };
            (step.node, output.map(Blob::new))
        };
        self.steps.iter().map(run).collect()
    }
}
