//! The memory cache: blobs under the address that was asked for, worth what it costs to have them again.
//!
//! What goes first is decided by GreedyDual-Size-Frequency (L. Cherkasova, "Improving WWW Proxies
//! Performance with Greedy-Dual-Size-Frequency Caching Policy", HP Labs report HPL-98-69R1, 1998): an
//! entry's priority is `clock + frequency * cost / size`, the entry of the lowest priority goes, and
//! the clock rises to its priority. So a hit costs no more than a counter and a sum: the order is set
//! right when an entry comes up for eviction, which gives the same victims, because a priority only
//! ever rises.
//!
//! The cache is cut into shards by bits of the address, each behind a lock of its own; nobody holds
//! two. Clock, limit and byte counts are shared atomics, and so is the lowest priority of each shard:
//! who needs room evicts from the shard where it is lowest of all.
//!
//! An address always means the same bytes, so nothing here grows stale but by a removal; see
//! [`BlobCache::epoch`].

mod part;
mod pinned;
mod priority;
mod shard;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use deriva_api::{Blob, CAddr};

pub use deriva_api::CacheStats;
pub use pinned::Pinned;
#[doc(hidden)]
pub use priority::read_again;

use part::{Changing, Part};
use priority::{Clock, Priority, worth};
use shard::Shard;

/// A power of two. More than cores usually are, so that two threads rarely meet.
const SHARDS: usize = 32;

/// An entry that would take more than this part of the limit is not taken in.
const LARGEST_SHARE: u64 = 8;

/// Holds blobs in memory up to a number of bytes, and lets go first of those that cost the least to
/// have again.
pub struct BlobCache {
    parts: [Part; SHARDS],
    clock: Clock,
    limit: AtomicU64,
    /// Of all entries, of those that were removed while pinned, and of those about to be inserted.
    bytes: AtomicU64,
    /// The part of `bytes` that is pinned.
    pinned: AtomicU64,
    /// Entries that were evicted as less room was left.
    yielded: AtomicU64,
    /// See [`CacheStats`].
    above_limit: AtomicU64,
    refused_worth: AtomicU64,
    refused_pins: AtomicU64,
}

/// A moment in the removals of a cache; see [`BlobCache::epoch`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

impl BlobCache {
    /// What an entry takes beside the bytes of its blob, at the most: its place in the table when that
    /// has just grown, in the order when its nodes are as empty as they get, and in the allocator.
    pub const ENTRY_BYTES: u64 = shard::ENTRY_BYTES;

