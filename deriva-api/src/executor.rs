//! The contract of executors.

use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Blob, BlobStat, CAddr, CallContext, FunctionId, Recipe, Result};

/// Runs one ready step, somewhere: in place, on a pool of threads, on another machine.
///
/// # What implementers promise
/// - `execute` returns what the function returned for these inputs and params, or an error whose kind
///   says whether trying again is worthwhile. A panic in the function is an error of kind
///   [`crate::ErrorKind::Function`], never a crash.
/// - Dropping the returned future gives the step up. One that still waits for its turn is not run; one that runs may
///   run to its end, unseen, where the function does not look at the step's context.
/// - A step that has no time left is `Timeout`, and is not run. While a function runs, who executes it may end the
///   step at its deadline, and the function may look at the context.
/// - Any number of calls at once is accepted; beyond `width` they wait.
/// - `supports`, `operands` and `width` answer the same every time, whatever ran or failed.
///
/// # What callers may assume
/// - The scheduler keeps at most `width` steps in flight and gives operands in the wanted form.
///
/// What goes around an executor is an [`ExecutorLayer`](crate::ExecutorLayer).
#[async_trait]
pub trait Executor: Debug + Display + Send + Sync + 'static {
    /// Whether this executor can run the function. It is asked for each function before any work, also for those that
    /// are registered nowhere: what it has of its own needs no registration.
    fn supports(&self, function: &FunctionId) -> bool;

    /// In what form it wants its inputs.
    fn operands(&self) -> Operands;

    /// How many steps are worth keeping in flight; at least 1.
    fn width(&self) -> usize;

    /// Runs a step.
    async fn execute(&self, step: Step) -> Result<Executed>;
}

/// The form in which an executor wants its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// Bytes in hand.
    Held,
    /// Blobs in the blob store that the executor was built with.
    Stored,
}

/// An input or an output of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The bytes.
    Held(Blob),
    /// A blob that is durable in the blob store that the executor was built with.
    Stored(BlobStat),
}

impl Operand {
    /// Address and length of the bytes.
    #[must_use]
    pub fn stat(&self) -> BlobStat {
        match self {
            Self::Held(blob) => blob.stat(),
            Self::Stored(stat) => *stat,
        }
    }
}

/// A recipe whose inputs are all there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// The address that is being materialized.
    pub addr: CAddr,
    /// Function and params.
    pub recipe: Arc<Recipe>,
    /// The inputs, in the recipe's order.
    pub inputs: Vec<Operand>,
    /// Take no cached result: the function is to run, for this step alone. A determinism check compares what comes out;
    /// and where a lost output is computed again, what an executor remembers may point at what was lost.
    pub fresh: bool,
    /// Run under other conditions than usual; an executor that has no others may pass over it. Asked for in determinism
    /// checks alone.
    pub perturb: Option<Perturb>,
    /// Give up after this time, counted from the call of [`Executor::execute`]. The context ends then, too.
    pub deadline: Option<Duration>,
    /// What the function may ask and tell while it runs. The scheduler gives the call up when the future of
    /// [`Executor::execute`] is dropped or has ended.
    pub context: CallContext,
}

/// Other conditions for a run, where an executor can bring them about and a deterministic function does not notice them:
/// another thread, another depth of the stack, another history of allocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Perturb {
    /// Tells one such run from another.
    pub seed: u64,
    /// Time that passes before it begins, by the clocks that functions may read.
    pub pause: Duration,
}

impl Perturb {
    /// The conditions of this seed, without a pause.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            pause: Duration::ZERO,
        }
    }

    /// Sets [`Perturb::pause`].
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }
}

impl Step {
    /// A step of a recipe over its inputs, in the recipe's order. It may take a cached result, has all the time that
    /// it needs, and is given up by nobody: other wishes are set in its fields.
    #[must_use]
    pub fn new(recipe: impl Into<Arc<Recipe>>, inputs: Vec<Operand>) -> Self {
        let recipe = recipe.into();
        Self {
            addr: recipe.addr(),
            recipe,
            inputs,
            fresh: false,
            perturb: None,
            deadline: None,
            context: CallContext::default(),
        }
    }
}

/// What came of a step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Executed {
    /// The output.
    pub output: Operand,
    /// How long the function ran.
    pub cost: Duration,
    /// Whether a result that was there already was taken, so that the function did not run for this step. Never for
    /// one that is [fresh](Step::fresh).
    pub reused: bool,
}

impl Executed {
    /// The output of a function that ran for so long.
    #[must_use]
    pub fn new(output: Operand, cost: Duration) -> Self {
        Self {
            output,
            cost,
            reused: false,
        }
    }

    /// The same, as a result that was there already: `cost` is what it once took.
    #[must_use]
    pub fn reused(mut self) -> Self {
        self.reused = true;
        self
    }
}
