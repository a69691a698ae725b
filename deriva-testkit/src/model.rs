//! The plain store that all others are compared with.
//!
//! One mutex, ordered maps, every rule of the contracts written out where it applies. It is slow
//! and obvious on purpose: when it and a real store disagree, it should be easy to see who is right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, ByteRange, CAddr, Capabilities,
    DagStore, DagUsage, Divergence, DurabilityClass, Error, ErrorKind, Evidence, FunctionId, Node,
    OpenedStore, Output, Recipe, Record, Result, StoreCounters, StoreIdentity,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use std::sync::Arc;

use crate::Fixture;

/// A blob store and a DAG store in ordered maps under one mutex. Clones share the contents.
#[derive(Clone, Debug, Default)]
pub struct ModelStore(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<CAddr, Blob>,
    recipes: BTreeMap<CAddr, Recipe>,
    /// Input and dependent, for each input of each recipe.
    edges: BTreeSet<(CAddr, CAddr)>,
    outputs: BTreeMap<CAddr, Output>,
    roots: BTreeMap<String, CAddr>,
}

impl ModelStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Opens a new [`ModelStore`] each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelFixture;

#[async_trait]
impl Fixture for ModelFixture {
    async fn open(&self) -> Result<OpenedStore> {
        let store = Arc::new(ModelStore::new());
        Ok(OpenedStore {
            blobs: Some(store.clone()),
            dag: Some(store),
        })
    }

    fn persistent(&self) -> bool {
        false
    }
}

impl State {
    fn dependents(&self, addr: CAddr) -> Vec<CAddr> {
        let from = self.edges.range((addr, CAddr::MIN)..);
        let of_addr = from.take_while(|(input, _)| *input == addr);
        of_addr.map(|(_, dependent)| *dependent).collect()
    }

    fn node(&self, recipe: &Recipe) -> Node {
        Node {
            recipe: recipe.clone(),
            output: self.outputs.get(&recipe.addr()).copied(),
        }
    }

    fn record(&mut self, addr: CAddr, offered: Output) -> Option<Divergence> {
        let recorded = *self.outputs.entry(addr).or_insert(offered);
        (!recorded.same_bytes(&offered)).then_some(Divergence {
            addr,
            recorded,
            offered,
        })
    }
}

fn from(after: Option<CAddr>) -> (Bound<CAddr>, Bound<CAddr>) {
    (
        after.map_or(Bound::Unbounded, Bound::Excluded),
        Bound::Unbounded,
    )
}

fn answers<T: Send + 'static>(items: Vec<T>) -> BoxStream<'static, Result<T>> {
    stream::iter(items.into_iter().map(Ok)).boxed()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for ModelStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DurabilityClass::None).identity(StoreIdentity::of(&self.0))
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        let mut state = self.0.lock();
        for blob in blobs {
            state
                .blobs
                .entry(blob.addr())
                .or_insert_with(|| blob.clone());
        }
        Ok(())
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(ModelWriter {
            store: self.clone(),
            expect,
            bytes: BytesMut::new(),
        }))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        Ok(self.0.lock().blobs.get(&addr).cloned())
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        let state = self.0.lock();
        Ok(addrs
            .iter()
            .map(|addr| state.blobs.get(addr).cloned())
            .collect())
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        let state = self.0.lock();
        let cut = |blob: &Blob| {
            let within = range.within(blob.len());
            blob.bytes()
                .slice(within.start as usize..within.end as usize)
        };
        Ok(state.blobs.get(&addr).map(cut))
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        let state = self.0.lock();
        Ok(addrs
            .iter()
            .map(|addr| state.blobs.get(addr).map(Blob::stat))
            .collect())
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        let state = self.0.lock();
        let check = |addr| match state.blobs.contains_key(addr) {
            true => BlobCheck::Right(Evidence::Remembered),
            false => BlobCheck::Absent,
        };
        Ok(addrs.iter().map(check).collect())
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        let mut state = self.0.lock();
        for addr in addrs {
            state.blobs.remove(addr);
        }
        Ok(())
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        let state = self.0.lock();
        answers(
            state
                .blobs
                .range(from(after))
                .map(|(_, blob)| blob.stat())
                .collect(),
        )
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        let state = self.0.lock();
        Ok(Some(BlobUsage {
            blobs: state.blobs.len() as u64,
            bytes: state.blobs.values().map(Blob::len).sum(),
        }))
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// It has nothing to tell.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }
}

