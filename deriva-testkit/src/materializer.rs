//! A runtime as the cases see it, and how they come by one.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deriva_api::{
    Blob, BlobStat, Bytes, CAddr, Clock, ComputeFunction, OpenedStore, Recipe, Result,
};

/// What makes the bytes of addresses available: a runtime, with no more than what the cases ask of it.
///
/// Dropping one of these futures gives the call up; steps that run may end, and be recorded.
#[async_trait]
pub trait Materializer: Debug + Send + Sync + 'static {
    /// Stores blobs.
    async fn put(&self, blobs: &[Blob]) -> Result<()>;

    /// Stores recipes.
    async fn insert(&self, recipes: &[Recipe]) -> Result<()>;

    /// Makes the bytes of addresses available, and records what was computed.
    ///
    /// # Errors
    /// `NotFound` and `Unsupported` before any work where blobs and functions are missing: all of them are
    /// listed in the context `missing` and `unknown_functions`. Else the first failure, with its path; with
    /// [`Request::keep_going`] failures are among the results instead. `Timeout` after the deadline.
    async fn materialize(&self, request: Request) -> Result<Materialized>;

    /// The bytes of an address: read, or computed with all that they need.
    async fn get(&self, addr: CAddr) -> Result<Bytes>;

    /// Forgets the output of a recipe. A request that begins afterwards computes it again.
    ///
    /// # Errors
    /// `NotFound` where nothing is known of the address.
    async fn forget(&self, addr: CAddr) -> Result<()>;

    /// Keeps addresses, with all that they need, from collection until the answer is dropped. Nothing need
    /// be stored under them yet.
    async fn lease(&self, addrs: &[CAddr]) -> Result<Box<dyn Send + Sync>>;

    /// Takes away what no root and no lease needs: recipes, their outputs, and blobs.
    async fn collect(&self) -> Result<()>;

    /// How much is in use of what calls hold and give back in the end, each sort by its name: leases, flights,
    /// slots, bytes of a budget. Zero once all calls have ended, and what they left to be done is done. A materializer
    /// that counts nothing tells nothing, which is the default.
    fn in_use(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// What [`Materializer::materialize`] is asked for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Request {
    /// The addresses; one may be there several times.
    pub targets: Vec<CAddr>,
    /// Whether what does not depend on a failure is finished. Default: the first failure is the answer.
    pub keep_going: bool,
    /// Steps at once. Default: as many as [`Setup::jobs`] allows.
    pub jobs: Option<usize>,
    /// Whether outputs are looked for under the resolved address before anything is run. Default: no.
    pub cutoff: bool,
    /// Time after which the request is given up, by the clock of the setup. Default: none.
    pub deadline: Option<Duration>,
    /// The higher goes first. Default: 0.
    pub priority: i32,
}

impl Request {
    /// A request for these addresses.
    #[must_use]
    pub fn new(targets: &[CAddr]) -> Self {
        Self {
            targets: targets.to_vec(),
            ..Self::default()
        }
    }

    /// Sets [`Request::keep_going`].
    #[must_use]
    pub fn keep_going(mut self) -> Self {
        self.keep_going = true;
        self
    }

    /// Sets [`Request::jobs`].
    #[must_use]
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = Some(jobs);
        self
    }

    /// Sets [`Request::cutoff`].
    #[must_use]
    pub fn cutoff(mut self) -> Self {
        self.cutoff = true;
        self
    }

    /// Sets [`Request::deadline`].
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets [`Request::priority`].
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }
}

/// What came of a request.
#[derive(Clone, Debug, Default)]
pub struct Materialized {
    /// Address and length of the bytes of each target, in order.
    pub results: Vec<Result<BlobStat>>,
    /// Recipes that this request ran.
    pub computed: u64,
    /// Recipes whose recorded output was reused.
    pub reused: u64,
    /// Recipes whose output was found under the resolved address.
    pub cutoff: u64,
    /// Those of the computed whose blob had been lost.
    pub healed: u64,
    /// Recipes that failed.
    pub failed: u64,
    /// Recipes that were given up because one that they need failed.
    pub skipped: u64,
}

/// How a materializer is opened.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The functions that it knows.
    pub functions: Vec<Arc<dyn ComputeFunction>>,
    /// Heavy steps at once, whatever is asked for.
    pub jobs: usize,
    /// By which it measures time.
    pub clock: Arc<dyn Clock>,
}

/// Opens the materializer that a case works on. Each case gets a fixture of its own.
#[async_trait]
pub trait MaterializerFixture: Debug + Send + Sync {
    /// The stores for a case, empty; asked for once.
    async fn stores(&self) -> Result<OpenedStore>;

    /// A materializer over these stores, which may hold something already. Others may have been opened
    /// over them before, and may be at work. It is opened inside tokio, and may be asked from outside.
    async fn open(&self, stores: OpenedStore, setup: Setup) -> Result<Arc<dyn Materializer>>;
}

#[async_trait]
impl<F: MaterializerFixture + ?Sized> MaterializerFixture for Arc<F> {
    async fn stores(&self) -> Result<OpenedStore> {
        (**self).stores().await
    }

    async fn open(&self, stores: OpenedStore, setup: Setup) -> Result<Arc<dyn Materializer>> {
        (**self).open(stores, setup).await
    }
}
