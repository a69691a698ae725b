//! One part of the cache, behind one lock: a table of entries and the order in which they go.

use std::collections::BTreeMap;

use deriva_api::{Blob, BuildAddrHasher, CAddr, CacheStats};
use hashbrown::HashMap;

use super::priority::{Clock, Priority};
use super::size;

type Table = HashMap<CAddr, Entry, BuildAddrHasher>;

/// See [`super::BlobCache::ENTRY_BYTES`].
pub(super) const ENTRY_BYTES: u64 = {
    // A table doubles when it is 7/8 full, so 7/16 of it are in use at the least.
    let table = (size_of::<(CAddr, Entry)>() + 1) * 16 / 7;
    // A leaf of std's B-tree has room for 11 and holds 5 at the least; links and inner nodes add less
    // than a word for each place.
    let order = (size_of::<(Place, CAddr)>() + size_of::<usize>()) * 11 / 5;
    // The header of shared `Bytes`, and what an allocator adds to it and to the bytes.
    let bytes = 5 * size_of::<usize>();
    (table + order + bytes) as u64
};

#[derive(Debug, Default)]
pub(super) struct Shard {
    table: Table,
    /// Who goes next, of those not pinned. A hit raises the priority in the table only, so what
    /// stands here is a lower bound, set right when it comes up.
    order: BTreeMap<Place, CAddr>,
    /// Entries that were removed while pinned.
    orphans: Vec<Orphan>,
    /// How often something was removed other than by eviction.
    pub(super) removals: u64,
    next_id: u64,
    hits: u64,
    misses: u64,
    evictions: u64,
    /// Entries that were removed other than by eviction.
    pub(super) removed: u64,
    /// Blobs that were too large to be taken in.
    pub(super) too_large: u64,
    /// Nanoseconds.
    saved: f64,
}

/// A place in the order: among equals the oldest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    priority: Priority,
    id: u64,
}

#[derive(Debug)]
struct Entry {
    blob: Blob,
    worth: f64,
    frequency: u32,
    /// Guards that hold it; while there are any, it stands in no order.
    pins: u32,
    priority: Priority,
    place: Place,
}

#[derive(Debug)]
struct Orphan {
    id: u64,
    size: u64,
    pins: u32,
}

/// What the end of a guard means for the counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unpinned {
    /// Other guards hold the entry.
    Held,
    /// The entry can be evicted again.
    Free(u64),
    /// The entry had been removed, and now its bytes are gone too.
    Gone(u64),
}

impl Shard {
    pub(super) fn get(&mut self, addr: CAddr, clock: &Clock) -> Option<Blob> {
        let Some(entry) = self.table.get_mut(&addr) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.saved += entry.worth * size(&entry.blob) as f64;
        entry.frequency = entry.frequency.saturating_add(1);
        entry.priority = clock.priority(entry.frequency, entry.worth);
        Some(entry.blob.clone())
    }

    /// If this very blob is held under the address already, notes what it is worth, if that is more: a
    /// priority only rises.
    pub(super) fn renew(&mut self, addr: CAddr, blob: &Blob, worth: f64) -> bool {
        let entry = self.table.get_mut(&addr);
        let same = entry.filter(|entry| entry.blob.addr() == blob.addr());
        same.map(|entry| entry.worth = entry.worth.max(worth))
            .is_some()
    }

