//! Putting a [`Deriva`] together.

use std::any::Any;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    BlobLayer, BlobStore, Bytes, Clock, ComputeFunction, DagLayer, DagStore, Determinism, Error,
    ErrorKind, Executor, ExecutorLayer, FunctionId, FunctionRegistry, Layers, Observer,
    OnViolation, OpenedStore, Params, Result, StoreRegistry, StoreUri, SystemClock, Weight,
    nearest,
};

use crate::cache::BlobCache;
use crate::determinism::violated;
use crate::execute::PoolExecutor;
use crate::handle::instrument::Instrument;
use crate::handle::seen::{Around, Begun, Wrap, layered, seen};
use crate::shared::Deriva;
use crate::shared::Inner;
use crate::shared::able::{Able, able_by_id};
use crate::shared::costs::Costs;
use crate::shared::gate::Gate;
use crate::shared::memory::{Memory, default_limit};
use crate::shared::observers::Watcher;
use crate::shared::open_stores::{OpenStore, View};
use crate::shared::policy::{Cutoff, FunctionPolicy, Policies, StoreResults};
use crate::shared::settings::{MAX_JOBS, in_range};
use crate::shared::slots::Slots;
use crate::shared::tallies::Tallies;

/// Where a store comes from: a URI to open, or a ready-made object.
#[derive(Debug)]
pub enum StoreSource<S: ?Sized> {
    /// A URI, opened through the builder's registry.
    Uri(String),
    /// A store that is open already.
    Object(Arc<S>),
}

impl<S: ?Sized> From<&str> for StoreSource<S> {
    fn from(uri: &str) -> Self {
        Self::Uri(uri.to_owned())
    }
}

impl<S: ?Sized> From<String> for StoreSource<S> {
    fn from(uri: String) -> Self {
        Self::Uri(uri)
    }
}

impl<S: ?Sized> From<Arc<S>> for StoreSource<S> {
    fn from(store: Arc<S>) -> Self {
        Self::Object(store)
    }
}

/// Builds a [`Deriva`]. One [`DerivaBuilder::store`] is enough; everything else has a default.
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `build` is awaited"]
pub struct DerivaBuilder {
    registry: StoreRegistry,
    store: Option<String>,
    blobs: Option<StoreSource<dyn BlobStore>>,
    dag: Option<StoreSource<dyn DagStore>>,
    layers: Layers,
    functions: FunctionRegistry,
    /// Those registered one by one.
    own: FunctionRegistry,
    executor: Option<Arc<dyn Executor>>,
    clock: Option<Arc<dyn Clock>>,
    jobs: Option<usize>,
    slow_after: Option<Duration>,
    cache_bytes: Option<u64>,
    memory: Option<u64>,
    policies: Policies,
    keeps_evidence: bool,
    sampling_key: Option<[u8; 32]>,
    repeats: Option<Arc<dyn Executor>>,
    no_perturbation: bool,
    observer: Watcher,
    instrument: Option<Instrumented>,
    around: Vec<Wrap>,
    /// The first mistake made while building, told when it is done.
    mistake: Option<Error>,
}

impl DerivaBuilder {
    /// Bytes of blobs that the memory cache holds unless told otherwise.
    pub const DEFAULT_CACHE_BYTES: u64 = 64 << 20;
    /// How long a function may take unless told otherwise before a line of the log says that it is slow.
    pub const DEFAULT_SLOW_AFTER: Duration = Duration::from_secs(60);
    /// The most jobs of a builder or a request, 1024: each may take a thread.
    pub const MAX_JOBS: usize = MAX_JOBS;

    /// A builder that knows no store scheme and no function. `deriva::builder()` knows all that
    /// come with deriva.
    pub fn new() -> Self {
        Self::default()
    }

    /// The store schemes that URIs may use. Default: none here, all in the facade crate.
    pub fn stores(mut self, registry: StoreRegistry) -> Self {
        self.registry = registry;
        self
    }

    /// One store for blobs and graph, by URI: `sled:./data`, `memory:`, or several put together,
    /// `split(blobs=files:./media, dag=redb:./graph)`.
    pub fn store(mut self, uri: &str) -> Self {
        self.store = Some(uri.to_owned());
        self
    }

    /// The store for blobs alone: a URI or an object. Default: that of [`DerivaBuilder::store`].
    pub fn blobs(mut self, blobs: impl Into<StoreSource<dyn BlobStore>>) -> Self {
        self.blobs = Some(blobs.into());
        self
    }

