//! What an invalidation forgets, and that nothing of it comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Stores, recipe};
use deriva::admin::Invalidated;
use deriva::prelude::*;

/// A function whose output can be made another: what a wrong function and its correction look like.
async fn versioned(uri: &str) -> (Deriva, Arc<AtomicU64>) {
    let version = Arc::new(AtomicU64::new(1));
    let now = Arc::clone(&version);
    let deriva = Deriva::builder()
        .store(uri)
        .function("version", "1", move |_, _| {
            Ok(now.load(Ordering::SeqCst).to_string().into())
        })
        .function("copy", "1", |inputs, _| Ok(inputs.concat().into()))
        .build()
        .await
        .unwrap();
    (deriva, version)
}

fn counts(done: Invalidated) -> (u64, u64, u64, u64) {
    (done.recipes, done.outputs, done.bytes, done.depth)
}

async fn has_output(deriva: &Deriva, addr: CAddr) -> bool {
    deriva.dag().outputs(&[addr]).await.unwrap()[0].is_some()
}

#[tokio::test]
async fn the_output_goes_the_recipe_stays_and_is_computed_again() {
    for stores in Stores::all() {
        let (deriva, version) = versioned(&stores.uri()).await;
        let leaf = deriva.put("leaf").await.unwrap();
        let one = recipe(&deriva, "version", &[leaf]).await;
        let two = recipe(&deriva, "copy", &[one]).await;
        assert_eq!(deriva.get(two).await.unwrap(), "1");
        assert_eq!(deriva.get(one).await.unwrap(), "1");
        version.store(22, Ordering::SeqCst);

        let done = deriva.invalidate(one).await.unwrap();
        assert_eq!(counts(done), (1, 1, 1, 0));
        assert!(!has_output(&deriva, one).await);
        assert_eq!(deriva.get(one).await.unwrap(), "22");
        // Its dependent was not asked for.
        assert_eq!(deriva.get(two).await.unwrap(), "1");
        assert_eq!(deriva.status().await.unwrap().recipes, Some(2));
        let again = deriva.invalidate(two).await.unwrap();
        assert_eq!(counts(again), (1, 1, 1, 0));
        assert_eq!(deriva.get(two).await.unwrap(), "22");
    }
}

#[tokio::test]
async fn a_cascade_reaches_all_descendants_and_a_dry_run_only_counts_them() {
    for stores in Stores::all() {
        let (deriva, version) = versioned(&stores.uri()).await;
        let leaf = deriva.put("leaf").await.unwrap();
        let one = recipe(&deriva, "version", &[leaf]).await;
        // A short way and a long way to the top: 1, 3, 3 and 7 bytes; and one that was never computed.
        let left = recipe(&deriva, "copy", &[one, leaf]).await;
        let right = recipe(&deriva, "copy", &[left, one]).await;
        let top = recipe(&deriva, "copy", &[one, right]).await;
        let never = recipe(&deriva, "copy", &[top]).await;
        let apart = recipe(&deriva, "copy", &[leaf]).await;
        deriva.materialize_many([top, apart]).await.unwrap();
        assert_eq!(deriva.get(top).await.unwrap(), "11leaf1");
        version.store(2, Ordering::SeqCst);

        let digest = deriva.state_digest().await.unwrap();
        let dry = deriva.invalidate(one).cascade().dry_run().await.unwrap();
        assert_eq!(counts(dry), (5, 4, 1 + 5 + 6 + 7, 4));
        assert!(dry.dry_run);
        let outputs = deriva.dag().outputs(&[one, left, right, top]).await;
        let costs = outputs.unwrap().into_iter().flatten().map(|it| it.cost);
        let costs = costs.sum::<std::time::Duration>().as_secs_f64();
        assert_eq!(dry.rebuild_seconds, costs);
        assert_eq!(deriva.state_digest().await.unwrap(), digest);

        let done = deriva.invalidate(one).cascade().await.unwrap();
        assert_eq!(counts(done), counts(dry));
        assert_eq!(done.rebuild_seconds, costs);
        for addr in [one, left, right, top, never] {
            assert!(!has_output(&deriva, addr).await);
        }
        assert!(has_output(&deriva, apart).await);
        assert_eq!(deriva.get(top).await.unwrap(), "22leaf2");
        let nothing = deriva.invalidate(never).await.unwrap();
        assert_eq!(counts(nothing), (1, 0, 0, 0));
    }
}

#[tokio::test]
async fn a_function_is_invalidated_by_name_and_version() {
    for stores in Stores::all() {
        let (deriva, version) = versioned(&stores.uri()).await;
        let leaves = [
            deriva.put("a").await.unwrap(),
            deriva.put("b").await.unwrap(),
        ];
        let one = recipe(&deriva, "version", &leaves[..1]).await;
        let other = recipe(&deriva, "version", &leaves[1..]).await;
        let top = recipe(&deriva, "copy", &[one, other]).await;
        assert_eq!(deriva.get(top).await.unwrap(), "11");
        version.store(3, Ordering::SeqCst);
        let id = "version/1".parse().unwrap();
        let done = deriva.invalidate_function(&id).await.unwrap();
        assert_eq!(counts(done), (2, 2, 2, 0));
        assert_eq!(deriva.get(one).await.unwrap(), "3");
        assert_eq!(deriva.get(top).await.unwrap(), "11");
        let done = deriva.invalidate_function(&id).cascade().await.unwrap();
        assert_eq!(counts(done), (3, 2, 3, 1));
        assert_eq!(deriva.get(top).await.unwrap(), "33");
        let none = deriva.invalidate_function(&"version/2".parse().unwrap());
        assert_eq!(counts(none.await.unwrap()), (0, 0, 0, 0));
    }
}

