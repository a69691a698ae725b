//! Random operations against the policy as it is written down: one table, looked through as a whole.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::cache::Pinned;
use crate::cache::priority::{Clock, Priority, worth};

const KEYS: u64 = 40;

#[derive(Clone, Debug)]
enum Op {
    Get(u64),
    Insert(u64),
    Remove(u64),
    Pin(u64),
    InsertPinned(u64),
    Unpin(usize),
    Evict(u64),
    SetLimit(u64),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (0..KEYS).prop_map(Op::Get),
        20 => (0..KEYS).prop_map(Op::Insert),
        2 => (0..KEYS).prop_map(Op::Remove),
        3 => (0..KEYS).prop_map(Op::Pin),
        2 => (0..KEYS).prop_map(Op::InsertPinned),
        4 => any::<usize>().prop_map(Op::Unpin),
        1 => (1..20_000u64).prop_map(Op::Evict),
        1 => (20_000..60_000u64).prop_map(Op::SetLimit),
        1 => Just(Op::Clear),
    ]
}

#[derive(Debug)]
struct Entry {
    size: u64,
    worth: f64,
    frequency: u32,
    priority: Priority,
    /// Guards; shared with those that outlive a removal.
    id: u64,
}

#[derive(Debug, Default)]
struct Model {
    entries: BTreeMap<u64, Entry>,
    clock: Clock,
    limit: u64,
    next_id: u64,
    /// Guards by the entry's id and size, in the order in which they were taken.
    pins: Vec<(u64, u64)>,
}

/// Sizes and costs differ from key to key, and no two are worth the same.
fn entry_of(key: u64) -> (Blob, Duration) {
    let size = BlobCache::ENTRY_BYTES + 37 * key + key * key % 1000;
    let cost = Duration::from_nanos(100_000 + key * 7_919 % 13 * 1_000_003 + key);
    (blob_of(size), cost)
}

impl Model {
    fn is_pinned(&self, id: u64) -> bool {
        self.pins.iter().any(|(pinned, _)| *pinned == id)
    }

    fn pinned_bytes(&self) -> u64 {
        let once: BTreeMap<u64, u64> = self.pins.iter().copied().collect();
        once.values().sum()
    }

    fn bytes(&self) -> u64 {
        let entries = self.entries.values();
        let unpinned = entries.filter(|entry| !self.is_pinned(entry.id));
        self.pinned_bytes() + unpinned.map(|entry| entry.size).sum::<u64>()
    }

    fn evict_lowest(&mut self, bound: Priority) -> Option<u64> {
        let unpinned = self.entries.iter();
        let unpinned = unpinned.filter(|(_, entry)| !self.is_pinned(entry.id));
        let lowest = unpinned.min_by_key(|(_, entry)| entry.priority);
        let key = *lowest.filter(|(_, entry)| entry.priority <= bound)?.0;
        let entry = self.entries.remove(&key)?;
        self.clock.rise_to(entry.priority);
        Some(entry.size)
    }

    fn shrink_to(&mut self, bytes: u64) {
        while self.bytes() > bytes && self.evict_lowest(Priority::NONE).is_some() {}
    }

    fn insert(&mut self, key: u64, pinned: bool) {
        let (blob, cost) = entry_of(key);
        let size = size(&blob);
        if self.entries.contains_key(&key) || (!pinned && size * 8 > self.limit) {
            return;
        }
        let worth = worth(cost, blob.len(), size);
        let priority = self.clock.priority(1, worth);
        let bound = if pinned { Priority::NONE } else { priority };
        while self.bytes() + size > self.limit {
            if self.evict_lowest(bound).is_none() {
                let share = size as f64 / self.limit as f64;
                return self.clock.approach(priority, share);
            }
        }
        let priority = self.clock.priority(1, worth);
        let entry = Entry {
            size,
            worth,
            frequency: 1,
            priority,
            id: self.next_id,
        };
        self.next_id += 1;
        self.entries.insert(key, entry);
    }

    fn pin(&mut self, key: u64) -> bool {
        let Some(entry) = self.entries.get(&key) else {
            return false;
        };
        let fits = self.is_pinned(entry.id) || self.pinned_bytes() + entry.size <= self.limit;
        if fits {
            self.pins.push((entry.id, entry.size));
        }
        fits
    }
}

proptest! {
    #[test]
    fn it_holds_what_the_policy_says_and_counts_it(ops in prop::collection::vec(op(), 1..400)) {
        let cache = cache(40_000);
        let mut model = Model { limit: 40_000, ..Model::default() };
        let mut pins: Vec<Pinned> = Vec::new();
        for op in ops {
            match op.clone() {
                Op::Get(i) => {
                    let entry = model.entries.get_mut(&i);
                    prop_assert_eq!(cache.get(key(i)).is_some(), entry.is_some());
                    if let Some(entry) = entry {
                        entry.frequency += 1;
                        entry.priority = model.clock.priority(entry.frequency, entry.worth);
                    }
                }
                Op::Insert(i) => {
                    let (blob, cost) = entry_of(i);
                    cache.insert(key(i), &blob, cost);
                    model.insert(i, false);
                }
                Op::Remove(i) => {
                    prop_assert_eq!(cache.remove(key(i)), model.entries.remove(&i).is_some());
                }
                Op::Pin(i) => {
                    let pinned = cache.pin(key(i)).ok().flatten();
                    prop_assert_eq!(pinned.is_some(), model.pin(i));
                    pins.extend(pinned);
                }
                Op::InsertPinned(i) => {
                    let (blob, cost) = entry_of(i);
                    let pinned = cache.insert_pinned(cache.epoch(key(i)), key(i), &blob, cost);
                    let fits = model.pinned_bytes() + size(&blob) <= model.limit;
                    if fits {
                        model.insert(i, true);
                    }
                    let fits = model.pin(i);
                    prop_assert_eq!(pinned.is_ok(), fits);
                    pins.extend(pinned.ok().flatten());
                }
                Op::Unpin(at) if !pins.is_empty() => {
                    let at = at % pins.len();
                    drop(pins.remove(at));
                    model.pins.remove(at);
                    model.shrink_to(model.limit);
                }
                Op::Unpin(_) => {}
                Op::Evict(bytes) => {
                    let mut freed = 0;
                    while freed < bytes {
                        let Some(size) = model.evict_lowest(Priority::NONE) else { break };
                        freed += size;
                    }
                    prop_assert_eq!(cache.evict(bytes), freed);
                }
                Op::SetLimit(limit) => {
                    cache.set_limit(limit);
                    model.limit = limit;
                    model.shrink_to(limit);
                }
                Op::Clear => {
                    cache.clear();
                    model.entries.clear();
                }
            }
            let held: Vec<u64> = model.entries.keys().copied().collect();
            prop_assert_eq!(cache.held(0..KEYS), held, "after {:?}", op);
            let stats = cache.assert_accounted();
            prop_assert_eq!(stats.bytes, model.bytes());
            prop_assert_eq!(stats.pinned_bytes, model.pinned_bytes());
        }
    }
}
