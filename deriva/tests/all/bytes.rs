//! Requests that are asked for their bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{Stores, recipe};
use deriva::prelude::*;

/// A runtime whose function `heavy` joins its inputs and counts its calls.
async fn counting(stores: &Stores) -> (Deriva, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let builder = Deriva::builder().store(&stores.uri()).cache_bytes(0);
    let builder = builder.function("heavy", "1", move |inputs, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(inputs.concat().into())
    });
    (builder.build().await.unwrap(), calls)
}

#[tokio::test]
async fn bytes_of_results_that_are_not_stored_are_computed_once() {
    for stores in Stores::all() {
        let (deriva, calls) = counting(&stores).await;
        let leaf = deriva.put("ab").await.unwrap();
        let twice = recipe(&deriva, "heavy", &[leaf, leaf]).await;
        let request = deriva.materialize(twice).store_results(StoreResults::None);
        let request = request.deadline(Duration::from_secs(600));
        assert_eq!(request.bytes().await.unwrap(), "abab");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert!(deriva.dag().outputs(&[twice]).await.unwrap()[0].is_none());
    }
}

#[tokio::test]
async fn bytes_come_in_order_and_a_failed_one_in_its_place() {
    for stores in Stores::all() {
        let (deriva, _) = counting(&stores).await;
        let leaf = deriva.put("not gzip").await.unwrap();
        let good = recipe(&deriva, "heavy", &[leaf]).await;
        let bad = recipe(&deriva, "compress.gunzip", &[leaf]).await;
        // One that is computed, one that fails, one that is stored, and one again.
        let asked = [good, bad, leaf, good];
        let request = deriva.materialize_many(asked).keep_going();
        let all = request.all_bytes().await.unwrap();
        assert_eq!(all.len(), 4);
        for place in [0, 2, 3] {
            assert_eq!(*all[place].as_ref().unwrap(), "not gzip");
        }
        let failed = all[1].as_ref().unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Invalid);
        // All is recorded now.
        let again = deriva.materialize_many([good, leaf]).all_bytes().await;
        assert!(
            again
                .unwrap()
                .into_iter()
                .all(|it| it.unwrap() == "not gzip")
        );
        let error = deriva.materialize_many(asked).all_bytes().await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn bytes_of_none_or_several_are_not_asked_for_as_of_one() {
    let (deriva, _) = counting(&Stores::new("memory")).await;
    let leaf = deriva.put("x").await.unwrap();
    for addrs in [vec![], vec![leaf, leaf]] {
        let error = deriva.materialize_many(addrs).bytes().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.advice().unwrap().contains("all_bytes"));
    }
    let none = deriva.materialize_many([]).all_bytes().await.unwrap();
    assert!(none.is_empty());
}

#[tokio::test]
async fn a_deadline_counts_for_the_bytes_as_for_the_request() {
    let (deriva, _) = counting(&Stores::new("memory")).await;
    let leaf = deriva.put("x").await.unwrap();
    let request = deriva.materialize(leaf).deadline(Duration::ZERO);
    match request.bytes().await {
        // It was there before anybody looked at the clock.
        Ok(bytes) => assert_eq!(bytes, "x"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Timeout),
    }
    let gone = CAddr::of_blob(b"gone");
    let error = deriva.materialize(gone).bytes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn damaged_bytes_are_made_again_and_never_served() {
    let stores = Stores::new("sled");
    let (deriva, calls) = counting(&stores).await;
    let leaf = deriva.put(vec![1; 20_000]).await.unwrap();
    let twice = recipe(&deriva, "heavy", &[leaf, leaf]).await;
    let output = deriva
        .materialize(twice)
        .await
        .unwrap()
        .results
        .remove(0)
        .unwrap();
    let damage = |addr: CAddr| {
        let (name, files) = (addr.to_string(), stores.folder.path().join("store/files"));
        let file = files.join(&name[..2]).join(&name);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[5_000] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    };
    damage(output.addr);
    let bytes = deriva.materialize(twice).bytes().await.unwrap();
    assert_eq!(bytes, vec![1; 40_000]);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    damage(leaf);
    let error = deriva.materialize(leaf).bytes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}
