//! A store that asks before every call: what counting, faults and yielding have in common.

use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, ByteRange, CAddr, Capabilities,
    DagStore, DagUsage, Divergence, FunctionId, Node, Output, Recipe, Record, Result,
    StoreCounters,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

macro_rules! operations {
    ($($variant:ident => $name:literal, $what:literal;)+) => {
        /// A call of a store's contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation {
            $(#[doc = $what] $variant,)+
        }

        impl Operation {
            /// All operations.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The operation's name, as errors give it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

operations! {
    BlobPut => "put", "[`BlobStore::put`].";
    BlobWriter => "writer", "[`BlobStore::writer`].";
    BlobWrite => "write", "[`BlobWriter::write`].";
    BlobFinish => "finish", "[`BlobWriter::finish`].";
    BlobGet => "get", "[`BlobStore::get`].";
    BlobGetMany => "get_many", "[`BlobStore::get_many`].";
    BlobGetRange => "get_range", "[`BlobStore::get_range`].";
    BlobStat => "stat", "[`BlobStore::stat`].";
    BlobVerify => "verify", "[`BlobStore::verify`].";
    BlobRemove => "remove", "[`BlobStore::remove`].";
    BlobList => "list", "[`BlobStore::list`].";
    BlobUsage => "usage", "[`BlobStore::usage`].";
    BlobFlush => "flush", "[`BlobStore::flush`].";
    DagInsert => "insert", "[`DagStore::insert`].";
    DagGetMany => "get_many", "[`DagStore::get_many`].";
    DagOutputs => "outputs", "[`DagStore::outputs`].";
    DagRecord => "record", "[`DagStore::record`].";
    DagForget => "forget", "[`DagStore::forget`].";
    DagRemove => "remove", "[`DagStore::remove`].";
    DagDependents => "dependents", "[`DagStore::dependents`].";
    DagByFunction => "by_function", "[`DagStore::by_function`].";
    DagList => "list", "[`DagStore::list`].";
    DagSetRoot => "set_root", "[`DagStore::set_root`].";
    DagRemoveRoot => "remove_root", "[`DagStore::remove_root`].";
    DagRoots => "roots", "[`DagStore::roots`].";
    DagUsage => "usage", "[`DagStore::usage`].";
    DagFlush => "flush", "[`DagStore::flush`].";
}

/// What is asked. A hook that answers with an error keeps the call from the store.
#[async_trait]
pub(crate) trait Hook: Debug + Send + Sync + 'static {
    /// The layer's name, for `Display`.
    fn name(&self) -> &'static str;

    /// Before a call.
    async fn before(&self, operation: Operation) -> Result<()>;

    /// After a call that succeeded. An error here takes its answer away. Streams have no end to wait
    /// for, so they are not asked about.
    async fn after(&self, operation: Operation) -> Result<()>;

    /// Whether reads of this blob find other bytes than the store has.
    fn damages(&self, addr: CAddr) -> bool;

    /// What a read makes of the bytes that the store found.
    fn read(&self, blob: Blob) -> Result<Blob>;
}

/// A store with a hook in front.
pub(crate) struct Hooked<S: ?Sized> {
    pub(crate) inner: Arc<S>,
    pub(crate) hook: Arc<dyn Hook>,
}

impl<S: ?Sized + Send + Sync> Hooked<S> {
    /// A stream that begins when the hook lets it.
    fn stream<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        inner: BoxStream<'a, Result<T>>,
    ) -> BoxStream<'a, Result<T>> {
        let opened = async move { self.hook.before(operation).await.map(|()| inner) };
        stream::once(opened).try_flatten().boxed()
    }
}

/// Makes a call with the hook before and after it.
async fn around<T>(
    hook: &dyn Hook,
    operation: Operation,
    call: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    hook.before(operation).await?;
    let answer = call.await?;
    hook.after(operation).await?;
    Ok(answer)
}

impl<S: ?Sized + Display> Display for Hooked<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.hook.name(), self.inner)
    }
}

