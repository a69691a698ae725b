//! Writers of overlapping batches all succeed, and what they leave is exact, on any runtime.
#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

use crate::common::{Store, blob, dependents, leaf, output, recipe, record};
use deriva_api::{Blob, BlobUsage, DagUsage, Recipe};
use futures::future::join_all;
use rstest::rstest;

async fn overlapping_writers(uri: &str) {
    let mut store = Store::open(uri).await;
    let (blobs, dag) = (store.blobs(), store.dag());
    let recipes: Vec<Recipe> = (0..64)
        .map(|i| recipe("f/1", &[leaf(0), leaf(i + 1)]))
        .collect();
    let payload: Vec<Blob> = (0..16).map(|i| blob(500 + 100 * i, i as u64)).collect();
    let writer = |w: usize| {
        let (blobs, dag, recipes, payload) = (&blobs, &dag, &recipes, &payload);
        async move {
            for turn in 0..8 {
                let mut batch: Vec<Recipe> = recipes[(w * 3 + turn * 7) % 32..].to_vec();
                if w % 2 == 1 {
                    batch.reverse();
                }
                let addrs = dag.insert(&batch).await.unwrap();
                let records: Vec<_> = addrs.iter().map(|a| record(*a, output("x"))).collect();
                assert_eq!(dag.record(&records).await.unwrap(), []);
                blobs.put(&payload[w..]).await.unwrap();
                let read = blobs.get(payload[w].addr()).await.unwrap();
                assert_eq!(read.as_ref(), Some(&payload[w]));
            }
        }
    };
    join_all((0..16).map(writer)).await;
    dag.insert(&recipes).await.unwrap();
    drop((blobs, dag));
    store.reopen().await;
    let mut addrs: Vec<_> = recipes.iter().map(Recipe::addr).collect();
    addrs.sort();
    assert_eq!(dependents(&store.dag(), leaf(0)).await, addrs);
    let usage = store.dag().usage().await.unwrap().unwrap();
    assert_eq!((usage.recipes, usage.roots), (64, 0));
    let bytes = payload.iter().map(Blob::len).sum();
    assert_eq!(
        store.blobs().usage().await.unwrap(),
        Some(BlobUsage { blobs: 16, bytes })
    );
    assert_eq!(store.dag().remove(&addrs).await.unwrap(), 64);
    assert_eq!(
        store.dag().usage().await.unwrap(),
        Some(DagUsage::default())
    );
}

const SLED: &str = "sled:PATH?durability=buffered&blob_threshold=1KiB";

#[rstest]
#[case("memory:")]
#[case(SLED)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_threads(#[case] uri: &str) {
    overlapping_writers(uri).await;
}

#[rstest]
#[case("memory:")]
#[case(SLED)]
#[tokio::test(flavor = "current_thread")]
async fn one_thread(#[case] uri: &str) {
    overlapping_writers(uri).await;
}

#[rstest]
#[case("memory:")]
#[case(SLED)]
fn no_runtime_at_all(#[case] uri: &str) {
    futures::executor::block_on(overlapping_writers(uri));
}

#[rstest]
#[case("files:PATH?durability=buffered")]
#[case("sled:PATH?durability=buffered&blob_threshold=0")]
#[case("redb:PATH?durability=buffered&blob_threshold=0")]
#[cfg_attr(
    feature = "rocksdb",
    case("rocksdb:PATH?durability=buffered&blob_threshold=0")
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_during_removals_and_puts_sees_the_whole_blob_or_none(#[case] uri: &str) {
    let store = Store::open(uri).await;
    let (blob, other) = (blob(100_000, 1), blob(100, 2));
    let writer = async {
        for _ in 0..60 {
            store
                .blobs()
                .put(&[blob.clone(), other.clone()])
                .await
                .unwrap();
            store.blobs().remove(&[blob.addr()]).await.unwrap();
        }
    };
    let reader = || {
        let (blobs, blob) = (store.blobs(), blob.clone());
        tokio::spawn(async move {
            for _ in 0..300 {
                if let Some(read) = blobs.get(blob.addr()).await.unwrap() {
                    assert_eq!(read, blob);
                }
            }
        })
    };
    let readers = [reader(), reader()];
    writer.await;
    for reader in readers {
        reader.await.unwrap();
    }
    let bytes = other.len();
    assert_eq!(
        store.blobs().usage().await.unwrap(),
        Some(BlobUsage { blobs: 1, bytes })
    );
}
