//! Damage that somebody meets is gone afterwards.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use async_trait::async_trait;
use bytes::Bytes;
use deriva::authors::BoxStream;
use deriva::stores::{
    BlobCheck, BlobStore, BlobUsage, BlobWriter, Capabilities, DagStore, Evidence,
};
use deriva::{Blob, BlobStat, ByteRange, CAddr, Error, ErrorKind, Result};
use deriva_testkit::ModelStore;
use parking_lot::Mutex;

use crate::steps::Works;

/// A store whose blobs go bad, and stay so until they are removed.
#[derive(Debug)]
struct Rotting {
    inner: ModelStore,
    bad: Mutex<HashSet<CAddr>>,
    /// It remembers all of them as right.
    trusts: AtomicBool,
}

impl Rotting {
    fn check(&self, addr: CAddr) -> Result<()> {
        match self.bad.lock().contains(&addr) {
            true => Err(Error::new(ErrorKind::Corrupt, "it went bad").with("addr", addr)),
            false => Ok(()),
        }
    }

    async fn is_whole(&self, addr: CAddr) -> bool {
        matches!(self.get(addr).await, Ok(Some(_)))
    }
}

impl fmt::Display for Rotting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rotting({})", self.inner)
    }
}

#[async_trait]
impl BlobStore for Rotting {
    fn capabilities(&self) -> Capabilities {
        BlobStore::capabilities(&self.inner)
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        self.inner.put(blobs).await
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        self.inner.writer(expect).await
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        self.check(addr)?;
        self.inner.get(addr).await
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        addrs.iter().try_for_each(|addr| self.check(*addr))?;
        BlobStore::get_many(&self.inner, addrs).await
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        self.check(addr)?;
        self.inner.get_range(addr, range).await
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        self.inner.stat(addrs).await
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        let found = addrs.iter().zip(self.inner.verify(addrs).await?);
        let told = found.map(|(addr, found)| match found {
            BlobCheck::Right(_) if self.trusts.load(SeqCst) => found,
            BlobCheck::Right(_) if self.check(*addr).is_err() => BlobCheck::Damaged,
            BlobCheck::Right(_) => BlobCheck::Right(Evidence::Read),
            other => other,
        });
        Ok(told.collect())
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        BlobStore::remove(&self.inner, addrs).await?;
        self.bad.lock().retain(|addr| !addrs.contains(addr));
        Ok(())
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        BlobStore::list(&self.inner, after)
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        BlobStore::usage(&self.inner).await
    }

    async fn flush(&self) -> Result<()> {
        BlobStore::flush(&self.inner).await
    }
}

/// A runtime over it, a recipe, and the blob that it made and that went bad.
async fn damaged(trusts: bool) -> (Works, Arc<Rotting>, CAddr, Blob) {
    let inner = ModelStore::new();
    let store = Arc::new(Rotting {
        inner: inner.clone(),
        bad: Mutex::default(),
        trusts: AtomicBool::new(trusts),
    });
    let blobs: Arc<dyn BlobStore> = store.clone();
    let dag: Arc<dyn DagStore> = Arc::new(inner);
    // Without a cache all is read from the store.
    let works = Works::with(|builder| builder.blobs(blobs).dag(dag).cache_bytes(0)).await;
    let leaves = [works.leaf("some ").await, works.leaf("bytes").await];
    let made = works.recipe("concat", &leaves).await;
    let blob = Blob::new("some bytes");
    assert_eq!(works.deriva.get(made).await.unwrap(), *blob.bytes());
    store.bad.lock().insert(blob.addr());
    assert!(!store.is_whole(blob.addr()).await);
    (works, store, made, blob)
}

/// A put replaces what is damaged, in one piece or read from somewhere.
#[tokio::test]
async fn a_put_replaces_what_is_damaged() {
    for streamed in [false, true] {
        let (works, store, _, blob) = damaged(false).await;
        let addr = match streamed {
            false => works.deriva.put(blob.bytes().clone()).await.unwrap(),
            true => {
                works
                    .deriva
                    .put_reader(&blob.bytes()[..])
                    .await
                    .unwrap()
                    .addr
            }
        };
        assert_eq!(addr, blob.addr());
        assert!(store.is_whole(addr).await);
        works.is_idle().await;
    }
}

/// What is opened for reading was looked at: what a recipe makes is made again before the first piece is read.
#[tokio::test]
async fn what_is_opened_is_whole() {
    let (works, store, made, blob) = damaged(false).await;
    let mut reader = works.deriva.open(made).await.unwrap();
    let read = reader.next_chunk().await.unwrap();
    assert_eq!(read.as_ref(), Some(blob.bytes()));
    assert!(store.is_whole(blob.addr()).await);
    drop(reader);
    works.is_idle().await;
}

/// A read that meets damage is believed, whatever the store remembers.
#[tokio::test]
async fn what_a_read_found_damaged_is_made_again() {
    let (works, store, made, blob) = damaged(true).await;
    assert_eq!(works.deriva.get(made).await.unwrap(), *blob.bytes());
    assert!(store.is_whole(blob.addr()).await);
    works.is_idle().await;
}

/// A scrub reads what is there, also what the store remembers as right.
#[tokio::test]
async fn a_scrub_reads_what_is_remembered() {
    let (works, store, _, blob) = damaged(true).await;
    let done = works.deriva.scrub().await.unwrap();
    assert_eq!((done.blobs, done.corrupt, done.healed), (3, 1, 1));
    assert!(store.is_whole(blob.addr()).await);
    works.is_idle().await;
}
