//! What a heavy function is handed to the executor with, and how that ends.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    Blob, BlobStat, ByteRange, Bytes, CAddr, CallContext, ComputeFunction, Error, ErrorKind,
    Executed, Executor, FunctionId, Operand, Operands, Reason, Recipe, Result, Step,
};

use super::Context;
use super::cutoff::resolved_address;
use super::graph::Graph;
use super::load::read;
use super::lost::Unread;
use super::repeat::repeat;
use super::values::Values;
use crate::determinism::check::{Check, Checked};
use crate::materialize::plan::{NodeId, Plan};
use crate::shared::Inner;
use crate::shared::invalidations::Watch;
use crate::shared::invoke::guarded;
use crate::shared::leases::Lease;
use crate::shared::nesting::Nesting;
use crate::shared::policy::StoreResults;
use crate::shared::slots::Slot;

/// What became of a step, with all that is needed to land it.
pub(super) struct Outcome {
    pub(super) node: NodeId,
    pub(super) addr: CAddr,
    /// The resolved address, where it was claimed too.
    pub(super) resolved: Option<CAddr>,
    pub(super) watch: Arc<Watch>,
    pub(super) results: StoreResults,
    pub(super) is_root: bool,
    /// Whether an input is doubted.
    pub(super) doubted: bool,
    pub(super) ended: Ended,
    /// Time from when it was handed over to its end.
    pub(super) took: Duration,
    /// What a check is of.
    pub(super) computation: Option<Computation>,
    /// The slot that it had, where that may be for the next step.
    pub(super) slot: Option<Slot>,
}

/// What is computed, whatever the recipe is called.
pub(super) struct Computation {
    pub(super) function: FunctionId,
    pub(super) resolved: CAddr,
}

/// How a step ended.
pub(super) enum Ended {
    Executed(Result<Executed>),
    /// It was run several times.
    Checked(Box<Checked>),
    /// It did not begin: inputs could not be read.
    Unread(Vec<Unread>),
}

impl Ended {
    /// The length of the output, or why there is none, where one error says that.
    pub(super) fn told(&self) -> Result<u64, Option<&Error>> {
        match self {
            Self::Executed(Ok(executed)) => Ok(executed.output.stat().len),
            Self::Checked(checked) => match &checked.result {
                Ok((output, _)) => Ok(output.stat().len),
                Err(error) => Err(Some(error)),
            },
            Self::Executed(Err(error)) => Err(Some(error)),
            Self::Unread(inputs) => Err(inputs.first().map(|unread| &unread.error)),
        }
    }
}

/// An input of a step: in hand, or to be read.
#[derive(Clone)]
pub(super) enum Source {
    Held(Blob),
    Read(NodeId, BlobStat),
}

/// A step that is about to be handed to the executor.
pub(super) struct Prepared {
    pub(super) outcome: Outcome,
    pub(super) work: Work,
}

/// What the executor is to do.
pub(super) struct Work {
    pub(super) step: Step,
    check: Option<Check>,
    sources: Vec<Source>,
    /// The range of its only input that the output is, where the function says that it is one.
    range: Option<ByteRange>,
    nesting: Nesting,
}

/// Reads what a node needs from the parts of its run. `call` is what its function may ask and tell.
pub(super) fn prepare(
    context: &Context,
    graph: &Graph,
    values: &Values,
    node: NodeId,
    call: CallContext,
    deadline: Option<Duration>,
) -> Option<Prepared> {
    let plan = &graph.plan;
    let (recipe, function) = plan.recipe(node)?;
    let check = context.check(graph, values, node);
    // What the ledger has nothing of is nobody's concern where it is not checked.
    let is_named = check.is_some() || !context.inner.ledger.is_empty();
    let resolved = is_named.then(|| resolved_address(graph, values, node).ok());
    let computation = resolved.flatten().map(|resolved| Computation {
        function: recipe.function(),
        resolved,
    });
    let inputs = plan.inputs(node).iter();
    let sources = inputs.filter_map(|input| match values.of(*input) {
        Some(blob) => Some(Source::Held(blob.clone())),
        None => plan.content(*input).map(|stat| Source::Read(*input, stat)),
    });
    let mut step = Step::new(recipe.clone(), Vec::new());
    // What an executor remembers of a lost output may be lost, too.
    step.fresh = graph.reason(node) == Reason::Lost;
    (step.deadline, step.context) = (deadline, call);
    let work = Work {
        check: check.filter(|_| computation.is_some()),
        sources: sources.collect(),
        range: output_range(recipe, &*plan.functions[function as usize]),
        nesting: (context.options.nesting).of_priority(context.claimant.own.priority),
        step,
    };
    let outcome = Outcome {
        node,
        addr: work.step.addr,
        resolved: graph.resolved(node),
        watch: Arc::clone(&context.watch),
        results: graph.modes[function as usize].results,
        is_root: graph.is_root(node),
        doubted: graph.rests_on_doubt(node),
        ended: Ended::Unread(Vec::new()),
        took: Duration::ZERO,
        computation,
        slot: None,
    };
    Some(Prepared { outcome, work })
}

