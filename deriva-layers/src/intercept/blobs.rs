//! The calls of a blob store, forwarded.

use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, BoxStream, ByteRange, Bytes,
    CAddr, Capabilities, Result,
};

use super::{Intercept, Intercepted, Operation};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Intercept> BlobStore for Intercepted<A, dyn BlobStore> {
    fn capabilities(&self) -> Capabilities {
        self.interceptor.capabilities(self.inner.capabilities())
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        self.call(Operation::writes("put"), || self.inner.put(blobs))
            .await
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        let open = || self.inner.writer(expect);
        let inner = self.call(Operation::writes("writer"), open).await?;
        Ok(Box::new(InterceptedWriter {
            interceptor: Arc::clone(&self.interceptor),
            inner,
        }))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        self.call(Operation::reads("get"), || self.inner.get(addr))
            .await
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        let get = || self.inner.get_many(addrs);
        self.call(Operation::reads("get_many"), get).await
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        let get = || self.inner.get_range(addr, range);
        self.call(Operation::reads("get_range"), get).await
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        self.call(Operation::reads("stat"), || self.inner.stat(addrs))
            .await
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        self.call(Operation::reads("verify"), || self.inner.verify(addrs))
            .await
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        self.call(Operation::writes("remove"), || self.inner.remove(addrs))
            .await
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        let open = |after| self.inner.list(after);
        self.stream(Operation::reads("list"), after, open, |stat| stat.addr)
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        self.call(Operation::reads("usage"), || self.inner.usage())
            .await
    }

    async fn flush(&self) -> Result<()> {
        self.call(Operation::reads("flush"), || self.inner.flush())
            .await
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
        let write = || self.inner.write(chunk);
        self.interceptor
            .attempt(Operation::writes("write"), write)
            .await
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        let Self { interceptor, inner } = *self;
        let finish = || inner.finish();
        interceptor
            .attempt(Operation::writes("finish"), finish)
            .await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let Self { interceptor, inner } = *self;
        let abort = || inner.abort();
        interceptor.attempt(Operation::writes("abort"), abort).await
    }
}
