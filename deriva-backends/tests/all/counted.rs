//! What stores count of themselves.
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use crate::common::raw::edit;
use crate::common::{Store, blob, open, recipe};
use deriva_api::{BlobCheck, ErrorKind};
use futures::future::join_all;
use rstest::rstest;

#[rstest]
#[case("sled:PATH")]
#[case("sled:PATH?durability=buffered&blob_threshold=1KiB")]
#[case("redb:PATH?blob_threshold=1KiB")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?blob_threshold=1KiB"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_counted_with_those_who_share_them(#[case] uri: &str) {
    const WRITERS: u64 = 40;
    let store = Store::open(uri).await;
    let (blobs, dag) = (store.blobs(), store.dag());
    let commits = blobs.counters().commits.unwrap();
    // Both halves have one queue, and so has another handle.
    for other in [
        dag.counters(),
        open(store.uri()).await.unwrap().dag.unwrap().counters(),
    ] {
        assert!(Arc::ptr_eq(&commits, &other.commits.unwrap()));
        assert!(Arc::ptr_eq(
            &blobs.counters().disk.unwrap(),
            &other.disk.unwrap()
        ));
    }
    assert_eq!((commits.times.load().count(), commits.bytes.get()), (0, 0));
    let put = |seed| {
        let blobs = Arc::clone(&blobs);
        let blob = blob(100 + 50 * seed as usize, seed);
        tokio::spawn(async move { blobs.put(&[blob]).await })
    };
    for written in join_all((0..WRITERS).map(put)).await {
        written.unwrap().unwrap();
    }
    let (times, writers) = (commits.times.load(), commits.writers.load());
    assert_eq!(writers.sum(), WRITERS);
    assert_eq!(writers.count(), times.count());
    assert!((1..=WRITERS).contains(&times.count()) && times.sum() > 0);
    let payload: u64 = (0..WRITERS).map(|seed| 100 + 50 * seed).sum();
    assert!(commits.bytes.get() > payload, "{}", commits.bytes.get());
    // Nothing is committed where nothing changes, and where all is refused.
    blobs.put(&[blob(100, 0)]).await.unwrap();
    blobs.flush().await.unwrap();
    let unknown = crate::common::record(recipe("f/1", &[]).addr(), crate::common::output("x"));
    let error = dag.record(&[unknown]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(commits.writers.load(), writers);
    dag.insert(&[recipe("f/1", &[])]).await.unwrap();
    assert_eq!(commits.writers.load().sum(), WRITERS + 1);
    assert_eq!(commits.failed.get(), 0);
}

#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[tokio::test]
async fn the_room_on_the_disk_is_looked_at(#[case] uri: &str) {
    let store = Store::open(uri).await;
    let room = store.blobs().counters().disk.unwrap();
    assert_eq!(room.free(), None);
    store.dag().usage().await.unwrap();
    assert!(room.free().is_some_and(|free| free > room.reserve()));
    assert!(room.reserve() > 0);
}

#[rstest]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[tokio::test]
async fn damage_is_counted_where_it_is_met(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let (whole, spoilt) = (blob(300, 1), blob(400, 2));
    store
        .blobs()
        .put(&[whole.clone(), spoilt.clone()])
        .await
        .unwrap();
    store.close();
    edit(&store, |key, value| {
        if key.ends_with(spoilt.addr().as_bytes()) {
            let last = value.len() - 1;
            value[last] ^= 1;
        }
    });
    store.reopen().await;
    let blobs = store.blobs();
    let damaged = blobs.counters().damaged.unwrap();
    blobs.get(whole.addr()).await.unwrap();
    assert_eq!(damaged.get(), 0);
    let error = blobs.get(spoilt.addr()).await.unwrap_err();
    assert_eq!((error.kind(), damaged.get()), (ErrorKind::Corrupt, 1));
    let addrs = [whole.addr(), spoilt.addr()];
    let checked = blobs.verify(&addrs).await.unwrap();
    assert!(checked[0].is_right() && checked[1] == BlobCheck::Damaged);
    assert_eq!(damaged.get(), 2);
}

/// One that keeps nothing on a disk has nothing to tell, and files tell of damage alone.
#[tokio::test]
async fn what_a_store_does_not_have_it_does_not_tell() {
    let memory = Store::open("memory:").await;
    assert!(memory.blobs().counters().damaged.is_none());
    assert!(memory.dag().counters().commits.is_none());
    let files = Store::open("files:PATH").await;
    let told = files.blobs().counters();
    assert!(told.commits.is_none() && told.disk.is_none());
    assert_eq!(told.damaged.unwrap().get(), 0);
}
