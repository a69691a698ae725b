//! Computation there.
//!
//! | file | what is in it |
//! |---|---|
//! | `run.rs` | a request, its attempts, and what it tells |
//! | `answers.rs` | what comes of a request: results and bytes, each checked |
//! | `request.rs` | a request as applications make it |
//! | `lease.rs` | what is kept from collection |

mod answers;
pub(crate) mod lease;
pub(crate) mod request;
mod run;

use deriva_api::{
    Audited, Blob, Bytes, CAddr, CollectPolicy, LedgerEntry, Materialized, Materializer, Recipe,
    Request, Result, async_trait,
};

use crate::client::Client;

/// The calls of the same names of [`Client`], which win where both are in scope. `forget` is [`Client::invalidate`] of one address;
/// `collect` takes unreferenced blobs, too.
///
/// A request that meets a transient failure is made again from the beginning, as often as the client is allowed: what was recorded until then is
/// found, and not computed again. Its observers are told of the new [plan](deriva_api::Event::Planned), as of any that is forced; what had begun may
/// be told to begin again. The summary is that of the last attempt.
///
/// Bytes come with the results where another call would have to compute them again: they are doubted, or were not stored.
#[async_trait]
impl Materializer for Client {
    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        self.put_many(blobs).await
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<()> {
        self.insert(recipes).await.map(drop)
    }

    async fn materialize(&self, request: Request) -> Result<Materialized> {
        self.run(&request, false).await
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
        Ok(Box::new(self.lease(addrs).await?))
    }

    async fn collect(&self) -> Result<()> {
        let policy = CollectPolicy::default().unreferenced_blobs(true);
        self.collect().policy(policy).await.map(drop)
    }
}
