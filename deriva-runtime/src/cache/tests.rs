//! The promises of the cache.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Blob, CAddr, ErrorKind};

use super::{BlobCache, CacheStats, size};

mod concurrency;
mod model;
mod pinning;

fn key(i: u64) -> CAddr {
    CAddr::of_blob(&i.to_le_bytes())
}

/// A blob that makes an entry of `size` bytes.
fn blob_of(size: u64) -> Blob {
    Blob::new(vec![
        0;
        usize::try_from(size - BlobCache::ENTRY_BYTES).unwrap()
    ])
}

fn cache(limit: u64) -> Arc<BlobCache> {
    Arc::new(BlobCache::new(limit))
}

impl BlobCache {
    /// Whether an address is held. Counts as no use.
    fn contains(&self, addr: CAddr) -> bool {
        self.shard(addr).contains(addr)
    }

    fn held(&self, keys: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let held = keys.into_iter().filter(|i| self.contains(key(*i)));
        held.collect()
    }

    /// The counts are those of what is really there.
    fn assert_accounted(&self) -> CacheStats {
        let (mut bytes, mut pinned) = (0, 0);
        for part in &self.parts {
            let measured = part.lock().measure();
            bytes += measured.0;
            pinned += measured.1;
        }
        let stats = self.stats();
        assert_eq!((stats.bytes, stats.pinned_bytes), (bytes, pinned));
        stats
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn what_saves_the_least_time_per_byte_goes_first() {
    let cache = cache(8 * 4096);
    let (small, large) = (blob_of(2048), blob_of(4096));
    for i in [1, 2, 3, 4, 5, 7, 8, 9, 10] {
        cache.insert(key(i), &small, MS * i as u32);
    }
    cache.insert(key(11), &large, MS * 9);
    // Used twice, 3 ms are worth 6; and 9 ms for twice the bytes 4.5.
    assert!(cache.get(key(3)).is_some());
    let mut order = Vec::new();
    while cache.bytes() > 0 {
        let before = cache.held(1..=11);
        cache.evict(1);
        order.extend(before.into_iter().filter(|i| !cache.contains(key(*i))));
    }
    assert_eq!(order, [1, 2, 4, 11, 5, 3, 7, 8, 9, 10]);
}

#[test]
fn what_is_not_used_ages() {
    let cache = cache(16 * 2048);
    let blob = blob_of(2048);
    cache.insert(key(0), &blob, MS * 3);
    for i in 1..200 {
        cache.insert(key(i), &blob, MS);
    }
    assert!(!cache.contains(key(0)));
}

#[test]
fn a_scan_does_not_push_out_what_is_used() {
    let room = 64;
    let cache = cache(room * 4096);
    let blob = blob_of(4096);
    let hot = 0..room / 2;
    for i in hot.clone() {
        cache.insert(key(i), &blob, Duration::ZERO);
        (1..16).for_each(|_| drop(cache.get(key(i))));
    }
    // Six times the limit, of which nothing is asked for again.
    for i in 1000..1000 + 6 * room {
        cache.insert(key(i), &blob, Duration::ZERO);
    }
    assert_eq!(cache.held(hot.clone()).len(), hot.clone().count());
    // Without end, while the hot ones are used now and then.
    for i in 10_000..10_000 + 100 * room {
        cache.insert(key(i), &blob, Duration::ZERO);
        drop(cache.get(key(i % (room / 2))));
    }
    assert_eq!(cache.held(hot.clone()).len(), hot.count());
}

#[test]
fn a_scan_does_not_empty_a_cache_full_of_what_was_used() {
    let room = 64;
    let cache = cache(room * 4096);
    let blob = blob_of(4096);
    for i in 0..room {
        cache.insert(key(i), &blob, Duration::ZERO);
        (1..4).for_each(|_| drop(cache.get(key(i))));
    }
    for i in 1000..1000 + 2 * room {
        cache.insert(key(i), &blob, Duration::ZERO);
    }
    assert_eq!(cache.held(0..room).len() as u64, room);
    // What is refused is no use for ever: those that nobody uses go in the end.
    for i in 2000..2000 + 8 * room {
        cache.insert(key(i), &blob, Duration::ZERO);
    }
    assert!(cache.held(0..room).is_empty());
}

#[test]
fn what_takes_more_than_an_eighth_is_not_taken_in() {
    let cache = cache(8 * 4096);
    cache.insert(key(1), &blob_of(4097), MS);
    assert!(!cache.contains(key(1)));
    cache.insert(key(1), &blob_of(4096), MS);
    assert!(cache.contains(key(1)));
}

#[test]
fn a_limit_of_zero_turns_it_off() {
    let cache = cache(0);
    cache.insert(key(1), &Blob::new(""), Duration::MAX);
    assert!(cache.get(key(1)).is_none());
    let error = cache
        .insert_pinned(cache.epoch(key(1)), key(1), &Blob::new(""), MS)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(cache.assert_accounted().bytes, 0);
}

#[test]
fn the_limit_can_be_changed_and_bytes_given_back() {
    let cache = cache(64 * 2048);
    for i in 0..64 {
        cache.insert(key(i), &blob_of(2048), MS * i as u32);
    }
    assert_eq!(cache.bytes(), 64 * 2048);
    assert_eq!(cache.evict(2049), 2 * 2048);
    assert_eq!(cache.shrink_to(60 * 2048 - 1), 3 * 2048);
    assert_eq!(cache.shrink_to(60 * 2048), 0);
    cache.set_limit(10 * 2048);
    assert_eq!(cache.held(0..64), (54..64).collect::<Vec<_>>());
    cache.set_limit(64 * 2048);
    cache.insert(key(100), &blob_of(2048), MS);
    assert_eq!(cache.assert_accounted().entries, 11);
}

#[test]
fn removed_entries_are_gone_and_their_bytes_too() {
    let cache = cache(1 << 20);
    for i in 0..64 {
        cache.insert(key(i), &blob_of(2048), MS);
    }
    assert!(cache.remove(key(7)) && !cache.remove(key(7)));
    assert!(cache.get(key(7)).is_none());
    assert_eq!(cache.assert_accounted().bytes, 63 * 2048);
    cache.clear();
    let stats = cache.assert_accounted();
    assert_eq!((stats.bytes, stats.entries, stats.evictions), (0, 0, 0));
    assert_eq!(cache.evict(1), 0);
}

#[test]
fn what_was_read_before_a_removal_is_not_taken_in_after_it() {
    let cache = cache(1 << 20);
    let (addr, blob) = (key(1), blob_of(2048));
    for remove in [
        |cache: &BlobCache| assert!(cache.remove(key(1)) || cache.bytes() == 0),
        BlobCache::clear,
    ] {
        let epoch = cache.epoch(addr);
        remove(&cache);
        cache.insert_since(epoch, addr, &blob, MS);
        assert!(!cache.contains(addr));
        let pinned = cache.insert_pinned(epoch, addr, &blob, MS).unwrap();
        assert!(pinned.is_none() && !cache.contains(addr));
        cache.insert_since(cache.epoch(addr), addr, &blob, MS);
        assert!(cache.contains(addr));
    }
    // An eviction is no removal.
    let epoch = cache.epoch(addr);
    cache.evict(u64::MAX);
    cache.insert_since(epoch, addr, &blob, MS);
    assert!(cache.contains(addr));
    cache.assert_accounted();
}

#[test]
fn another_blob_under_the_same_address_takes_its_place() {
    let cache = cache(1 << 20);
    cache.insert(key(1), &blob_of(2048), MS);
    cache.insert(key(1), &blob_of(3000), MS);
    assert_eq!(cache.get(key(1)), Some(blob_of(3000)));
    assert_eq!(cache.assert_accounted().bytes, 3000);
}

#[test]
fn the_overhead_covers_what_the_structures_take() {
    let cache = cache(1 << 30);
    for count in [1000u64, 30_000] {
        for i in 0..count {
            cache.insert(key(i), &Blob::new(""), MS);
        }
        // A node of the order has 11 places, and is half empty where places came in order.
        let order = (size_of::<CAddr>() + 16 + 8) as u64 * 11 / 6;
        let tables: u64 = cache.parts.iter().map(|part| part.lock().measure().2).sum();
        let taken = tables + count * order;
        assert!(cache.bytes() >= taken, "{} < {taken}", cache.bytes());
        assert!(cache.bytes() < 3 * taken, "{} for {taken}", cache.bytes());
    }
}

#[test]
fn uses_and_evictions_are_counted() {
    let cache = cache(16 * 2048);
    for i in 0..17 {
        cache.insert(key(i), &blob_of(2048), MS * (i + 1) as u32);
    }
    let found = (0..17).filter(|i| cache.get(key(*i)).is_some()).count();
    assert_eq!(found, 16);
    let stats = cache.stats();
    // What the others took: 2 to 17 ms.
    let saved = Duration::from_millis(152).as_nanos() as u64;
    assert!(stats.saved_nanos.abs_diff(saved) < 1000, "{stats:?}");
    let mut expected = CacheStats::default();
    (expected.hits, expected.misses, expected.evictions) = (16, 1, 1);
    expected.saved_nanos = stats.saved_nanos;
    (expected.entries, expected.bytes, expected.limit) = (16, 16 * 2048, 16 * 2048);
    assert_eq!(stats, expected);
    cache.evict(1);
    cache.set_limit(14 * 2048);
    let stats = cache.stats();
    assert_eq!((stats.evictions, stats.yielded), (3, 2));
    assert_eq!(stats.above_limit, 1);
}

#[test]
fn what_is_removed_and_what_is_refused_is_counted() {
    let cache = cache(16 * 2048);
    for i in 0..16 {
        cache.insert(key(i), &blob_of(2048), MS * 10);
    }
    cache.insert(key(20), &blob_of(4097), MS * 100);
    cache.insert(key(21), &blob_of(2048), Duration::ZERO);
    let pins: Vec<_> = (0..16).map(|i| cache.pin(key(i)).unwrap()).collect();
    assert!(cache.pin_apart(key(22), &blob_of(2048)).is_err());
    drop(pins);
    assert!(cache.remove(key(0)) && !cache.remove(key(0)));
    cache.clear();
    cache.clear();
    let stats = cache.stats();
    let refused = (stats.refused_large, stats.refused_worth, stats.refused_pins);
    assert_eq!(
        (stats.removed, refused, stats.evictions),
        (16, (1, 1, 1), 0)
    );
    // One that is turned off takes nothing in, and refuses nothing.
    let off = self::cache(0);
    off.insert(key(1), &blob_of(2048), MS);
    assert_eq!(off.stats(), CacheStats::default());
}
