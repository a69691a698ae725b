//! Many threads at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use deriva_testkit::SplitMix64;

use super::*;

const THREADS: u64 = 8;
const LARGEST: u64 = 4096;

#[test]
fn the_limit_holds_and_the_counts_are_exact_whatever_threads_do() {
    let limit = 100 * 4096;
    let cache = cache(limit);
    let done = AtomicBool::new(false);
    let highest = AtomicU64::new(0);
    let run = |seed| hammer(&cache, seed, &highest);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                highest.fetch_max(cache.bytes(), Relaxed);
                std::thread::yield_now();
            }
        });
        let workers: Vec<_> = (0..THREADS)
            .map(|seed| scope.spawn(move || run(seed)))
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Relaxed);
    });
    assert!(highest.load(Relaxed) <= limit + THREADS * LARGEST);
    let stats = cache.assert_accounted();
    assert!(stats.bytes <= limit && stats.pinned_bytes == 0 && stats.evictions > 0);
}

fn hammer(cache: &Arc<BlobCache>, seed: u64, highest: &AtomicU64) {
    let mut random = SplitMix64::new(seed);
    let blobs: Vec<Blob> = (1..=4).map(|n| blob_of(n * LARGEST / 4)).collect();
    let mut pins = std::collections::VecDeque::new();
    for _ in 0..5000 {
        let (i, op) = (random.below(300), random.below(100));
        let (addr, blob) = (key(i), &blobs[(i % 4) as usize]);
        let cost = Duration::from_micros(random.below(10_000));
        match op {
            0..45 => drop(cache.get(addr)),
            45..80 => cache.insert(addr, blob, cost),
            80..85 => drop(cache.remove(addr)),
            85..90 => pins.extend(cache.pin(addr).ok().flatten()),
            90..95 => {
                let epoch = cache.epoch(addr);
                pins.extend(cache.insert_pinned(epoch, addr, blob, cost).ok().flatten());
            }
            95..99 => drop(cache.evict(LARGEST)),
            _ => cache.clear(),
        }
        if pins.len() > 4 {
            pins.pop_front();
        }
        highest.fetch_max(cache.bytes(), Relaxed);
    }
}

#[test]
fn threads_that_pin_the_same_share_the_entry() {
    // Twice would not fit.
    let cache = cache(4096 * 3 / 2);
    let blob = blob_of(4096);
    for round in 0..200 {
        let addr = key(round);
        let pin = || cache.insert_pinned(cache.epoch(addr), addr, &blob, MS);
        std::thread::scope(|scope| {
            let both = [scope.spawn(pin), scope.spawn(pin)];
            let pins = both.map(|thread| thread.join().unwrap().unwrap());
            assert!(pins.iter().flatten().count() > 0);
            assert_eq!(cache.stats().pinned_bytes, 4096);
        });
        assert_eq!(cache.assert_accounted().pinned_bytes, 0);
    }
}
