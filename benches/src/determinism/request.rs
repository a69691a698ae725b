//! One request that is measured: a graph in a new store, computed cold, checked or not.

use std::time::Duration;

use deriva::prelude::*;
use deriva_testkit::Workload;

use crate::measure::{Sample, runtime, sample};

/// Steps of the heavy function: some two milliseconds.
const STEPS: u64 = 1_000_000;

/// What is computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Graph {
    /// LAYERED(1000, layers), of light functions of a few nanoseconds.
    Layered {
        /// Layers.
        layers: u64,
    },
    /// Heavy functions of two milliseconds that do not need each other.
    Apart {
        /// How many.
        count: u64,
    },
    /// The same, each on the output of the one before.
    Chain {
        /// How many.
        count: u64,
    },
    /// A chain of heavy functions that wait for two milliseconds, as for a core that is always idle.
    Waits {
        /// How many.
        count: u64,
    },
}

/// A request for a graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) graph: Graph,
    /// As the request says it; `None` where it says nothing.
    pub(super) mode: Option<Determinism>,
    pub(super) perturb: bool,
    pub(super) jobs: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) sample: Sample,
    /// Recipes that were computed, and those among them that were checked.
    pub(super) computed: u64,
    pub(super) checked: u64,
}

impl Graph {
    pub(super) fn len(self) -> u64 {
        match self {
            Self::Layered { layers } => layered(layers).len(),
            Self::Apart { count } | Self::Chain { count } | Self::Waits { count } => count,
        }
    }

    /// Loads the graph; answers with what is asked for.
    async fn load(self, deriva: &Deriva) -> Result<Vec<CAddr>> {
        let leaf = deriva.put("leaf").await?;
        let (recipes, function) = match self {
            Self::Layered { layers } => {
                let root = layered(layers)
                    .load(&**deriva.blobs(), &**deriva.dag())
                    .await?;
                return Ok(vec![root]);
            }
            Self::Apart { count } | Self::Chain { count } => (count, "bench.steps"),
            Self::Waits { count } => (count, "bench.wait"),
        };
        let (mut all, mut input) = (Vec::new(), leaf);
        for seed in 0..recipes as i64 {
            let recipe = deriva.recipe(function, "1").input(input);
            let addr = recipe.param("seed", seed).insert().await?;
            if !matches!(self, Self::Apart { .. }) {
                input = addr;
                all.clear();
            }
            all.push(addr);
        }
        Ok(all)
    }
}

impl Asked {
    /// A handle of a new store that holds the graph, and what is asked for.
    pub(super) async fn open(&self) -> Result<(Deriva, Vec<CAddr>)> {
        let builder = Deriva::builder().store("memory:").jobs(self.jobs);
        let builder = builder.function("bench.steps", "1", steps);
        let builder = builder.function("bench.wait", "1", wait);
        // The same sample each time.
        let deriva = builder.determinism_key([7; 32]).build().await?;
        let targets = self.graph.load(&deriva).await?;
        Ok((deriva, targets))
    }

    /// Asks, and checks that everything was computed.
    pub(super) async fn ask(&self, deriva: &Deriva, targets: &[CAddr]) -> Result<(u64, u64)> {
        let mut request = deriva.materialize_many(targets.iter().copied());
        if let Some(mode) = self.mode {
            request = request.determinism(mode).perturb(self.perturb);
        }
        let done = request.await?;
        if done.summary.computed != self.graph.len() {
            let what = "a cold request did not compute every node";
            return Err(Error::new(ErrorKind::Internal, what)
                .with("computed", done.summary.computed)
                .with("expected", self.graph.len()));
        }
        Ok((done.summary.computed, done.summary.checked))
    }

    /// Measures the request alone.
    pub(super) fn run(&self) -> Result<Answered> {
        let runtime = runtime(self.jobs)?;
        let (deriva, targets) = runtime.block_on(self.open())?;
        let ((computed, checked), sample) =
            sample(|| runtime.block_on(self.ask(&deriva, &targets)))?;
        Ok(Answered {
            sample,
            computed,
            checked,
        })
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "what waits leaves its core idle, as a bench of idle cores needs it"
)]
fn wait(inputs: &[Bytes], params: &Params) -> Result<Bytes> {
    std::thread::sleep(Duration::from_millis(2));
    let seed = params.int("seed")?.unwrap_or_default();
    let first = inputs.iter().flatten().take(4).copied();
    Ok(seed.to_le_bytes().into_iter().chain(first).collect())
}

fn layered(layers: u64) -> Workload {
    Workload::Layered {
        width: 1000,
        layers,
    }
}

fn steps(inputs: &[Bytes], params: &Params) -> Result<Bytes> {
    let seed = params.int("seed")?.unwrap_or_default() as u64;
    let taken = |at: u64, byte: &u8| at.rotate_left(8) ^ u64::from(*byte);
    let seed = inputs.iter().flatten().fold(seed, taken);
    let step = |at: u64, i: u64| (at ^ i).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
    let last = (0..STEPS).fold(seed, step);
    Ok(Bytes::copy_from_slice(&last.to_le_bytes()))
}