    /// Inserts an entry that is not there; answers with its id, by which it is unpinned.
    pub(super) fn insert(
        &mut self,
        addr: CAddr,
        blob: Blob,
        worth: f64,
        clock: &Clock,
        pins: u32,
    ) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let priority = clock.priority(1, worth);
        let place = Place { priority, id };
        let entry = Entry {
            blob,
            worth,
            frequency: 1,
            pins,
            priority,
            place,
        };
        self.table.insert(addr, entry);
        if pins == 0 {
            self.order.insert(place, addr);
        }
        id
    }

    /// Notes a pinned entry that nobody finds; answers with its id.
    pub(super) fn insert_orphan(&mut self, size: u64) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.orphans.push(Orphan { id, size, pins: 1 });
        id
    }

    /// Removes an entry, if it is there; answers with the bytes that this frees.
    pub(super) fn remove(&mut self, addr: CAddr) -> Option<u64> {
        let entry = self.table.remove(&addr)?;
        Some(self.removed(entry))
    }

    /// Removes all entries; answers with the bytes that this frees.
    pub(super) fn clear(&mut self) -> u64 {
        let table = std::mem::take(&mut self.table);
        self.removed += table.len() as u64;
        table.into_values().map(|entry| self.removed(entry)).sum()
    }

    /// Evicts the entry that is lowest, if its priority is at most `bound`; answers with its blob,
    /// to be dropped after the lock, and its priority.
    pub(super) fn evict(&mut self, bound: Priority) -> Option<(Blob, Priority)> {
        while let Some((place, addr)) = self.order.pop_first() {
            let Some(entry) = self.table.get_mut(&addr) else {
                continue;
            };
            // Only a priority that is right can be compared, and only that of the first needs to be.
            if entry.priority != place.priority {
                entry.place.priority = entry.priority;
                self.order.insert(entry.place, addr);
                continue;
            }
            if place.priority > bound {
                self.order.insert(place, addr);
                return None;
            }
            let evicted = self.table.remove(&addr)?;
            self.evictions += 1;
            return Some((evicted.blob, place.priority));
        }
        None
    }

    /// The lowest priority in the order: that of the next victim, or below.
    pub(super) fn lowest(&self) -> Priority {
        self.order
            .first_key_value()
            .map_or(Priority::NONE, |(place, _)| place.priority)
    }

    /// Holds an entry until it is unpinned. `take` is called with its size if it was not pinned
    /// before, and may refuse.
    pub(super) fn pin<E>(
        &mut self,
        addr: CAddr,
        take: impl FnOnce(u64) -> Result<(), E>,
    ) -> Result<Option<(u64, Blob)>, E> {
        let Some(entry) = self.table.get_mut(&addr) else {
            return Ok(None);
        };
        if entry.pins == 0 {
            take(size(&entry.blob))?;
            self.order.remove(&entry.place);
        }
        entry.pins += 1;
        Ok(Some((entry.place.id, entry.blob.clone())))
    }

    /// Ends a guard on the entry `id`, or on what is left of it.
    pub(super) fn unpin(&mut self, addr: CAddr, id: u64) -> Unpinned {
        let entry = self.table.get_mut(&addr);
        if let Some(entry) = entry.filter(|entry| entry.place.id == id) {
            entry.pins -= 1;
            if entry.pins > 0 {
                return Unpinned::Held;
            }
            entry.place.priority = entry.priority;
            self.order.insert(entry.place, addr);
            return Unpinned::Free(size(&entry.blob));
        }
        let Some(at) = self.orphans.iter().position(|orphan| orphan.id == id) else {
            return Unpinned::Held;
        };
        self.orphans[at].pins -= 1;
        if self.orphans[at].pins > 0 {
            return Unpinned::Held;
        }
        Unpinned::Gone(self.orphans.swap_remove(at).size)
    }

    /// Adds what this shard counted to `stats`.
    pub(super) fn count(&self, stats: &mut CacheStats) {
        stats.hits += self.hits;
        stats.misses += self.misses;
        stats.evictions += self.evictions;
        stats.removed += self.removed;
        stats.refused_large += self.too_large;
        stats.saved_nanos += self.saved as u64;
        stats.entries += self.table.len() as u64;
    }

    fn removed(&mut self, entry: Entry) -> u64 {
        let size = size(&entry.blob);
        if entry.pins == 0 {
            self.order.remove(&entry.place);
            return size;
        }
        self.orphans.push(Orphan {
            id: entry.place.id,
            size,
            pins: entry.pins,
        });
        0
    }
}

#[cfg(test)]
impl Shard {
    pub(super) fn contains(&self, addr: CAddr) -> bool {
        self.table.contains_key(&addr)
    }

    /// Bytes of entries and orphans, of the pinned among them, and of the table's memory.
    pub(super) fn measure(&self) -> (u64, u64, u64) {
        let sizes = self
            .table
            .values()
            .map(|entry| (size(&entry.blob), entry.pins));
        let orphans = self.orphans.iter().map(|orphan| (orphan.size, orphan.pins));
        let (mut all, mut pinned) = (0, 0);
        for (size, pins) in sizes.chain(orphans) {
            all += size;
            pinned += if pins > 0 { size } else { 0 };
        }
        let unpinned = self.table.values().filter(|entry| entry.pins == 0).count();
        assert_eq!(unpinned, self.order.len());
        (all, pinned, self.table.allocation_size() as u64)
    }
}
