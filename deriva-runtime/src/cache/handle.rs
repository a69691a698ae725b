//! The cache as applications see it.

use std::sync::Arc;

use deriva_api::{Blob, Bytes, CAddr, Result};

use super::{BlobCache, CacheStats, Pin};
use crate::Deriva;

/// Keeps the bytes of an address in memory until it is dropped; see [`Deriva::pin`].
#[derive(Debug)]
#[must_use = "the bytes are unpinned when this is dropped"]
pub struct Pinned(Pin);

impl Pinned {
    /// The address that was asked for.
    #[must_use]
    pub fn addr(&self) -> CAddr {
        self.0.addr()
    }

    /// The blob: of a recipe, its output.
    #[must_use]
    pub fn blob(&self) -> &Blob {
        self.0.blob()
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.0.blob().bytes()
    }
}

impl Deriva {
    /// Makes the bytes of an address available and keeps them in the memory cache while the guard
    /// lives.
    ///
    /// # Errors
    /// `Full` when what is pinned would exceed the limit of the cache; else as
    /// [`Deriva::materialize`].
    pub async fn pin(&self, addr: CAddr) -> Result<Pinned> {
        let cache = self.cache();
        loop {
            if let Some(pin) = cache.pin(addr)? {
                return Ok(Pinned(pin));
            }
            let epoch = cache.epoch(addr);
            let (blob, cost) = self.fetch(addr).await?;
            if let Some(pin) = cache.insert_pinned(epoch, addr, &blob, cost)? {
                return Ok(Pinned(pin));
            }
        }
    }

    /// The memory cache: to change its limit, to make it give bytes back.
    #[must_use]
    pub fn cache(&self) -> &Arc<BlobCache> {
        &self.inner.cache
    }

    /// What the memory cache did, and what it holds.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        self.cache().stats()
    }
}
