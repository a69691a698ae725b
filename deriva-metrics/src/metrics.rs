//! The metrics of one instance.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use deriva_api::{
    Audited, BlobLayer, Clock, Collected, DagLayer, Error, ErrorKind, Invalidated, Observer,
    OpenedStore, Planned, Result, Scrubbed, Summary, SystemClock, Violation, Work,
};
use deriva_runtime::{Deriva, Instance, Instrument, Snapshot, Status};
use parking_lot::Mutex;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

use crate::collector::Reader;
use crate::counts::Counts;
use crate::served::{Served, ServedCounts};
use crate::sheet::Sheet;
use crate::stores::{MetricsLayer, StoreCounts};
use crate::told::Claimed;

/// The metrics of one [`Deriva`], in a registry. Clones are one.
///
/// ```
/// # use std::sync::Arc;
/// # use deriva_api::{BlobStore, DagStore};
/// # use deriva_metrics::Metrics;
/// # use deriva_runtime::DerivaBuilder;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = deriva_testkit::ModelStore::new();
/// # let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) = (Arc::new(store.clone()), Arc::new(store));
/// let metrics = Arc::new(Metrics::new()?);
/// let deriva = DerivaBuilder::new()
///     .blobs(blobs)
///     .dag(dag)
///     .instrument(Arc::clone(&metrics))
///     .build()
///     .await?;
/// let leaf = deriva.put("hello").await?;
/// deriva.get(leaf).await?;
/// let text = metrics.exposition(&deriva).await?;
/// assert!(text.contains("deriva_materialize_total{result=\"stored\"} 1"));
/// assert!(text.contains("deriva_blobs 1"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    state: Arc<State>,
}

/// What a registry reads.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) counts: Mutex<Counts>,
    pub(crate) stores: Mutex<Stores>,
    pub(crate) served: Mutex<ServedCounts>,
    /// What the stores last told of what they hold.
    pub(crate) usage: Mutex<Option<Usage>>,
    /// The instance that was begun.
    begun: Mutex<Option<Begun>>,
    /// What the instance held when it was last seen, as its counters must not go back.
    last: Mutex<Snapshot>,
}

/// An instance, from when it is about to be built.
struct Begun {
    clock: Arc<dyn Clock>,
    /// Since 1970.
    at: Duration,
    instance: Option<Instance>,
}

/// The stores that were opened.
#[derive(Default)]
pub(crate) struct Stores {
    pub(crate) all: Vec<Arc<StoreCounts>>,
    claimed: Claimed,
}

impl Stores {
    /// A place of its own for a store that is said to be there.
    fn place(&self, place: &str) -> String {
        let taken = |name: &str| self.all.iter().any(|store| store.place == name);
        let again = (2..).map(|n| format!("{place}-{n}"));
        let mut places = std::iter::once(place.to_owned()).chain(again);
        places.find(|name| !taken(name)).unwrap_or_default()
    }
}

impl State {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let instance = self.instance();
        let mut last = self.last.lock();
        if let Some(now) = instance.and_then(|instance| instance.snapshot()) {
            *last = now;
        }
        *last
    }

    fn instance(&self) -> Option<Instance> {
        let begun = self.begun.lock();
        begun.as_ref().and_then(|begun| begun.instance.clone())
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        let begun = self.begun.lock();
        begun.as_ref().map(|begun| Arc::clone(&begun.clock))
    }

    /// In seconds since 1970.
    pub(crate) fn built_at(&self) -> Option<f64> {
        let begun = self.begun.lock();
        begun.as_ref().map(|begun| begun.at.as_secs_f64())
    }
}

