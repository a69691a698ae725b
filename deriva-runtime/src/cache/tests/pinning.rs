//! Pinned entries stay, are counted, and count as one.

use super::*;

#[test]
fn a_pinned_entry_is_not_evicted_until_the_last_guard_is_gone() {
    let cache = cache(8 * 4096);
    cache.insert(key(1), &blob_of(4096), Duration::ZERO);
    let (first, second) = (cache.pin(key(1)).unwrap(), cache.pin(key(1)).unwrap());
    assert_eq!(cache.stats().pinned_bytes, 4096);
    for i in 10..100 {
        cache.insert(key(i), &blob_of(4096), MS);
    }
    assert_eq!(cache.evict(u64::MAX), 7 * 4096);
    drop(first);
    assert_eq!((cache.evict(1), cache.stats().pinned_bytes), (0, 4096));
    drop(second);
    assert_eq!((cache.evict(1), cache.stats().pinned_bytes), (4096, 0));
    assert!(cache.pin(key(1)).unwrap().is_none());
}

#[test]
fn a_large_blob_can_be_pinned_as_long_as_the_pinned_fit() {
    let cache = cache(8 * 4096);
    for i in 10..18 {
        cache.insert(key(i), &blob_of(4096), MS * 100);
    }
    let pin = |i, size| {
        let (blob, epoch) = (blob_of(size), cache.epoch(key(i)));
        cache.insert_pinned(epoch, key(i), &blob, Duration::ZERO)
    };
    let large = pin(1, 6 * 4096).unwrap().unwrap();
    assert_eq!(large.blob().len(), 6 * 4096 - BlobCache::ENTRY_BYTES);
    assert_eq!(cache.get(key(1)).as_ref(), Some(large.blob()));
    assert_eq!(cache.assert_accounted().bytes, 8 * 4096);
    // A third of the same size does not fit; nothing goes for it.
    assert_eq!(pin(2, 6 * 4096).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(cache.assert_accounted().entries, 3);
    drop(large);
    assert!(pin(2, 6 * 4096).unwrap().is_some());
}

#[test]
fn what_is_pinned_apart_counts_and_is_found_by_nobody() {
    let cache = cache(8 * 4096);
    let pin = |size| cache.pin_apart(key(1), &blob_of(size));
    let (large, small) = (pin(6 * 4096).unwrap(), pin(4096).unwrap());
    assert!(cache.get(key(1)).is_none());
    assert_eq!(pin(2 * 4096).unwrap_err().kind(), ErrorKind::Full);
    let stats = cache.assert_accounted();
    assert_eq!((stats.bytes, stats.pinned_bytes), (7 * 4096, 7 * 4096));
    drop((large, small));
    let stats = cache.assert_accounted();
    assert_eq!((stats.bytes, stats.pinned_bytes), (0, 0));
}

#[test]
fn only_what_is_pinned_is_above_a_lowered_limit() {
    let cache = cache(8 * 4096);
    for i in 0..8 {
        cache.insert(key(i), &blob_of(4096), MS);
    }
    let pins: Vec<_> = (0..3).map(|i| cache.pin(key(i)).unwrap()).collect();
    cache.set_limit(4096);
    assert_eq!(cache.bytes(), 3 * 4096);
    cache.insert(key(9), &blob_of(BlobCache::ENTRY_BYTES), MS);
    assert!(!cache.contains(key(9)));
    // Pinned already: another guard adds nothing.
    assert!(cache.pin(key(1)).unwrap().is_some());
    drop(pins);
    let stats = cache.assert_accounted();
    assert_eq!((stats.bytes, stats.pinned_bytes), (4096, 0));
}

#[test]
fn a_removed_pinned_entry_is_gone_for_new_gets_and_counts_until_unpinned() {
    let cache = cache(1 << 20);
    cache.insert(key(1), &blob_of(4096), MS);
    let old = cache.pin(key(1)).unwrap().unwrap();
    let again = cache.pin(key(1)).unwrap();
    assert!(cache.remove(key(1)));
    assert!(cache.get(key(1)).is_none());
    assert_eq!(cache.assert_accounted().bytes, 4096);
    // A later entry under the same address is not touched by the guards of the first.
    cache.insert(key(1), &blob_of(5000), MS);
    let new = cache.pin(key(1)).unwrap();
    assert_eq!(old.blob(), &blob_of(4096));
    drop((old, again));
    let stats = cache.assert_accounted();
    assert_eq!((stats.bytes, stats.pinned_bytes), (5000, 5000));
    assert_eq!(cache.evict(1), 0);
    drop(new);
    assert_eq!(cache.evict(1), 5000);
}

#[test]
fn clearing_leaves_the_pinned_to_their_guards() {
    let cache = cache(1 << 20);
    cache.insert(key(1), &blob_of(4096), MS);
    cache.insert(key(2), &blob_of(4096), MS);
    let pin = cache.pin(key(1)).unwrap();
    cache.clear();
    let stats = cache.assert_accounted();
    assert_eq!(
        (stats.entries, stats.bytes, stats.pinned_bytes),
        (0, 4096, 4096)
    );
    drop(pin);
    assert_eq!(cache.assert_accounted().bytes, 0);
}
