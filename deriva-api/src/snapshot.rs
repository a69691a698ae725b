//! What a runtime has under way and holds: what gauges show.

use serde::Serialize;

/// What a runtime has under way and holds, at about one moment. It counts this anyway: to read it asks no store, and keeps
/// nobody from their work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Requests that have begun and not ended.
    pub requests: u64,
    /// Addresses that are being computed, by requests through any handle on the store of the graph.
    pub flights: u64,
    /// Steps that the executor has.
    pub steps: u64,
    /// Slots of the executor: steps that it may have at once, but for those of nested requests.
    pub slots: u64,
    /// Slots that are taken.
    pub slots_in_use: u64,
    /// Slots that requests wait for.
    pub slots_wanted: u64,
    /// Batches of results that are being written.
    pub commits: u64,
    /// Collections, scrubs, invalidations and audits that are under way.
    pub collections: u64,
    /// See `collections`.
    pub scrubs: u64,
    /// See `collections`.
    pub invalidations: u64,
    /// See `collections`.
    pub audits: u64,
    /// Leases that somebody holds, on the store of the graph.
    pub leases: u64,
    /// Bytes that requests hold, to within 64 KiB for each request.
    pub memory_bytes: u64,
    /// Bytes that requests and the memory cache may hold together.
    pub memory_limit: u64,
    /// Bytes of values that were written, since the handle was built, as memory was short.
    pub spilled_bytes: u64,
    /// Recorded outputs that audits computed again since the handle was built and found to be what is recorded, those of
    /// audits under way among them.
    pub audit_agreed: u64,
    /// Those that were found not to be.
    pub audit_violated: u64,
    /// Those that could not be compared.
    pub audit_skipped: u64,
    /// Reads that the memory cache answered since the handle was built: nothing else is told of them.
    pub cached: u64,
    /// Entries of the ledger that were not released.
    pub ledger_open: u64,
    /// Functions that are in quarantine.
    pub quarantined: u64,
    /// The memory cache.
    pub cache: CacheStats,
}

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
    /// Their bytes, with the overhead of each, and those of
    /// entries that were removed while pinned.
    pub bytes: u64,
    /// The part of `bytes` that is pinned.
    pub pinned_bytes: u64,
    /// Bytes that may be held.
    pub limit: u64,
}