/// How much is stored.
#[derive(Debug)]
pub(crate) struct Usage {
    counts: [(&'static str, Option<u64>); 5],
}

impl Usage {
    fn of(status: &Status) -> Self {
        Self {
            counts: [
                ("deriva_recipes", status.recipes),
                ("deriva_outputs", status.outputs),
                ("deriva_roots", status.roots),
                ("deriva_blobs", status.blobs),
                ("deriva_blob_bytes", status.blob_bytes),
            ],
        }
    }

    pub(crate) fn note(&self, sheet: &mut Sheet) {
        for (name, count) in &self.counts {
            if let Some(count) = count {
                sheet.count(name, &[], *count);
            }
        }
    }
}

impl Metrics {
    /// Labels of functions unless told otherwise: 100.
    pub const DEFAULT_FUNCTIONS: usize = 100;

    /// Metrics in a registry of their own, with those of the process (`process_*`) where the system tells them.
    ///
    /// # Errors
    /// As [`Metrics::in_registry`].
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        if cfg!(target_os = "linux") {
            let process = registry.register(Box::new(ProcessCollector::for_self()));
            process.map_err(refused)?;
        }
        Self::in_registry(registry)
    }

    /// Metrics in this registry, which may hold others.
    ///
    /// # Errors
    /// `Conflict` where it has the metrics of another instance: give each its own, or label theirs with
    /// [`Registry::new_custom`].
    pub fn in_registry(registry: Registry) -> Result<Self> {
        let state = Arc::new(State::default());
        let reader = Reader::new(Arc::clone(&state)).map_err(refused)?;
        registry.register(Box::new(reader)).map_err(refused)?;
        Ok(Self { registry, state })
    }

    /// How many functions have labels of their own: those that are met first; the others are counted together as `other`.
    /// Any number. Default: [`Metrics::DEFAULT_FUNCTIONS`].
    #[must_use]
    pub fn functions(self, limit: usize) -> Self {
        self.state.counts.lock().limit_functions(limit);
        self
    }

    /// The registry: what is gathered from it is as of that moment, but for how much is stored, which is as of the last
    /// [`Metrics::refresh`].
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Asks the stores how much they hold.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn refresh(&self, deriva: &Deriva) -> Result<()> {
        let usage = Usage::of(&deriva.status().await?);
        *self.state.usage.lock() = Some(usage);
        Ok(())
    }

    /// What counts the calls that a service answers over this instance. It takes the time from the clock of the instance.
    #[must_use]
    pub fn served(&self) -> Served {
        let clock = self.state.clock();
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        Served::new(Arc::clone(&self.state), clock)
    }

    /// All that is in the registry, for who sends it elsewhere: after a [refresh](Metrics::refresh), where the instance is still open and
    /// its stores answer.
    pub async fn gather(&self) -> Vec<MetricFamily> {
        if let Some(deriva) = self.state.instance().and_then(|it| it.handle()) {
            // What the stores do not tell is as they last told it.
            let _ = self.refresh(&deriva).await;
        }
        self.registry.gather()
    }

    /// All that is in the registry, in Prometheus's text format, after a [refresh](Metrics::refresh).
    ///
    /// # Errors
    /// What the stores say.
    pub async fn exposition(&self, deriva: &Deriva) -> Result<String> {
        self.refresh(deriva).await?;
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        text.map_err(|source| {
            Error::new(ErrorKind::Internal, "the metrics could not be written").caused_by(source)
        })
    }
}

fn refused(source: prometheus::Error) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the registry does not take these metrics",
    )
    .caused_by(source)
    .hint("each instance needs a registry of its own")
}

impl Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Instrument for Metrics {
    fn begin(&self, clock: Arc<dyn Clock>) -> Result<()> {
        let mut begun = self.state.begun.lock();
        if begun.is_some() {
            return Err(Error::new(
                ErrorKind::Conflict,
                "these metrics are those of another instance",
            )
            .hint("each instance needs metrics of its own"));
        }
        let at = clock.date().duration_since(UNIX_EPOCH).unwrap_or_default();
        *begun = Some(Begun {
            clock,
            at,
            instance: None,
        });
        Ok(())
    }

    fn wrap(&self, place: &str, store: OpenedStore) -> OpenedStore {
        let Some(clock) = self.state.clock() else {
            return store;
        };
        let mut stores = self.state.stores.lock();
        let (place, told) = (stores.place(place), stores.claimed.claim(&store));
        let counts = Arc::new(StoreCounts::new(place, clock, told));
        stores.all.push(Arc::clone(&counts));
        drop(stores);
        let layer = MetricsLayer(counts);
        OpenedStore {
            blobs: store.blobs.map(|blobs| BlobLayer::wrap(&layer, blobs)),
            dag: store.dag.map(|dag| DagLayer::wrap(&layer, dag)),
        }
    }

    fn inside(&self, place: &str, store: &OpenedStore) {
        let Some(clock) = self.state.clock() else {
            return;
        };
        let mut stores = self.state.stores.lock();
        let told = stores.claimed.claim(store);
        if !told.is_empty() {
            let place = stores.place(place);
            let counts = StoreCounts::inside(place, clock, told);
            stores.all.push(Arc::new(counts));
        }
    }

    fn built(&self, instance: Instance) {
        if let Some(begun) = &mut *self.state.begun.lock() {
            begun.instance = Some(instance);
        }
    }

    /// Nothing of it is left: stores that were opened, and what was done with them, were of an instance that never was.
    fn abandoned(&self) {
        *self.state.stores.lock() = Stores::default();
        self.state.counts.lock().forget();
        *self.state.served.lock() = ServedCounts::default();
        *self.state.usage.lock() = None;
        *self.state.last.lock() = Snapshot::default();
        *self.state.begun.lock() = None;
    }
}

impl Observer for Metrics {
    /// Nothing is made for each recipe.
    fn wants_events(&self) -> bool {
        false
    }

    fn planned(&self, planned: &Planned) {
        self.state.counts.lock().planned(planned);
    }

    fn worked(&self, work: &Work) {
        self.state.counts.lock().worked(work);
    }

    fn request_ended(&self, ended: Result<&Summary, &Error>, took: Duration) {
        self.state.counts.lock().request_ended(ended, took);
    }

    fn read(&self, took: Duration) {
        self.state.counts.lock().read(took);
    }

    fn violated(&self, violation: &Violation) {
        self.state.counts.lock().violated(violation);
    }

    fn collected(&self, ended: Result<&Collected, &Error>) {
        self.state.counts.lock().collected(ended);
    }

    fn scrubbed(&self, ended: Result<&Scrubbed, &Error>) {
        self.state.counts.lock().scrubbed(ended);
    }

    fn invalidated(&self, ended: Result<&Invalidated, &Error>) {
        self.state.counts.lock().invalidated(ended);
    }

    fn audited(&self, ended: Result<&Audited, &Error>) {
        self.state.counts.lock().audited(ended);
    }
}