    /// The store for the graph alone: a URI or an object. Default: that of [`DerivaBuilder::store`].
    pub fn dag(mut self, dag: impl Into<StoreSource<dyn DagStore>>) -> Self {
        self.dag = Some(dag.into());
        self
    }

    /// Wraps both stores in a layer; see [`Layers`]. The first one added is the outermost.
    pub fn layer(mut self, layer: impl BlobLayer + DagLayer + 'static) -> Self {
        self.layers = self.layers.layer(layer);
        self
    }

    /// Wraps the blob store alone in a layer, inside those added before.
    pub fn blob_layer(mut self, layer: impl BlobLayer + 'static) -> Self {
        self.layers = self.layers.blob_layer(layer);
        self
    }

    /// Wraps the DAG store alone in a layer, inside those added before.
    pub fn dag_layer(mut self, layer: impl DagLayer + 'static) -> Self {
        self.layers = self.layers.dag_layer(layer);
        self
    }

    /// The functions to begin with, instead of those of an earlier call or of `deriva::builder()`. Those registered
    /// one by one, before or after, are added to them.
    pub fn functions(mut self, functions: FunctionRegistry) -> Self {
        self.functions = functions;
        self
    }

    /// Registers a closure as a heavy function: it runs on the compute pool.
    pub fn function<F>(self, name: &str, version: &str, closure: F) -> Self
    where
        F: Fn(&[Bytes], &Params) -> Result<Bytes> + Send + Sync + 'static,
    {
        self.register(|functions| functions.register_fn(name, version, Weight::Heavy, closure))
    }

    /// Registers a closure as a light function, of microseconds: the scheduler runs many at a time,
    /// itself, or on other threads too where one takes a microsecond or more.
    pub fn light_function<F>(self, name: &str, version: &str, closure: F) -> Self
    where
        F: Fn(&[Bytes], &Params) -> Result<Bytes> + Send + Sync + 'static,
    {
        self.register(|functions| functions.register_fn(name, version, Weight::Light, closure))
    }

    /// Registers a function that is a type of its own.
    pub fn compute(self, function: impl ComputeFunction) -> Self {
        self.register(|functions| functions.register(Arc::new(function)))
    }

    /// Where heavy functions run. Default: [`PoolExecutor`] with [`DerivaBuilder::jobs`] threads.
    ///
    /// Recipes may apply every function that it [supports](Executor::supports), registered or not; a heavy one that is
    /// registered and that it does not support is refused before any work. Light functions that it lacks are run
    /// by the scheduler, however large their inputs are.
    pub fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Wraps the executor, the default pool included, in a layer; see [`ExecutorLayer`]. The first one added is the
    /// outermost. Steps of light functions that the scheduler runs itself pass no executor, and so no layer.
    pub fn executor_layer(mut self, layer: impl ExecutorLayer + 'static) -> Self {
        self.layers = self.layers.executor_layer(layer);
        self
    }

