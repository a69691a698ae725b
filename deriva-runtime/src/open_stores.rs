//! What belongs to an open store and not to one handle on it.
//!
//! Two builders that are given one store, by one path or as one object, make two [`crate::Deriva`]s that must be
//! as safe as two clones. So what keeps requests out of each other's way is kept for each open store:
//!
//! | by the store of | what |
//! |---|---|
//! | the graph | leases, flights, invalidations, whose turn it is to collect, and who has to hear what is forgotten |
//! | the blobs | which graphs name them: with more than one nobody knows what is needed, and nothing is collected |
//! | both | the gate |
//!
//! To each handle its own: functions, executor, policies, clock, memory and what is in its cache. So what a
//! handle computed is for another what the store has of it (`flights.rs`).
//!
//! The handles find each other in a table of the process. A value that the application hands round would leave
//! the decision, and the loss of data, to whoever forgets it; and what the table mirrors, that one store is open
//! in this process, is a fact of the process too ([decision 0017](../../docs/decisions/0017-handles-on-one-store.md)).

use std::sync::{Arc, Weak};

use deriva_api::{BlobStore, CAddr, DagStore, Error, ErrorKind, Result, StoreIdentity};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, RwLockReadGuard};

use crate::cache::BlobCache;
use crate::flights::Flights;
use crate::inner::Inner;
use crate::invalidations::Invalidations;
use crate::leases::Leases;
use crate::nesting::NestedWaits;

/// All stores that some handle of this process has open.
static OPEN: parking_lot::Mutex<Vec<(StoreIdentity, Weak<OpenStore>)>> =
    parking_lot::Mutex::new(Vec::new());

/// What all handles on one open store share.
#[derive(Debug, Default)]
pub(crate) struct OpenStore {
    gate: Arc<RwLock<()>>,
    pub(crate) leases: Leases,
    pub(crate) flights: Arc<Flights>,
    pub(crate) nested: Arc<NestedWaits>,
    pub(crate) invalidations: Arc<Invalidations>,
    /// Whose turn it is to collect.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
    /// How each handle sees it as the store of its graph.
    views: parking_lot::Mutex<Vec<View>>,
    /// The stores of the graphs that name blobs of it.
    graphs: parking_lot::Mutex<Vec<Weak<OpenStore>>>,
}

/// What a handle holds of what the stores have.
#[derive(Clone, Debug)]
pub(crate) struct View {
    cache: Weak<BlobCache>,
    /// Its stores as it sees them: there may be layers with copies between it and what was opened, of the builder or of
    /// a URI.
    blobs: Weak<dyn BlobStore>,
    dag: Weak<dyn DagStore>,
    /// Where its blobs lie.
    contents: Weak<OpenStore>,
}

impl View {
    pub(crate) fn new(
        cache: &Arc<BlobCache>,
        blobs: &Arc<dyn BlobStore>,
        dag: &Arc<dyn DagStore>,
        contents: &Arc<OpenStore>,
    ) -> Self {
        Self {
            cache: Arc::downgrade(cache),
            blobs: Arc::downgrade(blobs),
            dag: Arc::downgrade(dag),
            contents: Arc::downgrade(contents),
        }
    }
}

impl OpenStore {
    /// That of a blob store, as it was opened: before any layer.
    pub(crate) fn of_blobs(store: &Arc<dyn BlobStore>) -> Arc<Self> {
        let declared = store.capabilities().identity;
        Self::of(declared.unwrap_or_else(|| StoreIdentity::of(store)))
    }

    /// That of a DAG store, as it was opened.
    pub(crate) fn of_graph(store: &Arc<dyn DagStore>) -> Arc<Self> {
        let declared = store.capabilities().identity;
        Self::of(declared.unwrap_or_else(|| StoreIdentity::of(store)))
    }

    fn of(identity: StoreIdentity) -> Arc<Self> {
        let mut open = OPEN.lock();
        open.retain(|(_, store)| store.strong_count() > 0);
        let known = open.iter().find(|(of, _)| *of == identity);
        if let Some(store) = known.and_then(|(_, store)| store.upgrade()) {
            return store;
        }
        let store = Arc::new(Self::default());
        open.retain(|(of, _)| *of != identity);
        open.push((identity, Arc::downgrade(&store)));
        store
    }

    /// Notes a handle that keeps its graph here and its blobs in `blobs`.
    pub(crate) fn enter(self: &Arc<Self>, blobs: &Self, view: View) {
        let mut graphs = blobs.graphs.lock();
        graphs.retain(|graph| graph.strong_count() > 0);
        if !graphs
            .iter()
            .any(|graph| graph.as_ptr() == Arc::as_ptr(self))
        {
            graphs.push(Arc::downgrade(self));
        }
        drop(graphs);
        let mut views = self.views.lock();
        views.retain(|view| view.cache.strong_count() > 0);
        views.push(view);
    }

