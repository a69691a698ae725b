//! The graph in two tiers: see [`TieredLayer`] for when, and what is copied.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use deriva_api::{
    BoxStream, CAddr, Capabilities, DagStore, DagUsage, Divergence, FunctionId, Node, Output,
    Recipe, Record, Result, StoreCounters, TierCounters,
};
use futures::TryStreamExt;

use super::fence::{Fence, Ticket};
use super::{Settings, TieredLayer, complete, found};

/// A fast DAG store in front of a slow one. The fast one holds recipes with an output, as the slow one
/// has answered them; a recipe without one there tells nothing.
#[derive(Debug)]
pub(super) struct TieredDag {
    fast: Arc<dyn DagStore>,
    slow: Arc<dyn DagStore>,
    fence: Fence,
    /// Recipes copied since the fast store was empty.
    copied: AtomicU64,
    max_nodes: u64,
    counters: Arc<TierCounters>,
    settings: Settings,
}

impl TieredDag {
    pub(super) fn new(
        layer: &TieredLayer,
        fast: Arc<dyn DagStore>,
        slow: Arc<dyn DagStore>,
    ) -> Self {
        Self {
            fast,
            slow,
            fence: Fence::default(),
            copied: AtomicU64::new(0),
            max_nodes: layer.max_nodes,
            counters: layer.traffic.of_a_store(),
            settings: layer.settings(),
        }
    }

    /// What the fast store found; a fault is the same as nothing.
    fn answers<T>(&self, asked: usize, read: Result<Vec<Option<T>>>) -> Vec<Option<T>> {
        let answers: Vec<Option<T>> = read.unwrap_or_else(|_| {
            self.fault();
            (0..asked).map(|_| None).collect()
        });
        let (hits, misses) = found(&answers);
        self.counters.read_fast(hits, misses);
        answers
    }

    /// What the slow store found, counted.
    fn slow_answers<T>(&self, read: Result<Vec<Option<T>>>) -> Result<Vec<Option<T>>> {
        let answers = read?;
        let (hits, misses) = found(&answers);
        self.counters.read_slow(hits, misses);
        Ok(answers)
    }

    fn fault(&self) {
        self.counters.faults.add(1);
    }

    /// Copies those nodes that have an output, as the slow store has answered them since `ticket`.
    async fn fill(&self, ticket: Ticket, nodes: impl Iterator<Item = &Node>) {
        let mut recipes = Vec::new();
        let mut records = Vec::new();
        let Some(admission) = self.fence.admit(ticket) else {
            return;
        };
        for node in nodes {
            let addr = node.recipe.addr();
            if let Some(output) = node.output.filter(|_| admission.allows(addr)) {
                recipes.push(node.recipe.clone());
                records.push(Record {
                    addr,
                    resolved: None,
                    output,
                });
            }
        }
        let count = recipes.len() as u64;
        if count == 0 {
            return;
        }
        let copied = self.copied.fetch_add(count, Ordering::Relaxed) + count;
        if copied > self.max_nodes {
            drop(admission);
            self.fence.clear(self.empty()).await;
            return;
        }
        match self.copy(&recipes, &records).await {
            Ok(()) => self.counters.promoted.add(count),
            Err(_) => self.fault(),
        }
    }

    async fn copy(&self, recipes: &[Recipe], records: &[Record]) -> Result<()> {
        self.fast.insert(recipes).await?;
        let divergent = self.fast.record(records).await?;
        if !divergent.is_empty() {
            // Not what the slow store says: it goes, and counts as a fault.
            self.fault();
            let divergent: Vec<CAddr> = divergent.iter().map(|found| found.addr).collect();
            self.fast.forget(&divergent).await?;
        }
        Ok(())
    }

    async fn empty(&self) {
        let all = self.fast.list(None).map_ok(|(addr, _)| addr);
        let emptied = async { self.fast.remove(&all.try_collect::<Vec<_>>().await?).await };
        match emptied.await {
            Ok(copies) => {
                self.counters.evicted.add(copies);
                self.copied.store(0, Ordering::Relaxed);
            }
            Err(_) => self.fault(),
        }
    }

    async fn forget_copies(&self, addrs: &[CAddr]) -> Result<()> {
        let hint = "without that, forgotten outputs would be served: see what ails the fast store";
        let forgotten = self.fast.forget(addrs).await;
        forgotten
            .map(drop)
            .map_err(|error| error.with("fast store", &self.fast).hint(hint))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DagStore for TieredDag {
    fn capabilities(&self) -> Capabilities {
        self.slow.capabilities()
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        self.slow.insert(recipes).await
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        let read = self.fast.get_many(addrs).await.map(|nodes| {
            let whole = |node: Option<Node>| node.filter(|node| node.output.is_some());
            nodes.into_iter().map(whole).collect()
        });
        let copies = self.answers(addrs.len(), read);
        let slow = async |missing: Vec<CAddr>| {
            let ticket = self.fence.ticket();
            let nodes = self.slow_answers(self.slow.get_many(&missing).await)?;
            self.fill(ticket, nodes.iter().flatten()).await;
            Ok(nodes)
        };
        complete(addrs, copies, slow).await
    }

    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        let copies = self.answers(addrs.len(), self.fast.outputs(addrs).await);
        let slow = async |missing: Vec<CAddr>| self.slow_answers(self.slow.outputs(&missing).await);
        complete(addrs, copies, slow).await
    }

    /// Changes no output that is there, so no copy either.
    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>> {
        self.slow.record(records).await
    }

    async fn forget(&self, addrs: &[CAddr]) -> Result<u64> {
        let (fast, slow) = (self.forget_copies(addrs), self.slow.forget(addrs));
        self.fence.remove(addrs, fast, slow).await
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<u64> {
        let (fast, slow) = (self.forget_copies(addrs), self.slow.remove(addrs));
        self.fence.remove(addrs, fast, slow).await
    }

    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        self.slow.dependents(addr, after)
    }

    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        self.slow.by_function(id, after)
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>> {
        self.slow.list(after)
    }

    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        self.slow.set_root(name, addr).await
    }

    async fn remove_root(&self, name: &str) -> Result<bool> {
        self.slow.remove_root(name).await
    }

    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>> {
        self.slow.roots(after)
    }

    async fn usage(&self) -> Result<Option<DagUsage>> {
        self.slow.usage().await
    }

    async fn flush(&self) -> Result<()> {
        self.slow.flush().await
    }

    fn counters(&self) -> StoreCounters {
        let mut counters = StoreCounters::default();
        counters.tiers = Some(Arc::clone(&self.counters));
        counters
    }
}

impl fmt::Display for TieredDag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings.as_str();
        write!(
            f,
            "tiered(fast={}, slow={}{settings})",
            self.fast, self.slow
        )
    }
}
