//! At most N calls at once, in order, with no place lost and no deadlock.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::Layers;
use deriva_api::{Blob, BlobLayer, BlobStore, CAddr, ErrorKind};
use deriva_layers::{LimitLayer, TieredLayer};
use deriva_testkit::{CountingLayer, Counts, FaultLayer, Faults, ManualClock, Operation};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::join_all;
use futures::stream::{StreamExt, TryStreamExt};

use crate::support::{blob, kind, model};

/// A limit in front of a store that counts who enters, with faults behind.
fn limited(calls: usize) -> (Arc<dyn BlobStore>, Counts, Faults) {
    let (counting, faults) = (CountingLayer::new(), FaultLayer::new());
    let layers = Layers::new()
        .layer(LimitLayer::new(calls))
        .layer(counting.clone())
        .layer(faults.clone());
    let store = layers.wrap(model()).blobs.unwrap();
    (store, counting.counts(), faults.faults())
}

#[test]
fn no_more_calls_are_inside_than_the_limit() {
    for limit in [1, 3, 7] {
        let (store, counts, faults) = limited(limit);
        let entered = || counts.of(Operation::BlobGet) as usize;
        let clock = ManualClock::new();
        let second = Duration::from_secs(1);
        faults.delay(Operation::BlobGet, second, Arc::new(clock.clone()));
        let mut calls = join_all((0..20).map(|_| store.get(CAddr::MIN)));
        // In each second as many enter as the limit says, and leave at its end.
        for step in 1.. {
            let done = (&mut calls).now_or_never().is_some();
            assert_eq!(entered(), (limit * step).min(20));
            if done {
                break;
            }
            clock.advance(second);
        }
    }
}

#[test]
fn who_came_first_goes_first() {
    let (store, counts, faults) = limited(1);
    faults.hang(Operation::BlobStat);
    let mut inside = store.stat(&[]);
    let mut second = store.get(CAddr::MIN);
    let mut third = store.flush();
    assert!((&mut inside).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    assert!((&mut third).now_or_never().is_none());
    drop(inside);
    // The third asks before the second, and still has to let it in first.
    assert!((&mut third).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_some());
    assert_eq!(counts.of(Operation::BlobFlush), 0);
    assert!((&mut third).now_or_never().is_some());
}

#[test]
fn a_caller_that_goes_away_frees_its_place() {
    let (store, _, faults) = limited(1);
    faults.hang(Operation::BlobGet);
    let (mut inside, mut waiting) = (store.get(CAddr::MIN), store.get(CAddr::MIN));
    assert!((&mut inside).now_or_never().is_none());
    assert!((&mut waiting).now_or_never().is_none());
    assert!(store.flush().now_or_never().is_none());
    drop(waiting);
    drop(inside);
    assert!(store.flush().now_or_never().is_some());
}

#[test]
fn failed_calls_free_their_places() {
    let (store, _, faults) = limited(1);
    faults.fail_all(Operation::BlobGet, ErrorKind::Full);
    for _ in 0..3 {
        let answer = store.get(CAddr::MIN).now_or_never().unwrap();
        assert_eq!(kind(answer), Some(ErrorKind::Full));
    }
}

/// With one place, a list and a writer that are kept open keep nobody out.
#[test]
fn open_lists_and_writers_hold_no_place() {
    let (store, ..) = limited(1);
    block_on(async {
        let blobs: Vec<Blob> = (0..3).map(|seed| blob(seed, 10)).collect();
        store.put(&blobs).await.unwrap();
        let mut writer = store.writer(None).await.unwrap();
        let mut list = store.list(None);
        while let Some(stat) = list.try_next().await.unwrap() {
            let mut other = store.list(None).skip(1);
            other.try_next().await.unwrap();
            let read = store.get(stat.addr).await.unwrap().unwrap();
            writer.write(read.into_bytes()).await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap().len, 30);
    });
}

#[test]
fn a_limit_of_nothing_lets_one_in() {
    let (store, ..) = limited(0);
    assert!(store.get(CAddr::MIN).now_or_never().is_some());
}

/// One layer around both tiers, and around the whole: each has places of its own.
#[test]
fn layers_in_layers_do_not_wait_for_each_other() {
    let limit = LimitLayer::new(1);
    let fast = Layers::new().layer(limit).wrap(model());
    let layers = Layers::new()
        .layer(limit)
        .layer(TieredLayer::new(fast))
        .layer(limit);
    let store = BlobLayer::wrap(&layers, model().blobs.unwrap());
    let stored = blob(1, 10);
    let put = store.put(std::slice::from_ref(&stored)).now_or_never();
    assert!(put.unwrap().is_ok());
    let read = store.get(stored.addr()).now_or_never();
    assert_eq!(read.unwrap().unwrap(), Some(stored));
}