    /// Whether another graph than `graph` names blobs of this store.
    fn is_named_by_others(&self, graph: &Arc<Self>) -> bool {
        let graphs = self.graphs.lock();
        let mut others = graphs.iter().filter(|it| it.as_ptr() != Arc::as_ptr(graph));
        others.any(|other| other.strong_count() > 0)
    }
}

impl Inner {
    /// Fails where blobs may be needed by a graph that this handle does not know.
    pub(crate) fn knows_all_graphs(&self) -> Result<()> {
        if !self.contents.is_named_by_others(&self.graph) {
            return Ok(());
        }
        let why = "another handle of this process names blobs of this store in another graph";
        Err(Error::new(ErrorKind::Unsupported, why)
            .with("store", &self.blobs)
            .hint("give each graph a blob store of its own; a dry run tells what is unreachable from this graph"))
    }

    /// Lets the memory caches of all handles go of addresses.
    pub(crate) fn uncache(&self, addrs: &[CAddr]) {
        let views = self.graph.views.lock();
        for cache in views.iter().filter_map(|view| view.cache.upgrade()) {
            for addr in addrs {
                cache.remove(*addr);
            }
        }
    }

    /// Drops outputs, and the copies of them in the layers of other handles.
    pub(crate) async fn forget_everywhere(&self, addrs: &[CAddr]) -> Result<u64> {
        let forgotten = self.dag.forget(addrs).await?;
        for dag in self.other_graphs() {
            dropped(dag.forget(addrs).await)?;
        }
        Ok(forgotten)
    }

    /// Removes recipes, and the copies of them in the layers of other handles.
    pub(crate) async fn remove_recipes_everywhere(&self, addrs: &[CAddr]) -> Result<u64> {
        let removed = self.dag.remove(addrs).await?;
        for dag in self.other_graphs() {
            dropped(dag.remove(addrs).await)?;
        }
        Ok(removed)
    }

    /// Removes blobs, and the copies of them in the layers of other handles.
    pub(crate) async fn remove_blobs_everywhere(&self, addrs: &[CAddr]) -> Result<()> {
        self.blobs.remove(addrs).await?;
        let here = |view: &View| view.contents.as_ptr() == Arc::as_ptr(&self.contents);
        let others = self.views().into_iter().filter(here);
        for blobs in others.filter_map(|view| view.blobs.upgrade()) {
            if !Arc::ptr_eq(&blobs, &self.blobs) {
                dropped(blobs.remove(addrs).await)?;
            }
        }
        Ok(())
    }

    fn other_graphs(&self) -> Vec<Arc<dyn DagStore>> {
        let graphs = self.views().into_iter();
        let graphs = graphs.filter_map(|view| view.dag.upgrade());
        graphs.filter(|it| !Arc::ptr_eq(it, &self.dag)).collect()
    }

    fn views(&self) -> Vec<View> {
        self.graph.views.lock().clone()
    }
}

/// What a handle that may only read says is no failure of the one that took something away.
fn dropped<T>(removed: Result<T>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}

/// The way into both stores of a handle. Who adds passes together with others, who takes away passes alone.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    first: Arc<OpenStore>,
    /// Where graph and blobs lie in two stores. All handles pass in one order.
    second: Option<Arc<OpenStore>>,
}

/// The permission to add.
#[derive(Debug)]
pub(crate) struct Together<'a> {
    _first: RwLockReadGuard<'a, ()>,
    _second: Option<RwLockReadGuard<'a, ()>>,
}

/// The permission to take away.
#[derive(Debug)]
pub(crate) struct Alone {
    _first: OwnedRwLockWriteGuard<()>,
    _second: Option<OwnedRwLockWriteGuard<()>>,
}

impl Gate {
    pub(crate) fn new(graph: &Arc<OpenStore>, blobs: &Arc<OpenStore>) -> Self {
        let [mut first, mut second] = [graph, blobs];
        if Arc::as_ptr(second) < Arc::as_ptr(first) {
            (first, second) = (second, first);
        }
        Self {
            first: Arc::clone(first),
            second: (!Arc::ptr_eq(first, second)).then(|| Arc::clone(second)),
        }
    }

    /// Passes together with others.
    pub(crate) async fn read(&self) -> Together<'_> {
        Together {
            _first: self.first.gate.read().await,
            _second: match &self.second {
                Some(second) => Some(second.gate.read().await),
                None => None,
            },
        }
    }

    /// Passes alone.
    pub(crate) async fn write(&self) -> Alone {
        Alone {
            _first: Arc::clone(&self.first.gate).write_owned().await,
            _second: match &self.second {
                Some(second) => Some(Arc::clone(&second.gate).write_owned().await),
                None => None,
            },
        }
    }

    /// Whether somebody has passed and not come back.
    pub(crate) fn is_in_use(&self) -> bool {
        let mut both = [Some(&self.first), self.second.as_ref()]
            .into_iter()
            .flatten();
        both.any(|store| store.gate.try_write().is_err())
    }
}
