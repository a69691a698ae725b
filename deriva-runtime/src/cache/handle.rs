//! The cache as applications see it.

use std::sync::Arc;

use deriva_api::{CAddr, Result};

use super::{BlobCache, CacheStats, Pinned};
use crate::Deriva;

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
            if let Some(pinned) = cache.pin(addr)? {
                return Ok(pinned);
            }
            let epoch = cache.epoch(addr);
            let (blob, cost) = self.fetch(addr).await?;
            if let Some(pinned) = cache.insert_pinned(epoch, addr, &blob, cost)? {
                return Ok(pinned);
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
