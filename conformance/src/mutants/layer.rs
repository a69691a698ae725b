//! The mutants' layer: it forwards every call, but for what is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, ByteRange, CAddr, Capabilities,
    DagStore, DagUsage, Divergence, Error, ErrorKind, FunctionId, Node, OpenedStore, Output,
    Recipe, Record, Result, StoreCounters,
};
use futures::stream::BoxStream;
use parking_lot::Mutex;

use super::list::Break;

#[derive(Debug)]
struct Layer<S: ?Sized> {
    broken: Option<Break>,
    inner: Arc<S>,
    /// For breaks alone: what was seen on its way.
    absent: Mutex<BTreeSet<CAddr>>,
    outputs: Mutex<BTreeMap<CAddr, Output>>,
    verified: Mutex<BTreeMap<CAddr, BlobCheck>>,
}

/// Wraps both halves of a store.
pub(super) fn wrap(store: OpenedStore, broken: Option<Break>) -> OpenedStore {
    OpenedStore {
        blobs: store
            .blobs
            .map(|inner| Arc::new(Layer::new(inner, broken)) as _),
        dag: store
            .dag
            .map(|inner| Arc::new(Layer::new(inner, broken)) as _),
    }
}

impl<S: ?Sized> Layer<S> {
    fn new(inner: Arc<S>, broken: Option<Break>) -> Self {
        Self {
            broken,
            inner,
            absent: Mutex::default(),
            outputs: Mutex::default(),
            verified: Mutex::default(),
        }
    }

    fn broken(&self, how: Break) -> bool {
        self.broken == Some(how)
    }

    /// What the caller is told of an answer.
    fn told<T: Default>(&self, answer: Result<T>) -> Result<T> {
        match answer {
            Err(_) if self.broken(Break::takes_failures_for_success) => Ok(T::default()),
            Err(error) if self.broken(Break::makes_every_error_unavailable) => {
                Err(Error::new(ErrorKind::Unavailable, "the store failed").caused_by(error))
            }
            answer => answer,
        }
    }

    fn declared(&self, inner: Capabilities) -> Capabilities {
        match self.broken(Break::hides_that_usage_is_known) {
            true => inner.usage(false),
            false => inner,
        }
    }
}

impl<S: ?Sized + fmt::Display> fmt::Display for Layer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mutant({})", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for Layer<dyn BlobStore> {
    fn capabilities(&self) -> Capabilities {
        self.declared(self.inner.capabilities())
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        self.inner.put(blobs).await
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        let expect = expect.filter(|_| !self.broken(Break::forwards_no_expectation));
        self.inner.writer(expect).await
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        if self.absent.lock().contains(&addr) {
            return Ok(None);
        }
        let found = self.inner.get(addr).await?;
        if found.is_none() && self.broken(Break::remembers_that_a_blob_is_absent) {
            self.absent.lock().insert(addr);
        }
        Ok(found)
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        self.inner.get_many(addrs).await
    }

    async fn get_range(&self, addr: CAddr, mut range: ByteRange) -> Result<Option<Bytes>> {
        if self.broken(Break::forwards_no_offset) {
            range.offset = 0;
        }
        self.inner.get_range(addr, range).await
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        self.inner.stat(addrs).await
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        let mut found = self.inner.verify(addrs).await?;
        if self.broken(Break::remembers_what_was_verified) {
            let mut remembered = self.verified.lock();
            for (addr, found) in addrs.iter().zip(&mut found) {
                *found = *remembered.entry(*addr).or_insert(*found);
            }
        }
        Ok(found)
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        self.inner.remove(addrs).await
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        self.inner.list(after)
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        self.inner.usage().await
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    /// It has nothing to tell.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DagStore for Layer<dyn DagStore> {
    fn capabilities(&self) -> Capabilities {
        self.declared(self.inner.capabilities())
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        self.inner.insert(recipes).await
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        self.inner.get_many(addrs).await
    }

    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        let mut found = self.inner.outputs(addrs).await?;
        if self.broken(Break::remembers_outputs) {
            let mut remembered = self.outputs.lock();
            for (addr, output) in addrs.iter().zip(&mut found) {
                remembered.extend(output.map(|output| (*addr, output)));
                *output = remembered.get(addr).copied();
            }
        }
        Ok(found)
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>> {
        if self.broken(Break::splits_batches) {
            let mut divergences = Vec::new();
            for record in records {
                divergences.extend(self.inner.record(std::slice::from_ref(record)).await?);
            }
            return Ok(divergences);
        }
        self.told(self.inner.record(records).await)
    }

    async fn forget(&self, addrs: &[CAddr]) -> Result<u64> {
        if self.broken(Break::repeats_what_succeeded) {
            self.inner.forget(addrs).await?;
        }
        self.inner.forget(addrs).await
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<u64> {
        self.told(self.inner.remove(addrs).await)
    }

    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        self.inner.dependents(addr, after)
    }

    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        self.inner.by_function(id, after)
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>> {
        self.inner.list(after)
    }

    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        self.told(self.inner.set_root(name, addr).await)
    }

    async fn remove_root(&self, name: &str) -> Result<bool> {
        self.inner.remove_root(name).await
    }

    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>> {
        self.inner.roots(after)
    }

    async fn usage(&self) -> Result<Option<DagUsage>> {
        self.inner.usage().await
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    /// It has nothing to tell.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }
}