    /// An empty cache of at most `limit` bytes; 0 turns it off.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            parts: std::array::from_fn(|_| Part::default()),
            clock: Clock::default(),
            limit: AtomicU64::new(limit),
            bytes: AtomicU64::new(0),
            pinned: AtomicU64::new(0),
            yielded: AtomicU64::new(0),
            above_limit: AtomicU64::new(0),
            refused_worth: AtomicU64::new(0),
            refused_pins: AtomicU64::new(0),
        }
    }

    /// The blob of an address, where it is held.
    #[must_use]
    pub fn get(&self, addr: CAddr) -> Option<Blob> {
        self.parts[place(addr)].get(addr, &self.clock)
    }

    /// Takes a blob in, unless everything that would have to go for it is worth more, or it would take
    /// more than an eighth of the limit. `cost` is the time that it takes to make it again; what is
    /// cheaper than to be read again from a store, such as zero for a leaf, counts as that
    /// ([`read_again`]).
    pub fn insert(&self, addr: CAddr, blob: &Blob, cost: Duration) {
        self.insert_since(self.epoch(addr), addr, blob, cost);
    }

    /// The moment in the removals to which a look into the stores belongs. Whoever reads an address
    /// there in order to insert it takes the epoch before, so that [`BlobCache::insert_since`] takes
    /// in nothing that was removed meanwhile.
    #[doc(hidden)]
    #[must_use]
    pub fn epoch(&self, addr: CAddr) -> Epoch {
        Epoch(self.shard(addr).removals)
    }

    /// As [`BlobCache::insert`], but does nothing if the address may have been removed since `epoch`.
    #[doc(hidden)]
    pub fn insert_since(&self, epoch: Epoch, addr: CAddr, blob: &Blob, cost: Duration) {
        let size = size(blob);
        let worth = worth(cost, blob.len(), size);
        let limit = self.limit();
        {
            let mut shard = self.shard(addr);
            if shard.removals != epoch.0 || shard.renew(addr, blob, worth) {
                return;
            }
            if size > limit / LARGEST_SHARE {
                // One that is turned off takes nothing in.
                shard.too_large += u64::from(limit > 0);
                return;
            }
        }
        let priority = self.clock.priority(1, worth);
        if !self.reserve(size, priority) {
            // As if it had been taken in and evicted at once; but what never pushed anything out ages
            // the others by no more than the share that it would have taken. Else a few newcomers
            // would end what a scan as long as the whole cache may not.
            self.clock.approach(priority, size as f64 / limit as f64);
            self.refused_worth.fetch_add(1, Relaxed);
            return;
        }
        let mut shard = self.shard(addr);
        if shard.removals != epoch.0 || shard.renew(addr, blob, worth) {
            self.give_back(size);
        } else {
            self.replace(&mut shard, addr);
            shard.insert(addr, blob.clone(), worth, &self.clock, 0);
        }
    }

    /// Lets go of an address; answers whether it was held. A pinned one is gone for everybody who
    /// asks from now on, and its bytes count until the last guard is dropped.
    pub fn remove(&self, addr: CAddr) -> bool {
        let mut shard = self.shard(addr);
        shard.removals += 1;
        let was_held = self.replace(&mut shard, addr);
        shard.removed += u64::from(was_held);
        was_held
    }

    /// Lets go of everything, as [`BlobCache::remove`] does.
    pub fn clear(&self) {
        for part in &self.parts {
            let mut shard = part.lock();
            shard.removals += 1;
            let freed = shard.clear();
            self.give_back(freed);
        }
    }

    /// Sets the limit, and evicts what is above it.
    pub fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Relaxed);
        self.shrink_to(bytes);
    }

    /// Evicts until at most `bytes` bytes are held, or all that are left are pinned; answers with the
    /// bytes that were freed.
    pub fn shrink_to(&self, bytes: u64) -> u64 {
        let mut freed = 0;
        while self.bytes() > bytes {
            match self.make_yield() {
                Some(size) => freed += size,
                None => break,
            }
            self.above_limit.fetch_add(1, Relaxed);
        }
        freed
    }

    /// Evicts until `bytes` bytes are freed, or all that are left are pinned; answers with the bytes
    /// that were freed.
    pub fn evict(&self, bytes: u64) -> u64 {
        let mut freed = 0;
        while freed < bytes {
            match self.make_yield() {
                Some(size) => freed += size,
                None => break,
            }
        }
        freed
    }

    /// Evicts the lowest entry, as less room is left; answers with its bytes.
    fn make_yield(&self) -> Option<u64> {
        let freed = self.evict_lowest(Priority::NONE)?;
        self.yielded.fetch_add(1, Relaxed);
        Some(freed)
    }

    /// Bytes held, with [`BlobCache::ENTRY_BYTES`] for each entry.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// What the cache did since it was made, and what it holds.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let mut stats = CacheStats::default();
        stats.bytes = self.bytes();
        stats.pinned_bytes = self.pinned.load(Relaxed);
        stats.yielded = self.yielded.load(Relaxed);
        stats.above_limit = self.above_limit.load(Relaxed);
        stats.refused_worth = self.refused_worth.load(Relaxed);
        stats.refused_pins = self.refused_pins.load(Relaxed);
        stats.limit = self.limit();
        for part in &self.parts {
            part.lock().count(&mut stats);
        }
        stats
    }

    /// Counts `size` bytes as held, evicting what has a priority of at most `priority` to have them
    /// below the limit; answers whether that was enough. What was evicted in vain was worth less.
    fn reserve(&self, size: u64, priority: Priority) -> bool {
        loop {
            let limit = self.limit();
            let fits = |bytes: u64| bytes.checked_add(size).filter(|sum| *sum <= limit);
            if self.bytes.fetch_update(Relaxed, Relaxed, fits).is_ok() {
                return true;
            }
            if self.evict_lowest(priority).is_none() {
                return false;
            }
        }
    }

    /// Evicts the entry with the lowest priority of all, if that is at most `bound`; answers with its
    /// bytes.
    fn evict_lowest(&self, bound: Priority) -> Option<u64> {
        loop {
            let seen = self.parts.iter().map(|part| (part, part.lowest()));
            let (part, seen) = seen.min_by_key(|(_, lowest)| *lowest)?;
            if seen == Priority::NONE || seen > bound {
                return None;
            }
            // Hits may have raised it since: then another shard may have a lower one, so look again.
            let evicted = part.lock().evict(seen);
            if let Some((blob, priority)) = evicted {
                self.clock.rise_to(priority);
                self.give_back(size(&blob));
                return Some(size(&blob));
            }
        }
    }

    fn replace(&self, shard: &mut Shard, addr: CAddr) -> bool {
        let removed = shard.remove(addr);
        self.give_back(removed.unwrap_or(0));
        removed.is_some()
    }

    fn give_back(&self, size: u64) {
        self.bytes.fetch_sub(size, Relaxed);
    }

    fn shard(&self, addr: CAddr) -> Changing<'_> {
        self.parts[place(addr)].lock()
    }
}

impl fmt::Debug for BlobCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobCache({} of {} B)", self.bytes(), self.limit())
    }
}

/// The part of an address. The table inside hashes by the first bytes, so this takes the last.
fn place(addr: CAddr) -> usize {
    usize::from(addr.as_bytes()[CAddr::LEN - 1]) % SHARDS
}

fn size(blob: &Blob) -> u64 {
    BlobCache::ENTRY_BYTES + blob.len()
}
