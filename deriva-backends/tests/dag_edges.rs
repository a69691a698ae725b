//! Dependents are exact after every operation, and a recipe goes only after what needs it.
#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

mod common;

use common::{Store, dependents, leaf, recipe};
use deriva_api::{DagUsage, ErrorKind};
use rstest::rstest;

#[rstest]
#[case("memory:")]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[case("sled:PATH?durability=buffered&blob_threshold=1KiB")]
#[case("redb:PATH?durability=buffered&blob_threshold=1KiB")]
#[cfg_attr(
    feature = "rocksdb",
    case("rocksdb:PATH?durability=buffered&blob_threshold=1KiB")
)]
#[tokio::test]
async fn edges_match_recipes(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let dag = store.dag();
    let a = recipe("f/1", &[leaf(1), leaf(2), leaf(1)]);
    let b = recipe("g/1", &[a.addr(), leaf(1)]);
    let c = recipe("h/1", &[leaf(1)]);
    let mut users = [a.addr(), b.addr(), c.addr()];
    users.sort();

    // Inputs need not be there; the order of a batch and repetitions do not matter.
    dag.insert(&[b.clone(), a.clone(), b.clone()])
        .await
        .unwrap();
    dag.insert(&[c.clone(), a.clone()]).await.unwrap();
    assert_eq!(dependents(&dag, leaf(1)).await, users);
    assert_eq!(dependents(&dag, leaf(2)).await, [a.addr()]);
    assert_eq!(dependents(&dag, a.addr()).await, [b.addr()]);

    let error = dag.remove(&[c.addr(), a.addr()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        dependents(&dag, leaf(1)).await,
        users,
        "nothing was removed"
    );

    assert_eq!(
        dag.remove(&[a.addr(), b.addr(), a.addr()]).await.unwrap(),
        2
    );
    assert_eq!(dependents(&dag, leaf(1)).await, [c.addr()]);
    assert_eq!(dependents(&dag, leaf(2)).await, []);
    assert_eq!(dag.remove(&[a.addr()]).await.unwrap(), 0);

    dag.insert(&[a.clone()]).await.unwrap();
    drop(dag);
    store.reopen().await;
    let dag = store.dag();
    let mut users = [a.addr(), c.addr()];
    users.sort();
    assert_eq!(dependents(&dag, leaf(1)).await, users);
    let expected = DagUsage {
        recipes: 2,
        outputs: 0,
        roots: 0,
    };
    assert_eq!(dag.usage().await.unwrap(), Some(expected));
}

#[rstest]
#[case("memory:")]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[case("sled:PATH?durability=buffered&blob_threshold=1KiB")]
#[case("redb:PATH?durability=buffered&blob_threshold=1KiB")]
#[cfg_attr(
    feature = "rocksdb",
    case("rocksdb:PATH?durability=buffered&blob_threshold=1KiB")
)]
#[tokio::test]
async fn a_hub_lists_its_dependents_in_order_and_from_any_of_them(#[case] uri: &str) {
    let store = Store::open(uri).await;
    let dag = store.dag();
    let recipes: Vec<_> = (0..3000)
        .map(|i| recipe("f/1", &[leaf(0), leaf(i + 1)]))
        .collect();
    for batch in recipes.chunks(700) {
        dag.insert(batch).await.unwrap();
    }
    let mut addrs: Vec<_> = recipes.iter().map(|r| r.addr()).collect();
    addrs.sort();
    assert_eq!(dependents(&dag, leaf(0)).await, addrs);
    use futures::TryStreamExt;
    let rest: Vec<_> = dag
        .dependents(leaf(0), Some(addrs[1234]))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(rest, addrs[1235..]);
    assert_eq!(dag.remove(&addrs[..2000]).await.unwrap(), 2000);
    assert_eq!(dependents(&dag, leaf(0)).await, addrs[2000..]);
}
