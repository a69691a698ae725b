//! The DAG store over [`Graph`](super::graph::Graph): one short lock per call.

use std::ops::Bound;

use async_trait::async_trait;
use deriva_api::{
    BoxStream, CAddr, Capabilities, DagStore, DagUsage, Divergence, DurabilityClass, FunctionId,
    Node, Output, Recipe, Record, Result, StoreCounters,
};

use super::MemoryStore;
use super::snapshot::snapshot;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DagStore for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DurabilityClass::None).identity(self.identity())
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        let mut graph = self.graph.write();
        graph.check_room(recipes)?;
        recipes.iter().for_each(|recipe| graph.insert(recipe));
        Ok(recipes.iter().map(Recipe::addr).collect())
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        Ok(self.graph.read().nodes(addrs))
    }

    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        let graph = self.graph.read();
        Ok(addrs.iter().map(|addr| graph.output(addr)).collect())
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>> {
        self.graph.write().record(records)
    }

    async fn forget(&self, addrs: &[CAddr]) -> Result<u64> {
        let mut graph = self.graph.write();
        Ok(addrs.iter().filter(|addr| graph.forget(addr)).count() as u64)
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<u64> {
        self.graph.write().remove(addrs)
    }

    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        snapshot(move || self.graph.read().dependents(&addr, after), Some)
    }

    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let id = id.clone();
        let wanted = move |recipe: &Recipe| recipe.applies(&id);
        snapshot(move || self.graph.read().recipes(after, wanted), Some)
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>> {
        let keys = move || self.graph.read().recipes(after, |_| true);
        snapshot(keys, |addr| {
            self.graph.read().node(&addr).map(|node| (addr, node))
        })
    }

    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        DagUsage::check_root_name(name)?;
        self.graph.write().roots.insert(name.to_owned(), addr);
        Ok(())
    }

    async fn remove_root(&self, name: &str) -> Result<bool> {
        Ok(self.graph.write().roots.remove(name).is_some())
    }

    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>> {
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.to_owned()));
        let keys = move || {
            let graph = self.graph.read();
            let rest = graph.roots.range((from, Bound::Unbounded));
            rest.map(|(name, addr)| (name.clone(), *addr)).collect()
        };
        snapshot(keys, Some)
    }

    async fn usage(&self) -> Result<Option<DagUsage>> {
        Ok(Some(self.graph.read().usage()))
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// It has nothing to tell.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }
}
