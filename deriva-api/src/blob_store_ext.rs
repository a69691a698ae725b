//! Sugar over [`BlobStore`].

use async_trait::async_trait;
use bytes::Bytes;

use crate::{AddrPrefix, Blob, BlobStore, CAddr, Error, ErrorKind, Result};
use futures::TryStreamExt;

/// Calls that every blob store has, written once over the contract. Implemented for all stores.
#[async_trait]
pub trait BlobStoreExt: BlobStore {
    /// Whether the blob is there.
    async fn has_blob(&self, addr: CAddr) -> Result<bool> {
        Ok(self
            .stat(&[addr])
            .await?
            .first()
            .is_some_and(Option::is_some))
    }

    /// Hashes bytes, stores them as one blob, and tells the address.
    async fn put_bytes(&self, bytes: Bytes) -> Result<CAddr> {
        let blob = Blob::new(bytes);
        self.put(std::slice::from_ref(&blob)).await?;
        Ok(blob.addr())
    }

    /// Reads a blob that must be there.
    ///
    /// Errors with [`ErrorKind::NotFound`] when it is absent.
    async fn read_all(&self, addr: CAddr) -> Result<Bytes> {
        let blob = self.get(addr).await?;
        blob.map(Blob::into_bytes).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no such blob")
                .during("get")
                .with("addr", addr)
                .with("store", self)
        })
    }

    /// The addresses of stored blobs that begin with `prefix`, in order, `limit` at the most.
    async fn blobs_with_prefix(&self, prefix: &AddrPrefix, limit: usize) -> Result<Vec<CAddr>> {
        let first = prefix.first();
        let mut found = Vec::new();
        if self.has_blob(first).await? {
            found.push(first);
        }
        let mut list = self.list(Some(first));
        while found.len() < limit {
            match list.try_next().await? {
                Some(stat) if prefix.matches(&stat.addr) => found.push(stat.addr),
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

impl<S: BlobStore + ?Sized> BlobStoreExt for S {}
