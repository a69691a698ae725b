//! The handle as those see it who know no runtime.

use std::sync::Arc;

use deriva_api::{
    Audited, Blob, Bytes, CAddr, CollectPolicy, LedgerEntry, Materialized, Materializer, Recipe,
    Request, Result, async_trait,
};

use crate::materialize::Materialize;
use crate::shared::Deriva;

/// The calls of the same names of [`Deriva`], which win where both are in scope. `forget` is
/// [`Deriva::invalidate`] of one address; `collect` takes unreferenced blobs, too.
///
/// ```
/// # use std::sync::Arc;
/// # use deriva_api::{BlobStore, DagStore};
/// # use deriva_runtime::DerivaBuilder;
/// use deriva_api::{Blob, CAddr, Materializer, Recipe, Request, Result};
///
/// /// What is served to others needs no more than this.
/// async fn shouted(materializer: &dyn Materializer, text: &'static str) -> Result<CAddr> {
///     let blob = Blob::new(text);
///     let recipe = Recipe::new(&"shout/1".parse()?, &[blob.addr()], &Default::default())?;
///     materializer.put(&[blob]).await?;
///     materializer.insert(&[recipe.clone()]).await?;
///     materializer.materialize(Request::new([recipe.addr()])).await?;
///     Ok(recipe.addr())
/// }
///
/// # let store = deriva_testkit::ModelStore::new();
/// # let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) = (Arc::new(store.clone()), Arc::new(store));
/// # let builder = DerivaBuilder::new().blobs(blobs).dag(dag);
/// # let builder = builder.function("shout", "1", |inputs, _| Ok(inputs[0].to_ascii_uppercase().into()));
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let deriva = builder.build().await?;
/// let recipe = shouted(&deriva, "hello").await?;
/// assert_eq!(deriva.get(recipe).await?, "HELLO");
/// # Ok::<(), deriva_api::Error>(())
/// # }).unwrap();
/// ```
#[async_trait]
impl Materializer for Deriva {
    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        self.put_many(blobs).await
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<()> {
        self.insert(recipes).await.map(drop)
    }

    async fn materialize(&self, request: Request) -> Result<Materialized> {
        Materialize::new(Arc::clone(&self.inner), request).await
    }

    async fn get(&self, addr: CAddr) -> Result<Bytes> {
        self.get(addr).await
    }

    async fn forget(&self, addr: CAddr) -> Result<()> {
        self.invalidate(addr).await.map(drop)
    }

    async fn ledger(&self) -> Result<Vec<LedgerEntry>> {
        self.ledger().await
    }

    async fn release(&self, recipe: CAddr) -> Result<()> {
        self.release(recipe).await
    }

    async fn audit(&self, addr: CAddr) -> Result<Audited> {
        self.audit().addr(addr).await
    }

    async fn lease(&self, addrs: &[CAddr]) -> Result<Box<dyn Send + Sync>> {
        let lease = self.lease();
        lease.protect_many(addrs.iter().copied()).await;
        Ok(Box::new(lease))
    }

    async fn collect(&self) -> Result<()> {
        let policy = CollectPolicy::default().unreferenced_blobs(true);
        self.collect().policy(policy).await.map(drop)
    }

    fn in_use(&self) -> Vec<(&'static str, u64)> {
        self.in_use().counts().to_vec()
    }
}