/// About how many bytes the output of a node will have at the most, as its function says; no more than `most`.
pub(super) fn output_len(plan: &Plan, values: &Values, node: NodeId, most: u64) -> u64 {
    let Some((recipe, function)) = plan.recipe(node) else {
        return 0;
    };
    let inputs = plan.inputs(node).iter();
    let lens = inputs.map(|input| values.content(plan, *input).map_or(0, |stat| stat.len));
    let (lens, function) = (lens.collect::<Vec<_>>(), &plan.functions[function as usize]);
    let asked = || Some(function.output_len(&lens, &recipe.params().ok()?));
    let asked = guarded(ErrorKind::Function, "the function panicked", asked);
    asked.ok().flatten().unwrap_or(0).min(most)
}

fn output_range(recipe: &Recipe, function: &dyn ComputeFunction) -> Option<ByteRange> {
    let asked = || function.output_range(&recipe.params().ok()?);
    guarded(ErrorKind::Function, "the function panicked", asked).ok()?
}

/// Carries out a step: its inputs read, or stored, as the executor wants them.
pub(super) async fn execute(inner: Arc<Inner>, lease: Arc<Lease>, work: Work) -> Ended {
    let Work {
        mut step,
        check,
        sources,
        range,
        nesting,
    } = work;
    let _over = Over(step.context.clone());
    if let (Some(range), [Source::Read(input, stat)], None) = (range, sources.as_slice(), check) {
        return cut(&inner, *input, *stat, range).await;
    }
    let executed = match check {
        None => match operands(&inner, &lease, &*inner.executor, sources).await {
            Ok(operands) => {
                step.inputs = operands;
                Ok(nesting.scope(inner.executor.execute(step)).await)
            }
            Err(unready) => Err(unready),
        },
        Some(check) => match repeat(&inner, &lease, step, sources, check, &nesting).await {
            Ok(checked) => return Ended::Checked(Box::new(checked)),
            Err(unready) => Err(unready),
        },
    };
    match executed {
        Ok(executed) => Ended::Executed(executed),
        Err(Unready::Failed(error)) => Ended::Executed(Err(error)),
        Err(Unready::Unread(inputs)) => Ended::Unread(inputs),
    }
}

/// The inputs of a step as an executor wants them.
pub(super) async fn operands(
    inner: &Inner,
    lease: &Lease,
    executor: &dyn Executor,
    sources: Vec<Source>,
) -> Result<Vec<Operand>, Unready> {
    match executor.operands() {
        Operands::Held => read_all(inner, sources).await,
        Operands::Stored => store_all(inner, lease, sources).await,
    }
}

/// The output of a function that is a range of what is stored.
async fn cut(inner: &Inner, input: NodeId, stat: BlobStat, range: ByteRange) -> Ended {
    let began = inner.clock.now();
    let absent = || Error::new(ErrorKind::NotFound, "a blob vanished during the request");
    let read = inner.blobs.get_range(stat.addr, range).await;
    match read.and_then(|bytes| bytes.ok_or_else(|| absent().with("addr", stat.addr))) {
        Ok(bytes) => {
            // A copy, as a store may give a view that keeps the whole blob.
            let output = Operand::Held(Blob::new(Bytes::copy_from_slice(&bytes)));
            let cost = inner.clock.now().saturating_sub(began);
            Ended::Executed(Ok(Executed::new(output, cost)))
        }
        Err(error) => Ended::Unread(vec![Unread { input, error }]),
    }
}

/// Tells a function that its step is over, however it ended.
struct Over(CallContext);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Why a step could not begin.
pub(super) enum Unready {
    Unread(Vec<Unread>),
    Failed(Error),
}

/// Reads what is not in hand.
async fn read_all(inner: &Inner, sources: Vec<Source>) -> Result<Vec<Operand>, Unready> {
    let mut operands = Vec::with_capacity(sources.len());
    let mut unread = Vec::new();
    for source in sources {
        match source {
            Source::Held(blob) => operands.push(Operand::Held(blob)),
            Source::Read(input, stat) => match read(&*inner.blobs, &[stat.addr]).await {
                Ok(mut blobs) => operands.extend(blobs.pop().map(Operand::Held)),
                Err(error) => unread.push(Unread { input, error }),
            },
        }
    }
    if unread.is_empty() {
        Ok(operands)
    } else {
        Err(Unready::Unread(unread))
    }
}

/// Stores what is only in hand, under the lease, as the executor will read it there.
async fn store_all(
    inner: &Inner,
    lease: &Lease,
    sources: Vec<Source>,
) -> Result<Vec<Operand>, Unready> {
    let held: Vec<Blob> = sources
        .iter()
        .filter_map(|source| match source {
            Source::Held(blob) => Some(blob.clone()),
            Source::Read(..) => None,
        })
        .collect();
    lease.extend(held.iter().map(Blob::addr));
    let way = inner.make_way(held.iter().map(Blob::addr)).await;
    way.map_err(Unready::Failed)?;
    let together = inner.gate.read().await;
    inner.blobs.put(&held).await.map_err(Unready::Failed)?;
    drop(together);
    let operand = |source| match source {
        Source::Held(blob) => Operand::Stored(Blob::stat(&blob)),
        Source::Read(_, stat) => Operand::Stored(stat),
    };
    Ok(sources.into_iter().map(operand).collect())
}
