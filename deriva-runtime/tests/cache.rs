//! The memory cache as an application meets it.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{BlobStore, Bytes, CAddr, DagStore, ErrorKind};
use deriva_runtime::cache::BlobCache;
use deriva_runtime::{Deriva, DerivaBuilder};
use deriva_testkit::{ManualClock, ModelStore};

const KIB: usize = 1024;

/// A Deriva with functions that give `len` bytes after `ms` on a clock that stands still but for them.
async fn deriva(cache_bytes: u64) -> Deriva {
    let model = Arc::new(ModelStore::new());
    let clock = ManualClock::new();
    let slow = clock.clone();
    DerivaBuilder::new()
        .blobs(Arc::clone(&model) as Arc<dyn BlobStore>)
        .dag(model as Arc<dyn DagStore>)
        .clock(Arc::new(clock))
        .cache_bytes(cache_bytes)
        .function("slow", "1", move |inputs, _| {
            slow.advance(Duration::from_millis(u64::from(inputs[0][0])));
            Ok(Bytes::from(vec![inputs[0][0]; 4 * KIB]))
        })
        .jobs(1)
        .build()
        .await
        .unwrap()
}

async fn slow(deriva: &Deriva, ms: u8) -> CAddr {
    let leaf = deriva.put(vec![ms]).await.unwrap();
    let recipe = deriva.recipe("slow", "1").input(leaf);
    recipe.insert().await.unwrap()
}

#[tokio::test]
async fn what_was_slow_to_compute_stays_whether_it_was_just_computed_or_read() {
    let entry = BlobCache::ENTRY_BYTES + 4 * KIB as u64;
    let deriva = deriva(8 * entry).await;
    let mut addrs = Vec::new();
    for ms in 1..=16 {
        addrs.push(slow(&deriva, ms).await);
    }
    // First the slow ones: recency alone would let them go.
    for read in [false, true] {
        for addr in addrs.iter().rev() {
            deriva.get(*addr).await.unwrap();
        }
        let held = addrs.iter().map(|addr| deriva.cache().get(*addr).is_some());
        let held: Vec<bool> = held.collect();
        assert_eq!(held, [[false; 8], [true; 8]].concat(), "read: {read}");
        deriva.cache().clear();
    }
}

#[tokio::test]
async fn a_leaf_and_an_unknown_address_are_handled_too() {
    let deriva = deriva(1 << 20).await;
    let leaf = deriva.put("leaf").await.unwrap();
    for _ in 0..3 {
        assert_eq!(deriva.get(leaf).await.unwrap(), "leaf");
    }
    assert!(deriva.get(CAddr::of_blob(b"none")).await.is_err());
    let stats = deriva.cache_stats();
    assert_eq!((stats.hits, stats.misses, stats.entries), (2, 2, 1));
    assert_eq!(stats.bytes, BlobCache::ENTRY_BYTES + 4);
    assert_eq!(deriva.status().await.unwrap().cache_bytes, stats.bytes);
}

#[tokio::test]
async fn what_is_pinned_stays_in_memory_though_the_store_loses_it() {
    let deriva = deriva(64 * KIB as u64).await;
    let addr = slow(&deriva, 1).await;
    let pinned = deriva.pin(addr).await.unwrap();
    assert_eq!(pinned.bytes()[..], vec![1; 4 * KIB]);
    assert_eq!((pinned.addr(), pinned.blob().len()), (addr, 4 * KIB as u64));
    let again = deriva.pin(addr).await.unwrap();
    drop(pinned);
    deriva.cache().evict(u64::MAX);
    deriva.blobs().remove(&[again.blob().addr()]).await.unwrap();
    deriva.dag().forget(&[addr]).await.unwrap();
    assert_eq!(deriva.get(addr).await.unwrap(), again.bytes());
    assert!(deriva.dag().outputs(&[addr]).await.unwrap()[0].is_none());
    drop(again);
    assert_eq!(deriva.cache_stats().pinned_bytes, 0);
}

#[tokio::test]
async fn a_pin_that_does_not_fit_is_refused() {
    let deriva = deriva(8 * KIB as u64).await;
    let (one, two) = (slow(&deriva, 1).await, slow(&deriva, 2).await);
    let pinned = deriva.pin(one).await.unwrap();
    let error = deriva.pin(two).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(error.context("addr"), Some(two.to_string().as_str()));
    drop(pinned);
    assert!(deriva.pin(two).await.is_ok());
}
