//! The server's blobs as a store.
//!
//! | file | what is in it |
//! |---|---|
//! | `get.rs` | bytes from there: whole blobs, which are verified here, and ranges |
//! | `put.rs` | blobs in hand, and what of them is missing there |
//! | `writer.rs` | a blob that comes piece by piece |

pub(crate) mod get;
pub(crate) mod put;
pub(crate) mod writer;

use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, BoxStream, ByteRange, Bytes,
    CAddr, Capabilities, Result, StoreCounters, async_trait,
};
use deriva_proto::{bytes_of, bytes_of_all, v1};
use futures::stream::{StreamExt, TryStreamExt, iter};

use crate::answers::{as_many, checked, told};
use crate::batches::{AT_ONCE, MAX_ITEMS, MAX_VERIFIED};
use crate::client::Client;
use crate::link::call;
use crate::listing::listed;

/// Whole blobs are verified as they arrive: wrong bytes are `Corrupt`, and never given out. Of a range alone nobody can tell whether it
/// is right: the server has verified what it sends, and TLS keeps it so on the way.
#[async_trait]
impl BlobStore for Client {
    fn capabilities(&self) -> Capabilities {
        self.inner.of_blobs
    }

    /// Asks first what is missing there, where there is much to send. What was there already is made durable, as what is sent is.
    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        self.put_absent(blobs).await
    }

    /// The pieces are sent as they come. A connection that breaks ends the writer with `Unavailable`, and nothing is stored: what was sent
    /// is not kept here. Begin a new one.
    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(self.upload(expect)))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        self.whole("get", addr).await
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        let blobs = iter(addrs.to_vec())
            .map(|addr| self.whole("get_many", addr))
            .buffered(AT_ONCE);
        blobs.try_collect().await
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        self.part(addr, range).await
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        let link = self.link();
        let mut found = Vec::with_capacity(addrs.len());
        for batch in addrs.chunks(MAX_ITEMS) {
            let request = v1::StatRequest {
                addrs: bytes_of_all(batch),
            };
            let answer = call!(link.short(request) -> blobs.stat).await?;
            checked("stat", || as_many(batch.len(), answer.stats.len()))?;
            let stats = batch.iter().zip(answer.stats);
            found.extend(stats.map(|(addr, stat)| stat.of(*addr)));
        }
        Ok(found)
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        let link = self.link();
        let mut found = Vec::with_capacity(addrs.len());
        for batch in addrs.chunks(MAX_VERIFIED) {
            let request = v1::VerifyRequest {
                addrs: bytes_of_all(batch),
            };
            let answer = call!(link.long(request) -> blobs.verify).await?;
            found.extend(checked("verify", || {
                as_many(batch.len(), answer.checks.len())?;
                told(answer.found())
            })?);
        }
        Ok(found)
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        let link = self.link();
        for batch in addrs.chunks(MAX_ITEMS) {
            let request = v1::RemoveBlobsRequest {
                addrs: bytes_of_all(batch),
            };
            call!(link.long(request) -> blobs.remove).await?;
        }
        Ok(())
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        let open = |after: Option<CAddr>| {
            let mut service = self.link().blobs();
            let after = after.map(bytes_of);
            async move { service.list(v1::ListBlobsRequest { after }).await }
        };
        listed(
            self.link(),
            "list",
            after,
            open,
            |page: v1::ListBlobsResponse| {
                let stats = page.blobs.into_iter().map(|stat| {
                    let stat = told(BlobStat::try_from(stat))?;
                    Ok((stat.addr, stat))
                });
                stats.collect()
            },
        )
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        let link = self.link();
        let answer = call!(link.short(v1::BlobUsageRequest {}) -> blobs.usage).await?;
        Ok(answer.usage.map(BlobUsage::from))
    }

    async fn flush(&self) -> Result<()> {
        let link = self.link();
        call!(link.long(v1::FlushBlobsRequest {}) -> blobs.flush).await?;
        Ok(())
    }

    fn counters(&self) -> StoreCounters {
        self.counted()
    }
}

impl Client {
    /// Both halves of the store have the same numbers.
    pub(crate) fn counted(&self) -> StoreCounters {
        let mut counters = StoreCounters::default();
        counters.retries = Some(std::sync::Arc::clone(&self.link().retries));
        counters
    }
}
