//! The calls of a DAG store, forwarded.

use async_trait::async_trait;
use deriva_api::{
    BoxStream, CAddr, Capabilities, DagStore, DagUsage, Divergence, FunctionId, Node, Output,
    Recipe, Record, Result, StoreCounters,
};

use super::{Intercept, Intercepted, Operation, count};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Intercept> DagStore for Intercepted<A, dyn DagStore> {
    fn capabilities(&self) -> Capabilities {
        self.interceptor.capabilities(self.inner.capabilities())
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        let insert = || self.inner.insert(recipes);
        self.call(Operation::DAG_INSERT, insert, |_| (count(recipes), 0))
            .await
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        let get = || self.inner.get_many(addrs);
        self.call(Operation::DAG_GET_MANY, get, |_| (count(addrs), 0))
            .await
    }

    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        let get = || self.inner.outputs(addrs);
        self.call(Operation::DAG_OUTPUTS, get, |_| (count(addrs), 0))
            .await
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>> {
        let record = || self.inner.record(records);
        self.call(Operation::DAG_RECORD, record, |_| (count(records), 0))
            .await
    }

    async fn forget(&self, addrs: &[CAddr]) -> Result<u64> {
        self.call(
            Operation::DAG_FORGET,
            || self.inner.forget(addrs),
            |_| (count(addrs), 0),
        )
        .await
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<u64> {
        self.call(
            Operation::DAG_REMOVE,
            || self.inner.remove(addrs),
            |_| (count(addrs), 0),
        )
        .await
    }

    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let open = move |after| self.inner.dependents(addr, after);
        self.stream(Operation::DAG_DEPENDENTS, after, open, |addr| *addr)
    }

    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let id = id.clone();
        let open = move |after| self.inner.by_function(&id, after);
        self.stream(Operation::DAG_BY_FUNCTION, after, open, |addr| *addr)
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>> {
        let open = |after| self.inner.list(after);
        self.stream(Operation::DAG_LIST, after, open, |(addr, _)| *addr)
    }

    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        let set = || self.inner.set_root(name, addr);
        self.call(Operation::DAG_SET_ROOT, set, |()| (1, 0)).await
    }

    async fn remove_root(&self, name: &str) -> Result<bool> {
        let remove = || self.inner.remove_root(name);
        self.call(Operation::DAG_REMOVE_ROOT, remove, |_| (1, 0))
            .await
    }

    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>> {
        let open = |after: Option<String>| self.inner.roots(after.as_deref());
        let after = after.map(str::to_owned);
        let name = |(name, _): &(String, CAddr)| name.clone();
        self.stream(Operation::DAG_ROOTS, after, open, name)
    }

    async fn usage(&self) -> Result<Option<DagUsage>> {
        self.call(Operation::DAG_USAGE, || self.inner.usage(), |_| (0, 0))
            .await
    }

    async fn flush(&self) -> Result<()> {
        self.call(Operation::DAG_FLUSH, || self.inner.flush(), |()| (0, 0))
            .await
    }

    fn counters(&self) -> StoreCounters {
        match A::IS_SHOWN {
            true => self.interceptor.counters(),
            false => self.inner.counters(),
        }
    }
}