#[derive(Debug)]
struct ModelWriter {
    store: ModelStore,
    expect: Option<BlobStat>,
    bytes: BytesMut,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobWriter for ModelWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        let blob = Blob::new(self.bytes.freeze());
        if self.expect.is_some_and(|expect| expect != blob.stat()) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the bytes written are not what was expected",
            )
            .with("found", blob.addr()));
        }
        self.store.put(std::slice::from_ref(&blob)).await?;
        Ok(blob.stat())
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DagStore for ModelStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DurabilityClass::None).identity(StoreIdentity::of(&self.0))
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        let mut state = self.0.lock();
        for recipe in recipes {
            let edges = recipe.inputs().map(|input| (input, recipe.addr()));
            state.edges.extend(edges);
            state
                .recipes
                .entry(recipe.addr())
                .or_insert_with(|| recipe.clone());
        }
        Ok(recipes.iter().map(Recipe::addr).collect())
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        let state = self.0.lock();
        let node = |addr| state.recipes.get(addr).map(|recipe| state.node(recipe));
        Ok(addrs.iter().map(node).collect())
    }

    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        let state = self.0.lock();
        Ok(addrs
            .iter()
            .map(|addr| state.outputs.get(addr).copied())
            .collect())
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>> {
        let mut state = self.0.lock();
        let unknown = records
            .iter()
            .find(|record| !state.recipes.contains_key(&record.addr));
        if let Some(record) = unknown {
            return Err(Error::new(ErrorKind::NotFound, "no such recipe")
                .during("record")
                .with("addr", record.addr));
        }
        let mut divergences = Vec::new();
        for record in records {
            divergences.extend(state.record(record.addr, record.output));
            let resolved = record.resolved.filter(|resolved| *resolved != record.addr);
            if let Some(resolved) = resolved {
                divergences.extend(state.record(resolved, record.output));
            }
        }
        Ok(divergences)
    }

    async fn forget(&self, addrs: &[CAddr]) -> Result<u64> {
        let mut state = self.0.lock();
        let dropped = addrs
            .iter()
            .filter(|addr| state.outputs.remove(addr).is_some());
        Ok(dropped.count() as u64)
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<u64> {
        let mut state = self.0.lock();
        let batch: BTreeSet<CAddr> = addrs
            .iter()
            .copied()
            .filter(|addr| state.recipes.contains_key(addr))
            .collect();
        for addr in &batch {
            let outside = |dependent: &CAddr| !batch.contains(dependent);
            if let Some(dependent) = state.dependents(*addr).into_iter().find(outside) {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "another recipe has it among its inputs",
                )
                .during("remove")
                .with("addr", addr)
                .with("dependent", dependent));
            }
        }
        for addr in &batch {
            state.recipes.remove(addr);
            state.outputs.remove(addr);
            state.edges.retain(|(_, dependent)| dependent != addr);
        }
        Ok(batch.len() as u64)
    }

    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let mut found = self.0.lock().dependents(addr);
        found.retain(|dependent| after.is_none_or(|after| *dependent > after));
        answers(found)
    }

    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        let state = self.0.lock();
        let of_function = state
            .recipes
            .range(from(after))
            .filter(|(_, recipe)| recipe.function() == *id);
        answers(of_function.map(|(addr, _)| *addr).collect())
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>> {
        let state = self.0.lock();
        let nodes = state.recipes.range(from(after));
        answers(
            nodes
                .map(|(addr, recipe)| (*addr, state.node(recipe)))
                .collect(),
        )
    }

    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        DagUsage::check_root_name(name)?;
        self.0.lock().roots.insert(name.to_owned(), addr);
        Ok(())
    }

    async fn remove_root(&self, name: &str) -> Result<bool> {
        Ok(self.0.lock().roots.remove(name).is_some())
    }

    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>> {
        let state = self.0.lock();
        let roots = state.roots.iter().map(|(name, addr)| (name.clone(), *addr));
        let listed = roots.filter(|(name, _)| after.is_none_or(|after| name.as_str() > after));
        answers(listed.collect())
    }

    async fn usage(&self) -> Result<Option<DagUsage>> {
        let state = self.0.lock();
        let with_output = state
            .recipes
            .keys()
            .filter(|addr| state.outputs.contains_key(addr));
        Ok(Some(DagUsage {
            recipes: state.recipes.len() as u64,
            outputs: with_output.count() as u64,
            roots: state.roots.len() as u64,
        }))
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// It has nothing to tell.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }
}

impl fmt::Display for ModelStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("model")
    }
}