impl<S: ?Sized + Debug> Debug for Hooked<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:?})", self.hook.name(), self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for Hooked<dyn BlobStore> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        around(&*self.hook, Operation::BlobPut, self.inner.put(blobs)).await
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        let inner = around(
            &*self.hook,
            Operation::BlobWriter,
            self.inner.writer(expect),
        )
        .await?;
        let hook = self.hook.clone();
        Ok(Box::new(HookedWriter { inner, hook }))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        let blob = around(&*self.hook, Operation::BlobGet, self.inner.get(addr)).await?;
        blob.map(|blob| self.hook.read(blob)).transpose()
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        let blobs = around(
            &*self.hook,
            Operation::BlobGetMany,
            self.inner.get_many(addrs),
        )
        .await?;
        blobs
            .into_iter()
            .map(|blob| blob.map(|blob| self.hook.read(blob)).transpose())
            .collect()
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        let read = async {
            if self.hook.damages(addr)
                && let Some(blob) = self.inner.get(addr).await?
            {
                self.hook.read(blob)?;
            }
            self.inner.get_range(addr, range).await
        };
        around(&*self.hook, Operation::BlobGetRange, read).await
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        around(&*self.hook, Operation::BlobStat, self.inner.stat(addrs)).await
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        let verify = async {
            let mut found = self.inner.verify(addrs).await?;
            for (addr, found) in addrs.iter().zip(&mut found) {
                if self.hook.damages(*addr)
                    && let Some(blob) = self.inner.get(*addr).await?
                    && self.hook.read(blob).is_err()
                {
                    *found = BlobCheck::Damaged;
                }
            }
            Ok(found)
        };
        around(&*self.hook, Operation::BlobVerify, verify).await
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        around(&*self.hook, Operation::BlobRemove, self.inner.remove(addrs)).await
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        self.stream(Operation::BlobList, self.inner.list(after))
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        around(&*self.hook, Operation::BlobUsage, self.inner.usage()).await
    }

    async fn flush(&self) -> Result<()> {
        around(&*self.hook, Operation::BlobFlush, self.inner.flush()).await
    }

    /// Hooks have nothing to tell.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }
}

#[derive(Debug)]
struct HookedWriter {
    inner: Box<dyn BlobWriter>,
    hook: Arc<dyn Hook>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobWriter for HookedWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        around(&*self.hook, Operation::BlobWrite, self.inner.write(chunk)).await
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        around(&*self.hook, Operation::BlobFinish, self.inner.finish()).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DagStore for Hooked<dyn DagStore> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        around(
            &*self.hook,
            Operation::DagInsert,
            self.inner.insert(recipes),
        )
        .await
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        around(
            &*self.hook,
            Operation::DagGetMany,
            self.inner.get_many(addrs),
        )
        .await
    }

    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>> {
        around(
            &*self.hook,
            Operation::DagOutputs,
            self.inner.outputs(addrs),
        )
        .await
    }

    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>> {
        around(
            &*self.hook,
            Operation::DagRecord,
            self.inner.record(records),
        )
        .await
    }

    async fn forget(&self, addrs: &[CAddr]) -> Result<u64> {
        around(&*self.hook, Operation::DagForget, self.inner.forget(addrs)).await
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<u64> {
        around(&*self.hook, Operation::DagRemove, self.inner.remove(addrs)).await
    }

    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        self.stream(Operation::DagDependents, self.inner.dependents(addr, after))
    }

    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>> {
        self.stream(Operation::DagByFunction, self.inner.by_function(id, after))
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>> {
        self.stream(Operation::DagList, self.inner.list(after))
    }

    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        around(
            &*self.hook,
            Operation::DagSetRoot,
            self.inner.set_root(name, addr),
        )
        .await
    }

    async fn remove_root(&self, name: &str) -> Result<bool> {
        around(
            &*self.hook,
            Operation::DagRemoveRoot,
            self.inner.remove_root(name),
        )
        .await
    }

    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>> {
        self.stream(Operation::DagRoots, self.inner.roots(after))
    }

    async fn usage(&self) -> Result<Option<DagUsage>> {
        around(&*self.hook, Operation::DagUsage, self.inner.usage()).await
    }

    async fn flush(&self) -> Result<()> {
        around(&*self.hook, Operation::DagFlush, self.inner.flush()).await
    }

    /// Hooks have nothing to tell.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }
}
