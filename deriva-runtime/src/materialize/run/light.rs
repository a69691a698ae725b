//! Light functions: many at a time, run by the scheduler itself or beside it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Blob, Bytes, Clock, ComputeFunction, ErrorKind, Params, Recipe, Result};

use super::values::Values;
use crate::materialize::plan::{NodeId, Plan};
use crate::shared::invoke::{guarded, invoke};

/// Light nodes that are run at the most between two looks at anything else.
const CHUNK: usize = 256;
/// And how long they may take together, as far as the chunk before tells.
const CHUNK_TIME: Duration = Duration::from_millis(1);
/// What a light function costs at the least to be run on another core: what it takes and gives has to be
/// brought there and back.
const WORTH_A_WORKER: Duration = Duration::from_micros(1);
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
    pub(super) results: Vec<(NodeId, Result<Blob>)>,
    pub(super) cost: Duration,
    pub(super) began: Duration,
    pub(super) took: Duration,
}

/// How large chunks are.
#[derive(Debug)]
pub(super) struct Pace {
    /// What a node cost lately.
    cost: Duration,
    /// Time spent in nodes since this task last let others run.
    busy: Duration,
    /// Chunks so far.
    turns: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            cost: CHUNK_TIME / 8,
            busy: Duration::ZERO,
            turns: 0,
        }
    }

    /// The number of nodes of the next chunk.
    pub(super) fn size(&self) -> usize {
        let fitting = CHUNK_TIME.as_nanos() / self.cost.as_nanos().max(1);
        usize::try_from(fitting).unwrap_or(CHUNK).clamp(1, CHUNK)
    }

    /// Whether a chunk is worth to be brought to another core, when N nodes are ready.
    pub(super) fn is_worth_a_worker(&self, ready: usize) -> bool {
        self.cost >= WORTH_A_WORKER && ready >= 2 * self.size()
    }

    /// A chunk was run, here or elsewhere.
    pub(super) fn ran(&mut self, chunk: &ChunkDone) {
        self.cost = chunk.cost;
        self.busy += chunk.cost * chunk.results.len() as u32;
    }

    /// Whether it is time to let others run, after a chunk; then the time begins anew.
    pub(super) fn is_over(&mut self) -> bool {
        self.turns = self.turns.wrapping_add(1);
        let is_over = self.busy >= CHUNK_TIME || self.turns.is_multiple_of(64);
        if is_over {
            self.busy = Duration::ZERO;
        }
        is_over
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
    /// These nodes, whose inputs are in memory.
    pub(super) fn new(plan: &Plan, values: &Values, nodes: &[NodeId]) -> Self {
        let mut chunk = Self {
            steps: Vec::with_capacity(nodes.len()),
            inputs: Vec::with_capacity(nodes.len() * 2),
        };
        for node in nodes {
            let Some((_, function)) = plan.recipe(*node) else {
                continue;
            };
            let start = chunk.inputs.len() as u32;
            let held = plan.inputs(*node).iter();
            let held = held.filter_map(|input| values.of(*input));
            chunk.inputs.extend(held.map(|blob| blob.bytes().clone()));
            chunk.steps.push(Step {
                node: *node,
                function,
                params: plan.with_params(*node).cloned(),
                inputs: start..chunk.inputs.len() as u32,
            });
        }
        chunk
    }

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
