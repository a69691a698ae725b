//! The memory cache: blobs that were asked for lately, under the address that was asked for.

use deriva_api::{Blob, CAddr};
use quick_cache::{Weighter, sync::Cache};

#[derive(Clone, Copy, Debug)]
struct ByBytes;

impl Weighter<CAddr, Blob> for ByBytes {
    fn weight(&self, _: &CAddr, blob: &Blob) -> u64 {
        ENTRY_BYTES + blob.len()
    }
}

/// What an entry costs beside its bytes: key, blob header and the cache's own record.
const ENTRY_BYTES: u64 = 160;

/// Holds blobs up to a number of bytes. What is held was verified when it was read or hashed when it
/// was made; an address always means the same bytes, so nothing here grows stale.
pub(crate) struct BlobCache {
    cache: Cache<CAddr, Blob, ByBytes>,
    limit: u64,
}

impl BlobCache {
    pub(crate) fn new(limit: u64) -> Self {
        let entries = usize::try_from(limit / 4096)
            .unwrap_or(usize::MAX)
            .clamp(64, 1 << 20);
        Self {
            cache: Cache::with_weighter(entries, limit.max(1), ByBytes),
            limit,
        }
    }

    pub(crate) fn get(&self, addr: CAddr) -> Option<Blob> {
        self.cache.get(&addr)
    }

    /// Keeps a blob, unless it is so large that it would push out most of the others.
    pub(crate) fn insert(&self, addr: CAddr, blob: &Blob) {
        if blob.len().saturating_mul(8) <= self.limit {
            self.cache.insert(addr, blob.clone());
        }
    }

    pub(crate) fn evict(&self, _bytes: u64) {
        self.cache.clear();
    }

    pub(crate) fn remove(&self, addr: CAddr) {
        self.cache.remove(&addr);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }
}

impl std::fmt::Debug for BlobCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobCache({} of {} B)", self.bytes(), self.limit)
    }
}
