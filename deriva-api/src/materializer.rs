//! The contract of materializers: what is asked of a runtime, wherever it is.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Audited, Blob, BlobStat, BuildAddrHasher, Bytes, CAddr, Cutoff, Determinism, Error, ErrorKind,
    Event, LedgerEntry, Observer, Recipe, Result, StoreResults, Summary,
};

/// Makes the bytes of addresses available: a runtime in this process, or a client of one elsewhere. Servers, clients and
/// bindings for other languages work against it and know no runtime.
///
/// # What implementers promise
/// - A call that answers without an error is acknowledged: what it stored, recorded or took away is so in the stores, as
///   durable as these are.
/// - Work is shared: of all requests at once that need a recipe one runs it, and each is answered; a failure is told to
///   all who wait, and is not remembered. A deadline, a priority, what is to be stored and who hears of it are those of
///   each request alone.
/// - What is missing is told before any work.
/// - What a request was asked for, and needs, is kept from collection until it is answered.
/// - A request that asks for checks is answered with no output of an execution that was checked less: it repeats what
///   others compute without them at that moment, and compares. What was found to differ is answered with no more, by
///   whomever and whenever it is asked for, until it is released.
/// - Dropping one of these futures gives the call up. No step begins for it any more; what it had recorded stays, and
///   every recorded output has its blob. Steps that others wait for go on.
/// - It works for callers in any runtime, and for any number of calls at once.
///
/// # What callers may assume
/// - Results come in the order of the targets, one for each.
/// - The bytes of a result are in [`Materialized::held`], or [`Materializer::get`] answers with them and nothing is
///   computed for that, as long as nobody takes them away. A [lease](Materializer::lease) that was got before keeps them from
///   collection.
/// - Asking again is safe: the same request finds what an earlier one recorded.
///
/// ```
/// use deriva_api::{CAddr, Materializer, Request, Result};
///
/// /// The lengths of what lies under some addresses, in whatever runtime that is.
/// async fn lengths(materializer: &dyn Materializer, addrs: &[CAddr]) -> Result<Vec<u64>> {
///     let done = materializer.materialize(Request::new(addrs)).await?;
///     done.results.into_iter().map(|result| Ok(result?.len)).collect()
/// }
/// # let _ = lengths;
/// ```
#[async_trait]
pub trait Materializer: Debug + Send + Sync + 'static {
    /// Stores blobs, all or, where it fails, some of them.
    ///
    /// # Errors
    /// What the store says.
    async fn put(&self, blobs: &[Blob]) -> Result<()>;

    /// Stores recipes, all or none of them. Their inputs may come later.
    ///
    /// # Errors
    /// `Invalid` for a recipe that its function refuses, and what the store says.
    async fn insert(&self, recipes: &[Recipe]) -> Result<()>;

    /// Makes the bytes of addresses available, and records what was computed.
    ///
    /// # Errors
    /// `NotFound` and `Unsupported` before any work where blobs and functions are missing: all of them are
    /// listed in the context `missing` and `unknown_functions`. `Invalid` for a request that is none, such as one for no
    /// steps at once. Else the first failure, with its path; with [`Request::keep_going`] failures are among the results
    /// instead. `Timeout` after the deadline.
    async fn materialize(&self, request: Request) -> Result<Materialized>;

    /// The bytes of an address: read, or computed with all that they need.
    ///
    /// # Errors
    /// As [`Materializer::materialize`].
    async fn get(&self, addr: CAddr) -> Result<Bytes>;

    /// Forgets the output of a recipe. A request that begins afterwards computes it again.
    ///
    /// # Errors
    /// `NotFound` where nothing is known of the address.
    async fn forget(&self, addr: CAddr) -> Result<()>;

    /// What is known of recipes whose runs gave different outputs, released entries too. No output of one that was not
    /// released is ever answered with, but the one that a quorum accepted.
    ///
    /// # Errors
    /// What the store says.
    async fn ledger(&self) -> Result<Vec<LedgerEntry>>;

    /// Lets a recipe be computed and served again whose runs gave different outputs.
    ///
    /// # Errors
    /// `NotFound` where the ledger has no entry of it that was not released.
    async fn release(&self, recipe: CAddr) -> Result<()>;

    /// Computes again what is recorded of an address and of all that it needs, and compares. What is contradicted is
    /// entered into the ledger, and forgotten with all that was made from it.
    ///
    /// # Errors
    /// `Invalid` where it is the address of a blob, `NotFound` where nothing is known of it.
    async fn audit(&self, addr: CAddr) -> Result<Audited>;

    /// Keeps addresses, with all that they need, from collection until the answer is dropped. Nothing need
    /// be stored under them yet.
    ///
    /// # Errors
    /// What a connection says, where there is one.
    async fn lease(&self, addrs: &[CAddr]) -> Result<Box<dyn Send + Sync>>;

    /// Takes away what no root and no lease needs: recipes, their outputs, and blobs.
    ///
    /// # Errors
    /// What the stores say.
    async fn collect(&self) -> Result<()>;

    /// How much is in use of what calls hold and give back in the end, each sort by its name: leases, flights,
    /// slots, bytes of a budget. Zero once all calls have ended, and what they left to be done is done. A materializer
    /// that counts nothing tells nothing, which is the default.
    fn in_use(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// What [`Materializer::materialize`] is asked for: addresses, and how. What a request does not say is as the
/// materializer was set up.
///
/// ```
/// use std::time::Duration;
///
/// use deriva_api::{Blob, Cutoff, Request, StoreResults};
///
/// let addr = Blob::new("hello").addr();
/// let request = Request::new([addr])
///     .deadline(Duration::from_secs(5))
///     .store_results(StoreResults::None)
///     .cutoff(Cutoff::Never)
///     .progress(|event| eprintln!("{event:?}"))
///     .keep_going();
/// assert_eq!(request.targets, [addr]);
/// assert_eq!((request.priority, request.jobs, request.observers.len()), (0, None, 1));
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Request {
    /// The addresses; one may be there several times.
    pub targets: Vec<CAddr>,
    /// Whether what does not depend on a failure is finished. Default: the first failure is the answer.
    pub keep_going: bool,
    /// Heavy steps at once, 1 or more; others are `Invalid`. Default: as many as the materializer allows.
    pub jobs: Option<usize>,
    /// Time after which the request is given up, from the call on, by the materializer's clock. Default: none.
    pub deadline: Option<Duration>,
    /// Who goes first where requests compete: the higher. Default: 0.
    pub priority: i32,
    /// Which results are stored. [`StoreResults::None`] stores none; of the others those that ask for less than all
    /// save room, and a materializer may store more. Default: as the materializer was set up.
    pub store_results: Option<StoreResults>,
    /// When outputs are looked for under the resolved address before anything is run. Default: as the materializer was
    /// set up.
    pub cutoff: Option<Cutoff>,
    /// Which of the computations of this request are checked, and how. It may raise what the materializer was set up to
    /// check, and lower it only where that allows it. Default: as the materializer was set up.
    pub determinism: Option<Determinism>,
    /// The same for some recipes, which are checked as the stricter of the two says. Default: none.
    pub determinism_at: HashMap<CAddr, Determinism, BuildAddrHasher>,
    /// Whether the runs of a checked computation go on under other conditions than the first, which a deterministic
    /// function does not notice. Default: as the materializer was set up.
    pub perturb: Option<bool>,
    /// What the caller calls this request: 1 to 128 visible characters of ASCII; others are `Invalid`. It stands in what is
    /// logged of the request, and in its errors as the context `request`. Default: none.
    pub request_id: Option<Arc<str>>,
    /// Who hears the events of this request, one after the other, and nothing any more once it is answered: of each
    /// observer [`Observer::event`] is called, in this order, where it [wants](Observer::wants_events) them. Default: nobody.
    pub observers: Vec<Arc<dyn Observer>>,
}

impl Request {
    /// The longest [`Request::request_id`], in characters.
    pub const MAX_ID: usize = 128;

    /// A request for these addresses.
    #[must_use]
    pub fn new(targets: impl Into<Vec<CAddr>>) -> Self {
        Self {
            targets: targets.into(),
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

    /// Sets [`Request::store_results`].
    #[must_use]
    pub fn store_results(mut self, store_results: StoreResults) -> Self {
        self.store_results = Some(store_results);
        self
    }

    /// Sets [`Request::cutoff`].
    #[must_use]
    pub fn cutoff(mut self, cutoff: Cutoff) -> Self {
        self.cutoff = Some(cutoff);
        self
    }

    /// Sets [`Request::determinism`].
    #[must_use]
    pub fn determinism(mut self, determinism: Determinism) -> Self {
        self.determinism = Some(determinism);
        self
    }

    /// Adds to [`Request::determinism_at`]: of several modes for one recipe, the last counts.
    #[must_use]
    pub fn determinism_at(
        mut self,
        recipes: impl IntoIterator<Item = CAddr>,
        determinism: Determinism,
    ) -> Self {
        let recipes = recipes.into_iter().map(|recipe| (recipe, determinism));
        self.determinism_at.extend(recipes);
        self
    }

    /// Sets [`Request::perturb`].
    #[must_use]
    pub fn perturb(mut self, perturb: bool) -> Self {
        self.perturb = Some(perturb);
        self
    }

    /// Whether a request may be called so, for implementers of [`Materializer::materialize`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] unless it is 1 to [`Request::MAX_ID`] visible characters of ASCII.
    pub fn check_id(id: &str) -> Result<()> {
        let is_long = (1..=Self::MAX_ID).contains(&id.len());
        if is_long && id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(());
        }
        let what = "a request id of 1 to 128 visible characters of ASCII was expected";
        let error = Error::new(ErrorKind::Invalid, what).with("bytes", id.len());
        Err(error.hint("for example the id of a trace, or of a job"))
    }

    /// Sets [`Request::request_id`].
    #[must_use]
    pub fn request_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// Adds a handler of events to [`Request::observers`].
    #[must_use]
    pub fn progress(mut self, handler: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observers.push(Arc::new(handler));
        self
    }
}

impl Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("targets", &self.targets)
            .field("keep_going", &self.keep_going)
            .field("jobs", &self.jobs)
            .field("deadline", &self.deadline)
            .field("priority", &self.priority)
            .field("store_results", &self.store_results)
            .field("cutoff", &self.cutoff)
            .field("determinism", &self.determinism)
            .field("determinism_at", &self.determinism_at.len())
            .field("perturb", &self.perturb)
            .field("request_id", &self.request_id)
            .field("observers", &self.observers.len())
            .finish()
    }
}

/// What came of a request.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Materialized {
    /// Address and length of the bytes of each target, in order. With [`Request::keep_going`] a failed one is an error
    /// here.
    pub results: Vec<Result<BlobStat>>,
    /// What was done.
    pub summary: Summary,
    /// The bytes of each target that were in hand at the end, in order, as long as this lives: of those that no store
    /// has always, of others as it happens.
    pub held: Vec<Option<Blob>>,
    /// Those targets whose bytes are doubted: they, or something that they were made from, differ from run to run.
    pub doubted: Vec<CAddr>,
}

impl Materialized {
    /// What came of a request: a result for each target, with its bytes where they are in hand.
    #[must_use]
    pub fn new(results: Vec<Result<BlobStat>>, held: Vec<Option<Blob>>, summary: Summary) -> Self {
        Self {
            results,
            summary,
            held,
            doubted: Vec::new(),
        }
    }
}