#[tokio::test]
async fn what_was_made_from_a_blob_goes_with_cascade_and_an_unknown_address_is_not_found() {
    let (deriva, _) = versioned("memory:").await;
    let leaf = deriva.put("leaf").await.unwrap();
    let one = recipe(&deriva, "copy", &[leaf]).await;
    deriva.get(one).await.unwrap();
    let alone = deriva.invalidate(leaf).await.unwrap();
    assert_eq!(counts(alone), (0, 0, 0, 0));
    let done = deriva.invalidate(leaf).cascade().await.unwrap();
    assert_eq!(counts(done), (1, 1, 4, 1));
    assert_eq!(deriva.get(leaf).await.unwrap(), "leaf");
    let unknown = CAddr::of_blob(b"unknown");
    for request in [
        deriva.invalidate(unknown),
        deriva.invalidate(unknown).cascade(),
    ] {
        assert_eq!(request.await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn a_walk_that_reaches_too_much_forgets_nothing() {
    let (deriva, _) = versioned("memory:").await;
    let leaf = deriva.put("leaf").await.unwrap();
    let one = recipe(&deriva, "copy", &[leaf]).await;
    let two = recipe(&deriva, "copy", &[one]).await;
    deriva.get(two).await.unwrap();
    let walk = deriva::stores::Walk { limit: 1 };
    let error = deriva
        .invalidate(one)
        .cascade()
        .walk(walk)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(has_output(&deriva, one).await && has_output(&deriva, two).await);
}

/// The output is also recorded under the resolved address, where early cutoff would find it.
#[tokio::test]
async fn early_cutoff_does_not_bring_an_output_back() {
    for stores in Stores::all() {
        let (deriva, version) = versioned(&stores.uri()).await;
        let leaf = deriva.put("leaf").await.unwrap();
        let below = recipe(&deriva, "copy", &[leaf]).await;
        let one = recipe(&deriva, "version", &[below]).await;
        assert_eq!(deriva.get(one).await.unwrap(), "1");
        version.store(2, Ordering::SeqCst);
        deriva.invalidate(one).await.unwrap();
        assert_eq!(deriva.get(one).await.unwrap(), "2");

        // The input's output goes first, so that the resolved address cannot be told when it is needed.
        version.store(3, Ordering::SeqCst);
        deriva.invalidate(below).await.unwrap();
        assert_eq!(deriva.get(one).await.unwrap(), "2");
        deriva.invalidate(one).await.unwrap();
        assert_eq!(deriva.get(one).await.unwrap(), "3");

        // All at once, from the bottom.
        version.store(4, Ordering::SeqCst);
        deriva.invalidate(leaf).cascade().await.unwrap();
        assert_eq!(deriva.get(one).await.unwrap(), "4");
    }
}

#[tokio::test]
async fn the_same_computation_under_another_name_does_not_bring_an_output_back() {
    let (deriva, version) = versioned("memory:").await;
    let leaf = deriva.put("leaf").await.unwrap();
    let below = recipe(&deriva, "copy", &[leaf]).await;
    let one = recipe(&deriva, "version", &[below]).await;
    let plain = recipe(&deriva, "version", &[leaf]).await;
    deriva.materialize_many([one, plain]).await.unwrap();
    version.store(2, Ordering::SeqCst);
    let done = deriva.invalidate(one).await.unwrap();
    assert_eq!(counts(done), (2, 2, 2, 0));
    assert_eq!(deriva.get(one).await.unwrap(), "2");
}

#[tokio::test]
async fn a_hub_keeps_no_resolved_row_of_its_dependents() {
    let (deriva, version) = versioned("memory:").await;
    let leaf = deriva.put("leaf").await.unwrap();
    let hub = recipe(&deriva, "copy", &[leaf]).await;
    let mut around = Vec::new();
    for i in 0..1500 {
        let own = deriva.put(i.to_string()).await.unwrap();
        around.push(recipe(&deriva, "version", &[hub, own]).await);
    }
    deriva
        .materialize_many(around.iter().copied())
        .await
        .unwrap();
    version.store(2, Ordering::SeqCst);
    deriva.invalidate(hub).await.unwrap();
    for addr in &around {
        deriva.invalidate(*addr).await.unwrap();
    }
    deriva
        .materialize_many(around.iter().copied())
        .await
        .unwrap();
    for addr in around {
        assert_eq!(deriva.get(addr).await.unwrap(), "2");
    }
}
