//! What belongs to an open store and not to one handle on it.
//!
//! Two builders that are given one store, by one path or as one object, make two [`crate::Deriva`]s that must be
//! as safe as two clones. So what keeps requests out of each other's way is kept for each open store:
//!
//! | by the store of | what |
//! |---|---|
//! | the graph | leases, flights, invalidations, the ledger, what was checked, whose turn it is to collect, and who has to hear what is forgotten |
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
use tokio::sync::RwLock;

use crate::cache::BlobCache;
use crate::shared::flights::Flights;
use crate::shared::invalidations::Invalidations;
use crate::shared::leases::Leases;
use crate::shared::ledger::Ledger;
use crate::shared::nesting::NestedWaits;
use crate::shared::statistics::Statistics;

/// All stores that some handle of this process has open.
static OPEN: parking_lot::Mutex<Vec<(StoreIdentity, Weak<OpenStore>)>> =
    parking_lot::Mutex::new(Vec::new());

/// What all handles on one open store share.
#[derive(Debug, Default)]
pub(crate) struct OpenStore {
    /// A part of the gate of each handle.
    pub(crate) gate: Arc<RwLock<()>>,
    pub(crate) leases: Leases,
    pub(crate) flights: Arc<Flights>,
    pub(crate) nested: Arc<NestedWaits>,
    pub(crate) invalidations: Arc<Invalidations>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) statistics: Arc<Statistics>,
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

    /// Fails where blobs of this store may be needed by another graph than `graph`. `blobs` names it.
    pub(crate) fn check_no_other_graph(
        &self,
        graph: &Arc<Self>,
        blobs: &dyn BlobStore,
    ) -> Result<()> {
        if !self.is_named_by_others(graph) {
            return Ok(());
        }
        let why = "another handle of this process names blobs of this store in another graph";
        Err(Error::new(ErrorKind::Unsupported, why)
            .with("store", blobs)
            .hint("give each graph a blob store of its own; a dry run tells what is unreachable from this graph"))
    }

    /// Lets the memory caches of all handles on this graph go of addresses.
    pub(crate) fn uncache(&self, addrs: &[CAddr]) {
        let views = self.views.lock();
        for cache in views.iter().filter_map(|view| view.cache.upgrade()) {
            for addr in addrs {
                cache.remove(*addr);
            }
        }
    }

    /// Drops outputs from this graph, which the caller sees as `own`, and the copies of them in the layers of other
    /// handles.
    pub(crate) async fn forget(&self, own: &Arc<dyn DagStore>, addrs: &[CAddr]) -> Result<u64> {
        let forgotten = own.forget(addrs).await?;
        for dag in self.other_graphs(own) {
            dropped(dag.forget(addrs).await)?;
        }
        Ok(forgotten)
    }

    /// Removes recipes in the same way.
    pub(crate) async fn remove_recipes(
        &self,
        own: &Arc<dyn DagStore>,
        addrs: &[CAddr],
    ) -> Result<u64> {
        let removed = own.remove(addrs).await?;
        for dag in self.other_graphs(own) {
            dropped(dag.remove(addrs).await)?;
        }
        Ok(removed)
    }

    /// Removes blobs from `contents`, which the caller sees as `own`, in the same way.
    pub(crate) async fn remove_blobs(
        &self,
        contents: &Arc<Self>,
        own: &Arc<dyn BlobStore>,
        addrs: &[CAddr],
    ) -> Result<()> {
        own.remove(addrs).await?;
        let here = |view: &View| view.contents.as_ptr() == Arc::as_ptr(contents);
        let others = self.views().into_iter().filter(here);
        for blobs in others.filter_map(|view| view.blobs.upgrade()) {
            if !Arc::ptr_eq(&blobs, own) {
                dropped(blobs.remove(addrs).await)?;
            }
        }
        Ok(())
    }

    fn other_graphs(&self, own: &Arc<dyn DagStore>) -> Vec<Arc<dyn DagStore>> {
        let graphs = self.views().into_iter();
        let graphs = graphs.filter_map(|view| view.dag.upgrade());
        graphs.filter(|it| !Arc::ptr_eq(it, own)).collect()
    }

    fn views(&self) -> Vec<View> {
        self.views.lock().clone()
    }
}

/// What a handle that may only read says is no failure of the one that took something away.
fn dropped<T>(removed: Result<T>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}
