//! An invalidation waits for the writes that were let through before it.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva_api::{BlobLayer, BlobStore, CAddr, DagLayer, DagStore};
use deriva_runtime::DerivaBuilder;
use deriva_testkit::{FaultLayer, ModelStore, Operation};

#[tokio::test]
async fn what_is_being_written_is_forgotten_too() {
    let (layer, model) = (FaultLayer::new(), ModelStore::new());
    let blobs: Arc<dyn BlobStore> = Arc::new(model.clone());
    let dag: Arc<dyn DagStore> = Arc::new(model.clone());
    let version = Arc::new(AtomicU64::new(1));
    let now = Arc::clone(&version);
    let deriva = DerivaBuilder::new()
        .blobs(BlobLayer::wrap(&layer, blobs))
        .dag(DagLayer::wrap(&layer, dag))
        .function("version", "1", move |_, _| {
            Ok(now.load(Ordering::SeqCst).to_string().into())
        })
        .function("twice", "1", |inputs, _| {
            Ok([&inputs[0][..], &inputs[0][..]].concat().into())
        })
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("leaf").await.unwrap();
    let one = deriva.recipe("version", "1").input(leaf);
    let one = one.insert().await.unwrap();
    let two = deriva.recipe("twice", "1").input(one);
    let two = two.insert().await.unwrap();
    deriva.get(one).await.unwrap();

    layer.faults().hang(Operation::DagRecord);
    let request = tokio::spawn(deriva.materialize(two).into_future());
    // Its blob is there: it was let through, and is about to record the output.
    let stale = CAddr::of_blob(b"11");
    while BlobStore::get(&model, stale).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    version.store(2, Ordering::SeqCst);
    let forget = tokio::spawn(deriva.invalidate(one).cascade().into_future());
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert!(!forget.is_finished());
    layer.faults().clear();
    request.await.unwrap().unwrap();
    assert_eq!(forget.await.unwrap().unwrap().outputs, 2);
    assert_eq!(deriva.get(two).await.unwrap(), "22");
}
