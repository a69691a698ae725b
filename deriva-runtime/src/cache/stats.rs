//! What a cache counts.

use serde::Serialize;

/// What the memory cache did since it was made, and what it holds. Taken shard by shard: while others
/// use the cache, the counts need not belong to one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// Addresses that were asked for and held.
    pub hits: u64,
    /// Addresses that were asked for and not held.
    pub misses: u64,
    /// Entries that had to go for others, or because less room was left. Removed ones do not count.
    pub evictions: u64,
    /// The part of `evictions` that went because less room was left: to others that need memory, or by a lower limit.
    pub yielded: u64,
    /// The part of `yielded` that went because the limit is lower: it was set so, or what was pinned above it let go.
    pub above_limit: u64,
    /// Entries that were removed: what was forgotten or collected, and what a caller removes.
    pub removed: u64,
    /// Blobs that were not taken in because they would take more than an eighth of the limit.
    pub refused_large: u64,
    /// Blobs that were not taken in because all that would have to go for them is worth more.
    pub refused_worth: u64,
    /// Blobs that were not pinned because what is pinned would exceed the limit.
    pub refused_pins: u64,
    /// Time that hits saved, in nanoseconds: what it takes to compute what was held, or to read it again where that
    /// takes longer.
    pub saved_nanos: u64,
    /// Entries held.
    pub entries: u64,
    /// Their bytes, with the overhead of each ([`super::BlobCache::ENTRY_BYTES`]), and those of
    /// entries that were removed while pinned.
    pub bytes: u64,
    /// The part of `bytes` that is pinned.
    pub pinned_bytes: u64,
    /// Bytes that may be held.
    pub limit: u64,
}
