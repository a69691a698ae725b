//! A fast store in front of a slow one.
//!
//! The slow store is the truth: it takes every write first, and alone says what is there. The fast
//! one holds copies. A copy may be missing at any time, and must never outlive what it copies; that
//! is the work of the [`fence`].

mod blobs;
mod dag;
mod fence;
mod held;

use std::sync::Arc;

use deriva_api::{
    BlobLayer, BlobStore, DagLayer, DagStore, DurabilityClass, OpenedStore, TierCounters,
};
use parking_lot::Mutex;

use super::uri::Settings;
use blobs::TieredBlobs;
use dag::TieredDag;

/// Keeps copies in a fast store of what a slow one holds: written through, filled on read, removed
/// from both.
///
/// A fast store that fails, or whose copy is damaged, never fails or falsifies a read: the slow store
/// answers, the fault is counted, and a damaged copy is replaced. A removal does need both: were the
/// copy left, it would be served.
///
/// **Blobs.** `get`, `get_many` and `get_range` ask the fast store first; `stat`, `verify`, `list` and
/// `usage` the slow one alone, so that a whole copy never hides damage from those who are to repair it. Blobs longer than [`TieredLayer::max_blob`] are not copied.
///
/// **Graph.** Recipes that have an output are copied when they are read, and `get_many` and `outputs`
/// are answered from the copies. A missing output is never remembered; `forget` and `remove` drop the
/// copies first. That is right only where nobody else changes the graph, so the graph is copied only
/// if the slow store is not [`shared`](deriva_api::Capabilities::shared) and the fast one keeps nothing
/// beyond its process ([`DurabilityClass::None`]). Otherwise the graph's store stays as it is.
///
/// The fast store belongs to this layer and this one slow store, and all writes of this process go
/// through the layer. What others remove from a slow blob store that is shared (or while the layer is
/// not there) may be served from a copy still; its bytes are right.
#[derive(Clone, Debug)]
pub struct TieredLayer {
    fast: OpenedStore,
    max_blob: u64,
    capacity: u64,
    max_nodes: u64,
    traffic: Traffic,
}

impl TieredLayer {
    /// A layer with `fast` in front. A trait for which `fast` has no store is left as it is.
    #[must_use]
    pub fn new(fast: OpenedStore) -> Self {
        Self {
            fast,
            max_blob: 4 << 20,
            capacity: 256 << 20,
            max_nodes: 1 << 18,
            traffic: Traffic::default(),
        }
    }

    /// Bytes of the longest blob that is copied: any number; 0 copies none but the empty one. Default: 4 MiB.
    #[must_use]
    pub fn max_blob(mut self, bytes: u64) -> Self {
        self.max_blob = bytes;
        self
    }

    /// Bytes of blobs that the fast store may hold, each with 160 bytes of its own on top; what was
    /// not used lately makes room. Any number; below 160 nothing is kept. Default: 256 MiB.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self
    }

    /// Recipes that the fast store may hold; when there would be more, it is emptied. Any number. Default: 262,144.
    #[must_use]
    pub fn max_nodes(mut self, nodes: u64) -> Self {
        self.max_nodes = nodes;
        self
    }

    fn settings(&self) -> Settings {
        let default = Self::new(OpenedStore {
            blobs: None,
            dag: None,
        });
        Settings::default()
            .with("max_blob", self.max_blob, default.max_blob)
            .with("capacity", self.capacity, default.capacity)
            .with("max_nodes", self.max_nodes, default.max_nodes)
    }

    /// Where the counts can be read. Clones of the layer, and both stores wrapped by it, count
    /// together.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic.clone()
    }
}

impl BlobLayer for TieredLayer {
    fn wrap(&self, slow: Arc<dyn BlobStore>) -> Arc<dyn BlobStore> {
        match &self.fast.blobs {
            Some(fast) => Arc::new(TieredBlobs::new(self, Arc::clone(fast), slow)),
            None => slow,
        }
    }
}

impl DagLayer for TieredLayer {
    fn wrap(&self, slow: Arc<dyn DagStore>) -> Arc<dyn DagStore> {
        let alone = !slow.capabilities().shared;
        let begins_empty =
            |fast: &&Arc<dyn DagStore>| fast.capabilities().durability == DurabilityClass::None;
        match self.fast.dag.as_ref().filter(begins_empty) {
            Some(fast) if alone => Arc::new(TieredDag::new(self, Arc::clone(fast), slow)),
            _ => slow,
        }
    }
}

