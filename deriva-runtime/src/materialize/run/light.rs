//! Light functions: many at a time, run by the scheduler itself or beside it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    Blob, Bytes, Clock, ComputeFunction, ErrorKind, Operand, Params, Perturb, Recipe, Result,
};

use super::values::Values;
use crate::determinism::check::{Check, Checked, Standing, Tally};
use crate::materialize::plan::{NodeId, Plan};
use crate::shared::invoke::{guarded, invoke};
use crate::shared::perturb;

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
    /// The steps, by their place, that are checked.
    checks: Vec<(usize, Check)>,
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
    /// What counts of those that were checked, in the same order.
    pub(super) checked: VecDeque<(NodeId, Checked)>,
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
    let mut ran = began;
    let nodes: Vec<NodeId> = chunk.steps.iter().map(|step| step.node).collect();
    let message = "letting go of the inputs of a function panicked";
    let all = || {
        let results = chunk.run(functions);
        ran = clock.now();
        let checked = chunk.repeat(functions, &results);
        drop(chunk);
        (results, checked)
    };
    let done = guarded(ErrorKind::Function, message, all);
    let (results, checked) = done.unwrap_or_else(|error| {
        let failed = nodes.into_iter().map(|node| (node, Err(error.clone())));
        (failed.collect(), VecDeque::new())
    });
    let ended = match checked.is_empty() {
        true => clock.now(),
        // What a node costs is what it costs once.
        false => ran,
    };
    let took = clock.now().saturating_sub(began);
    ChunkDone {
        cost: ended.saturating_sub(began) / results.len().max(1) as u32,
        results,
        checked,
        began,
        took,
    }
}

impl Chunk {
    /// These nodes, whose inputs are in memory.
    pub(super) fn new(
        plan: &Plan,
        values: &Values,
        nodes: &[NodeId],
        check: Option<impl Fn(NodeId) -> Option<Check>>,
    ) -> Self {
        let mut chunk = Self {
            steps: Vec::with_capacity(nodes.len()),
            inputs: Vec::with_capacity(nodes.len() * 2),
            checks: Vec::new(),
        };
        for node in nodes {
            let Some((_, function)) = plan.recipe(*node) else {
                continue;
            };
            if let Some(check) = check.as_ref().and_then(|check| check(*node)) {
                chunk.checks.push((chunk.steps.len(), check));
            }
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
            let output = step.call(functions, self.inputs(step), &none);
            (step.node, output.map(Blob::new))
        };
        self.steps.iter().map(run).collect()
    }

    fn inputs(&self, step: &Step) -> &[Bytes] {
        &self.inputs[step.inputs.start as usize..step.inputs.end as usize]
    }

    /// Runs the steps again that are checked, each as often as its check asks for: all of them once more, then those for
    /// which that was not enough, and so on.
    fn repeat(
        &self,
        functions: &[Arc<dyn ComputeFunction>],
        results: &[(NodeId, Result<Blob>)],
    ) -> VecDeque<(NodeId, Checked)> {
        let none = Params::new();
        let mut tallies: Vec<(&Step, Check, Result<Tally>)> = Vec::with_capacity(self.checks.len());
        for (at, check) in &self.checks {
            let mut tally = Tally::new(*check);
            let added = tally.add(answered(results[*at].1.clone()));
            tallies.push((&self.steps[*at], *check, added.map(|()| tally)));
        }
        let first = |at: usize| &results[self.checks[at].0].1;
        for round in 1u64.. {
            let is_open = |tally: &Result<Tally>| {
                (tally.as_ref()).is_ok_and(|tally| matches!(tally.standing(), Standing::More(_)))
            };
            let mut open: Vec<usize> = (0..tallies.len())
                .filter(|at| is_open(&tallies[*at].2))
                .collect();
            if open.is_empty() {
                break;
            }
            // From the last to the first, and back.
            if round % 2 == 1 {
                open.reverse();
            }
            let perturbs = |at: &&usize| tallies[**at].1.perturb;
            let again = |at: &usize| {
                let step = tallies[*at].0;
                let elsewhere = |input: &Bytes| perturb::relocated_bytes(input, round);
                let inputs: Vec<Bytes> = self.inputs(step).iter().map(elsewhere).collect();
                step.call(functions, &inputs, &none)
            };
            let all = || open.iter().map(again).collect::<Vec<_>>();
            let ran = match open.iter().any(|at| perturbs(&at)) {
                true => perturb::run(Perturb::new(round), all),
                false => None,
            };
            let ran = ran.unwrap_or_else(|| {
                let again = |at: &usize| {
                    let step = tallies[*at].0;
                    step.call(functions, self.inputs(step), &none)
                };
                open.iter().map(again).collect()
            });
            for (at, ran) in open.into_iter().zip(ran) {
                let ran = answered(compared(first(at), ran));
                let tally = &mut tallies[at].2;
                let added = tally.as_mut().ok().map(|tally| tally.add(ran));
                if let Some(Err(error)) = added {
                    *tally = Err(error);
                }
            }
        }
        let end = |(step, _, tally): (&Step, Check, Result<Tally>)| {
            let checked = match tally {
                Ok(tally) => tally.finish(),
                Err(error) => Checked {
                    result: Err(error),
                    dissent: None,
                },
            };
            (step.node, checked)
        };
        tallies.into_iter().map(end).collect()
    }
}

/// What another run gave. It is hashed only where it is not what the first one gave: these bytes have an address already.
fn compared(first: &Result<Blob>, ran: Result<Bytes>) -> Result<Blob> {
    let bytes = ran?;
    match first {
        Ok(first) if *first.bytes() == bytes => Ok(first.clone()),
        _ => Ok(Blob::new(bytes)),
    }
}

fn answered(result: Result<Blob>) -> Result<(Operand, Duration)> {
    result.map(|blob| (Operand::Held(blob), Duration::ZERO))
}

impl Step {
    /// Calls the function. `none` are no params.
    fn call(
        &self,
        functions: &[Arc<dyn ComputeFunction>],
        inputs: &[Bytes],
        none: &Params,
    ) -> Result<Bytes> {
        let function = &*functions[self.function as usize];
        match &self.params {
            None => invoke(function, inputs, none),
            Some(recipe) => {
                let params = recipe.params();
                params.and_then(|params| invoke(function, inputs, &params))
            }
        }
    }
}
