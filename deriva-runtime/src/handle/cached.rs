//! The cache as applications see it.

use std::sync::Arc;

use deriva_api::{CAddr, Result};

use crate::cache::{BlobCache, CacheStats, Pinned};
use crate::handle::get::Fetched;
use crate::shared::Deriva;

/// How often a search is made again beside which something was forgotten.
const ATTEMPTS: usize = 4;

impl Deriva {
    /// Makes the bytes of an address available and keeps them in the memory cache while the guard
    /// lives.
    ///
    /// # Errors
    /// `Full` when what is pinned would exceed the limit of the cache; else as
    /// [`Deriva::materialize`].
    pub async fn pin(&self, addr: CAddr) -> Result<Pinned> {
        let cache = self.cache();
        let mut attempts = 0;
        loop {
            if let Some(pinned) = cache.pin(addr)? {
                return Ok(pinned);
            }
            let search = self.inner.search(addr);
            let Fetched {
                blob,
                cost,
                doubted,
            } = self.fetch(addr).await?;
            if doubted {
                return cache.pin_apart(addr, &blob);
            }
            let keep =
                |cache: &Arc<BlobCache>, epoch| cache.insert_pinned(epoch, addr, &blob, cost);
            if let Some(pinned) = self.inner.cache_found(search, keep).transpose()?.flatten() {
                return Ok(pinned);
            }
            // What was found may be what was forgotten meanwhile. Where that goes on and on, who asked has it as
            // it was, and nobody else does.
            attempts += 1;
            if attempts == ATTEMPTS {
                return cache.pin_apart(addr, &blob);
            }
            self.inner.invalidations.all_ended().await;
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