/// What a [`TieredLayer`] saw. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<Vec<Arc<TierCounters>>>>);

impl Traffic {
    /// Reads of blobs, recipes and outputs answered by the fast store.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.sum(|counters| counters.fast_hits.get())
    }

    /// Reads that went on to the slow store, also of what it does not have either.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.sum(|counters| counters.fast_misses.get())
    }

    /// Calls of the fast store that failed and were made good by the slow one, or left out.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.sum(|counters| counters.faults.get())
    }

    fn sum(&self, of: impl Fn(&TierCounters) -> u64) -> u64 {
        self.0.lock().iter().map(|counters| of(counters)).sum()
    }

    /// Counters for one more store.
    fn of_a_store(&self) -> Arc<TierCounters> {
        let counters = Arc::<TierCounters>::default();
        self.0.lock().push(Arc::clone(&counters));
        counters
    }
}

/// How many there are, and how many are missing.
fn found<T>(answers: &[Option<T>]) -> (u64, u64) {
    let hits = answers.iter().flatten().count();
    (hits as u64, (answers.len() - hits) as u64)
}

/// Asks the slow store for what the fast one did not answer, and puts both together in order.
async fn complete<K: Copy, T>(
    asked: &[K],
    mut answers: Vec<Option<T>>,
    slow: impl AsyncFnOnce(Vec<K>) -> deriva_api::Result<Vec<Option<T>>>,
) -> deriva_api::Result<Vec<Option<T>>> {
    let missing: Vec<usize> = (0..asked.len()).filter(|i| answers[*i].is_none()).collect();
    if !missing.is_empty() {
        let found = slow(missing.iter().map(|i| asked[*i]).collect()).await?;
        for (i, answer) in missing.into_iter().zip(found) {
            answers[i] = answer;
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intercept::{Intercept, Intercepted, Operation};
    use deriva_api::{Capabilities, Error, Result};
    use deriva_testkit::ModelStore;

    /// Intercept a store that says something else of itself.
    #[derive(Debug)]
    struct Claims(Capabilities);

    impl Intercept for Claims {
        const NAME: &'static str = "claims";

        type Attempts = ();

        fn capabilities(&self, _: Capabilities) -> Capabilities {
            self.0
        }

        async fn attempt<T, F>(&self, _: Operation, call: impl FnOnce() -> F + Send) -> Result<T>
        where
            T: Send,
            F: Future<Output = Result<T>> + Send,
        {
            call().await
        }

        async fn again(&self, (): &mut (), error: Error) -> Result<()> {
            Err(error)
        }
    }

    fn dag(claims: Capabilities) -> Arc<dyn DagStore> {
        let model: Arc<dyn DagStore> = Arc::new(ModelStore::new());
        Arc::new(Intercepted::new(Claims(claims), model))
    }

    fn tiered(fast: Capabilities, slow: Capabilities) -> String {
        let fast = OpenedStore {
            blobs: None,
            dag: Some(dag(fast)),
        };
        DagLayer::wrap(&TieredLayer::new(fast), dag(slow)).to_string()
    }

    #[test]
    fn a_graph_is_copied_only_where_nobody_else_can_change_it() {
        let volatile = Capabilities::new(DurabilityClass::None);
        let durable = Capabilities::new(DurabilityClass::PowerLoss);
        let both = "tiered(fast=claims(model), slow=claims(model))";
        assert_eq!(tiered(volatile, durable), both);
        assert_eq!(tiered(volatile, volatile), both);
        assert_eq!(tiered(volatile, durable.shared(true)), "claims(model)");
        assert_eq!(tiered(durable, durable), "claims(model)");
    }

    #[test]
    fn what_has_no_fast_store_stays_as_it_is() {
        let fast = OpenedStore {
            blobs: None,
            dag: None,
        };
        let slow: Arc<dyn BlobStore> = Arc::new(ModelStore::new());
        let same = BlobLayer::wrap(&TieredLayer::new(fast), Arc::clone(&slow));
        assert!(Arc::ptr_eq(&slow, &same));
    }
}
