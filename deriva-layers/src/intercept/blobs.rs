//! The calls of a blob store, forwarded.

use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, BoxStream, ByteRange, Bytes,
    CAddr, Capabilities, Result, StoreCounters,
};

use super::{Intercept, Intercepted, Operation, count};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Intercept> BlobStore for Intercepted<A, dyn BlobStore> {
    fn capabilities(&self) -> Capabilities {
        self.interceptor.capabilities(self.inner.capabilities())
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        let put = || self.inner.put(blobs);
        let carried = |(): &()| (count(blobs), blobs.iter().map(Blob::len).sum());
        self.call(Operation::BLOB_PUT, put, carried).await
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        let open = || self.inner.writer(expect);
        let inner = self.call(Operation::BLOB_WRITER, open, |_| (0, 0)).await?;
        Ok(Box::new(InterceptedWriter {
            interceptor: Arc::clone(&self.interceptor),
            inner,
        }))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        let carried = |blob: &Option<Blob>| (1, blob.as_ref().map_or(0, Blob::len));
        self.call(Operation::BLOB_GET, || self.inner.get(addr), carried)
            .await
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        let get = || self.inner.get_many(addrs);
        let carried =
            |blobs: &Vec<Option<Blob>>| (count(addrs), blobs.iter().flatten().map(Blob::len).sum());
        self.call(Operation::BLOB_GET_MANY, get, carried).await
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        let get = || self.inner.get_range(addr, range);
        let carried = |bytes: &Option<Bytes>| (1, bytes.as_ref().map_or(0, |it| it.len() as u64));
        self.call(Operation::BLOB_GET_RANGE, get, carried).await
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        let stat = || self.inner.stat(addrs);
        self.call(Operation::BLOB_STAT, stat, |_| (count(addrs), 0))
            .await
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        let verify = || self.inner.verify(addrs);
        self.call(Operation::BLOB_VERIFY, verify, |_| (count(addrs), 0))
            .await
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        let remove = || self.inner.remove(addrs);
        self.call(Operation::BLOB_REMOVE, remove, |()| (count(addrs), 0))
            .await
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        let open = |after| self.inner.list(after);
        self.stream(Operation::BLOB_LIST, after, open, |stat| stat.addr)
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        self.call(Operation::BLOB_USAGE, || self.inner.usage(), |_| (0, 0))
            .await
    }

    async fn flush(&self) -> Result<()> {
        self.call(Operation::BLOB_FLUSH, || self.inner.flush(), |()| (0, 0))
            .await
    }

    fn counters(&self) -> StoreCounters {
        match A::IS_SHOWN {
            true => self.interceptor.counters(),
            false => self.inner.counters(),
        }
    }
}

#[derive(Debug)]
struct InterceptedWriter<A> {
    interceptor: Arc<A>,
    inner: Box<dyn BlobWriter>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Intercept> BlobWriter for InterceptedWriter<A> {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let (operation, bytes) = (Operation::BLOB_WRITE.part(), chunk.len() as u64);
        let write = || self.inner.write(chunk);
        self.interceptor.attempt(operation, write).await?;
        self.interceptor.carried(operation, 0, bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        let Self { interceptor, inner } = *self;
        let finish = || inner.finish();
        let operation = Operation::BLOB_FINISH;
        let stat = interceptor.attempt(operation, finish).await?;
        interceptor.carried(operation, 1, 0);
        Ok(stat)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let Self { interceptor, inner } = *self;
        let abort = || inner.abort();
        interceptor.attempt(Operation::BLOB_ABORT, abort).await
    }
}