    /// Heavy steps at once, and threads of the default pool: 1 to [`DerivaBuilder::MAX_JOBS`]. Default: the
    /// number of cores.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = Some(jobs);
        self
    }

    /// Bytes that may be held in memory for values in flight, results that wait to be written, plans
    /// and the memory cache, which yields to the others. Default: a quarter of what the machine has or
    /// the process's control group allows. Where it is short, values are written and read again, and
    /// large graphs are materialized in stages. Any number will do: with 0 nothing is held longer than it is
    /// needed, and every result is written by itself.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Which results are written to the store. Default: all; none where a store may only be read, whatever is
    /// said here.
    pub fn store_results(mut self, results: StoreResults) -> Self {
        self.policies.results = results;
        self
    }

    /// Which results of a function are written to the store. Default: as for all functions.
    pub fn store_results_of(self, name: &str, version: &str, results: StoreResults) -> Self {
        self.policy_of(name, version, |policy| policy.results = Some(results))
    }

    /// When the same work is looked for under another name. Default: [`Cutoff::Auto`].
    pub fn cutoff(mut self, cutoff: Cutoff) -> Self {
        self.policies.cutoff = cutoff;
        self
    }

    /// The same for the recipes of a function. Default: as for all functions.
    pub fn cutoff_of(self, name: &str, version: &str, cutoff: Cutoff) -> Self {
        self.policy_of(name, version, |policy| policy.cutoff = Some(cutoff))
    }

    /// Which computations are checked, by running them again, and how. Requests may ask for more. Default:
    /// [`Determinism::Off`].
    pub fn determinism(mut self, determinism: Determinism) -> Self {
        self.policies.determinism = self.checked_mode(determinism);
        self
    }

    /// The same for the recipes of a function, more or less than for all functions. Default: as for all functions.
    pub fn determinism_of(mut self, name: &str, version: &str, determinism: Determinism) -> Self {
        let determinism = self.checked_mode(determinism);
        self.policy_of(name, version, |policy| {
            policy.determinism = Some(determinism)
        })
    }

    /// Lets requests ask for less than the builder does, too. Default: what the builder asks for is the least.
    pub fn requests_may_lower_determinism(mut self) -> Self {
        self.policies.requests_may_lower = true;
        self
    }

    /// What decides which computations belong to a sample: all who have the same key choose the same. Who writes functions
    /// should not know it. Default: a random one for each handle.
    pub fn determinism_key(mut self, key: [u8; 32]) -> Self {
        self.sampling_key = Some(key);
        self
    }

    /// Where the runs of a checked computation after the first go, for heavy functions that this executor
    /// [supports](Executor::supports): elsewhere there may be another environment, another machine, another build. Default:
    /// where the first goes.
    pub fn determinism_executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.repeats = Some(executor);
        self
    }

    /// Whether the runs of a checked computation after the first go on under other conditions, which a deterministic
    /// function does not notice: one after the other, each in another thread, at another depth of the stack, with its
    /// inputs at other places in memory. Without, they run at the same time. Default: yes.
    pub fn perturb(mut self, perturb: bool) -> Self {
        self.no_perturbation = !perturb;
        self
    }

    /// What becomes of a request for a recipe whose runs differ. Default: [`OnViolation::Fail`].
    pub fn on_violation(mut self, on_violation: OnViolation) -> Self {
        self.policies.on_violation = on_violation;
        self
    }

    /// The same for the recipes of a function. Default: as for all functions.
    pub fn on_violation_of(self, name: &str, version: &str, on_violation: OnViolation) -> Self {
        self.policy_of(name, version, |policy| {
            policy.on_violation = Some(on_violation)
        })
    }

    /// Keeps the first two outputs of a recipe whose runs differ, as blobs that the ledger holds. Default: what is in the
    /// ledger are addresses, lengths and the place where they differ.
    pub fn keep_evidence(mut self) -> Self {
        self.keeps_evidence = true;
        self
    }

    /// Refuses to compute recipes of a function of which the ledger has N entries that were not released: 1 or more, else
    /// the builder is `Invalid`. Default: only those recipes are refused.
    pub fn quarantine_after(mut self, violations: u64) -> Self {
        if let Err(error) = in_range("quarantine_after", violations, 1..=u64::MAX) {
            self.mistake.get_or_insert(error.during("build"));
        }
        self.policies.quarantine_after = Some(violations);
        self
    }

    /// Bytes that the memory cache may hold: any number, of which no more than [`DerivaBuilder::memory`] counts.
    /// Default: 64 MiB; 0 turns it off.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = Some(bytes);
        self
    }

    /// How long a run of a function may take before a line of the log, a warning, says that it is slow: any time. Default:
    /// a minute.
    pub fn slow_after(mut self, time: Duration) -> Self {
        self.slow_after = Some(time);
        self
    }

    /// Where time comes from. Default: the system's monotonic clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Who is told what is done through this handle: one more. Default: nobody, and then nothing is made to be told.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer.add(observer);
        self
    }

    /// What sees the instance from within: hears what it does, stands around its stores, reads what it holds. Default:
    /// nothing here, metrics in the facade crate. A builder has one: the last counts.
    pub fn instrument<T: Instrument>(mut self, instrument: Arc<T>) -> Self {
        self.instrument = Some(Instrumented {
            known: Arc::clone(&instrument) as Arc<dyn Any + Send + Sync>,
            instrument,
        });
        self
    }

    /// Leaves the [instrument](DerivaBuilder::instrument) out.
    pub fn without_instrument(mut self) -> Self {
        self.instrument = None;
        self
    }

    /// What stands around each store that is opened, and around what a stack makes of those: one more, outside of those
    /// before it and inside of the [instrument](DerivaBuilder::instrument). `wrap` is given the place of each, as
    /// [`Instrument::wrap`] is, and answers with a store that keeps the whole contract. Default: nothing here, spans in the
    /// facade crate.
    pub fn around_each_store(
        mut self,
        wrap: impl Fn(&str, OpenedStore) -> OpenedStore + Send + Sync + 'static,
    ) -> Self {
        self.around.push(Wrap(Box::new(wrap)));
        self
    }

    /// Opens the stores and starts the compute pool.
    ///
    /// Requests run as tasks of the tokio runtime in which this is awaited, wherever they are asked for. A
    /// runtime of many threads drives itself. One of the flavour `current_thread` works only while somebody
    /// blocks on it: a request that is asked for from elsewhere meanwhile is answered by nobody. Await
    /// requests inside its `block_on`, as `#[tokio::main]` and `#[tokio::test]` do, or give it a thread that
    /// drives it:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use deriva_api::{BlobStore, DagStore};
    /// # use deriva_runtime::DerivaBuilder;
    /// # let store = deriva_testkit::ModelStore::new();
    /// # let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) = (Arc::new(store.clone()), Arc::new(store));
    /// # let builder = DerivaBuilder::new().blobs(blobs).dag(dag);
    /// # let builder = builder.function("shout", "1", |inputs, _| Ok(inputs[0].to_ascii_uppercase().into()));
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// let deriva = runtime.block_on(builder.build())?;
    /// std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    ///
    /// // From here on any executor will do.
    /// let shouted = futures::executor::block_on(async {
    ///     let leaf = deriva.put("hello").await?;
    ///     let recipe = deriva.recipe("shout", "1").input(leaf).insert().await?;
    ///     deriva.get(recipe).await
    /// })?;
    /// assert_eq!(shouted, "HELLO");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A runtime that is shut down takes the requests with it: they end with `Cancelled`.
    ///
    /// # Errors
    /// `Conflict` for a function registered twice, `Invalid` for a bad URI, a number out of its range, a store
    /// that is missing, or a call outside a tokio runtime, and what the stores say.
    pub async fn build(self) -> Result<Deriva> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let jobs = self.jobs.unwrap_or_else(|| cores().min(Self::MAX_JOBS));
        in_range("jobs", jobs, 1..=Self::MAX_JOBS).map_err(|error| error.during("build"))?;
        let tokio = tokio::runtime::Handle::try_current().map_err(|source| {
            Error::new(ErrorKind::Invalid, "deriva runs inside a tokio runtime")
                .during("build")
                .caused_by(source)
        })?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let instrument = self.instrument.as_ref().map(|it| &*it.instrument);
        if let Some(instrument) = instrument {
            let begun = instrument.begin(Arc::clone(&clock));
            begun.map_err(|error| error.during("build"))?;
        }
        let begun = Begun::new(self.instrument.as_ref().map(|it| &it.instrument));
        let around = Around {
            wraps: &self.around,
            instrument,
        };
        let open = async |uri: &str| {
            let uri = uri.parse::<StoreUri>()?;
            let wrap = |place: &str, store| around.wrap(place, store);
            self.registry.open_wrapped(&uri, &wrap).await
        };
        let both = match &self.store {
            Some(uri) => open(uri).await?,
            None => OpenedStore {
                blobs: None,
                dag: None,
            },
        };
        // As they are known to other handles, and with the instrument around them.
        let (bare_blobs, blobs) = match self.blobs {
            Some(StoreSource::Object(store)) => {
                let seen = seen(&around, OpenedStore::of_blobs(&store));
                (Some(store), seen.blobs)
            }
            Some(StoreSource::Uri(uri)) => twice(open(&uri).await?.blobs),
            None => twice(both.blobs),
        };
        let (bare_dag, dag) = match self.dag {
            Some(StoreSource::Object(store)) => {
                let seen = seen(&around, OpenedStore::of_dag(&store));
                (Some(store), seen.dag)
            }
            Some(StoreSource::Uri(uri)) => twice(open(&uri).await?.dag),
            None => twice(both.dag),
        };
        let inside = OpenedStore { blobs, dag };
        let OpenedStore { blobs, dag } = layered(&around, &self.layers, inside);
        let mut functions = self.functions;
        for function in self.own.iter() {
            let added = functions.register(Arc::clone(function));
            added.map_err(|error| error.during("build"))?;
        }
        let functions = Arc::new(functions);
        let executor: Arc<dyn Executor> = match self.executor {
            Some(executor) => executor,
            None => Arc::new(PoolExecutor::new(
                Arc::clone(&functions),
                Arc::clone(&clock),
                jobs,
            )?),
        };
        let executor = ExecutorLayer::wrap(&self.layers, executor);
        let no_blobs = || missing("blob", ".store(\"sled:./data\") or .blobs(..)");
        let (bare_blobs, blobs) = bare_blobs.zip(blobs).ok_or_else(no_blobs)?;
        let no_dag = || missing("DAG", ".store(\"sled:./data\") or .dag(..)");
        let (bare_dag, dag) = bare_dag.zip(dag).ok_or_else(no_dag)?;
        let memory = self.memory.unwrap_or_else(default_limit);
        let cache_bytes = self.cache_bytes.unwrap_or(Self::DEFAULT_CACHE_BYTES);
        let cache = Arc::new(BlobCache::new(cache_bytes.min(memory)));
        let mut policies = self.policies;
        for function in policies.of_functions.keys() {
            if let Able::Unknown(id) = able_by_id(&functions, &*executor, function) {
                return Err(unregistered(&id, &functions));
            }
        }
        policies.perturb = !self.no_perturbation;
        policies.sampling_key = match self.sampling_key {
            Some(key) => key,
            None => random_key()?,
        };
        if !(blobs.capabilities().writable && dag.capabilities().writable) {
            policies.keep_nothing();
        }
        let graph = OpenStore::of_graph(&bare_dag);
        let contents = OpenStore::of_blobs(&bare_blobs);
        let view = View::new(&cache, &blobs, &dag, &contents);
        graph.enter(&contents, view);
        let mut watcher = self.observer;
        if let Some(instrument) = begun.instrument() {
            watcher.add(instrument);
        }
        let deriva = Deriva::new(Inner {
            costs: Costs::new(dag.capabilities().durability),
            slots: Arc::new(Slots::new(executor.width())),
            memory: Memory::new(memory, Arc::clone(&cache)),
            cache,
            policies,
            blobs,
            dag,
            functions,
            executor,
            clock,
            tokio,
            flights: Arc::clone(&graph.flights),
            nested: Arc::clone(&graph.nested),
            gate: Gate::new(&graph, &contents),
            leases: graph.leases.clone(),
            unreachable_since: Arc::default(),
            invalidations: Arc::clone(&graph.invalidations),
            ledger: Arc::clone(&graph.ledger),
            statistics: Arc::clone(&graph.statistics),
            keeps_evidence: self.keeps_evidence,
            repeats: self.repeats,
            graph,
            contents,
            tallies: Tallies::default(),
            watcher,
            instrument: self.instrument.map(|instrument| instrument.known),
            jobs,
            slow_after: self.slow_after.unwrap_or(Self::DEFAULT_SLOW_AFTER),
        });
        // Before anything is served.
        violated::open(&deriva.inner)
            .await
            .map_err(|error| error.during("build"))?;
        begun.built(&deriva);
        Ok(deriva)
    }

    fn checked_mode(&mut self, mode: Determinism) -> Determinism {
        if let Err(error) = mode.check() {
            self.mistake.get_or_insert(error.during("build"));
        }
        mode
    }

    fn policy_of(
        mut self,
        name: &str,
        version: &str,
        set: impl FnOnce(&mut FunctionPolicy),
    ) -> Self {
        match FunctionId::new(name, version) {
            Ok(function) => set(self.policies.of_functions.entry(function).or_default()),
            Err(mistake) => drop(self.mistake.get_or_insert(mistake)),
        }
        self
    }

    fn register(mut self, register: impl FnOnce(&mut FunctionRegistry) -> Result<()>) -> Self {
        if let Err(mistake) = register(&mut self.own) {
            self.mistake.get_or_insert(mistake);
        }
        self
    }
}

/// An instrument, and the same as who gave it knows it.
#[derive(Debug)]
struct Instrumented {
    instrument: Arc<dyn Instrument>,
    known: Arc<dyn Any + Send + Sync>,
}

fn twice<S: ?Sized>(store: Option<Arc<S>>) -> (Option<Arc<S>>, Option<Arc<S>>) {
    (store.clone(), store)
}

fn random_key() -> Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|source| {
        Error::new(ErrorKind::Unavailable, "the system gives no random numbers")
            .caused_by(source)
            .hint("give the builder a `determinism_key`")
    })?;
    Ok(key)
}

fn unregistered(function: &FunctionId, functions: &FunctionRegistry) -> Error {
    let known: Vec<String> = functions
        .iter()
        .map(|known| known.id().to_string())
        .collect();
    let error = Error::new(
        ErrorKind::Invalid,
        "something is set for a function that is not registered",
    )
    .during("build")
    .with("function", function);
    match nearest(&function.to_string(), known.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("register it with the builder, or give an executor that has it"),
    }
}

fn missing(what: &'static str, call: &'static str) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "no store was given, or the one that was given keeps something else",
    )
    .during("build")
    .with("missing", what)
    .hint(format!("give the builder {call}"))
}
