//! Recipes, functions and roots are listed completely, in order, and from any item on.
#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

use crate::common::{self, Store, leaf, recipe};
use deriva_api::{CAddr, DagUsage, ErrorKind};
use futures::TryStreamExt;
use rstest::rstest;

#[rstest]
#[case("memory:")]
#[case("sled:PATH?durability=buffered")]
#[case("redb:PATH?durability=buffered")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?durability=buffered"))]
#[tokio::test]
async fn recipes_are_listed_by_address_and_by_function(#[case] uri: &str) {
    let store = Store::open(uri).await;
    let dag = store.dag();
    let names = ["a/1", "a/10", "a.b/1"];
    let recipes: Vec<_> = (0..1500)
        .map(|i| recipe(names[i % 3], &[leaf(i as u64)]))
        .collect();
    dag.insert(&recipes).await.unwrap();
    let mut addrs: Vec<CAddr> = recipes.iter().map(|r| r.addr()).collect();
    addrs.sort();
    for at in [None, Some(0), Some(700), Some(1499)] {
        let after = at.map(|at: usize| addrs[at]);
        let listed: Vec<_> = dag.list(after).try_collect().await.unwrap();
        let listed: Vec<CAddr> = listed.into_iter().map(|(addr, _)| addr).collect();
        assert_eq!(listed, addrs[at.map_or(0, |at| at + 1)..]);
    }
    for name in names {
        let wanted = recipes.iter().filter(|r| r.function().to_string() == name);
        let mut wanted: Vec<CAddr> = wanted.map(|r| r.addr()).collect();
        wanted.sort();
        let id = name.parse().unwrap();
        let found: Vec<_> = dag.by_function(&id, None).try_collect().await.unwrap();
        assert_eq!(found, wanted);
        let after = Some(wanted[100]);
        let found: Vec<_> = dag.by_function(&id, after).try_collect().await.unwrap();
        assert_eq!(found, wanted[101..]);
    }
}

#[rstest]
#[case("memory:")]
#[case("sled:PATH?durability=buffered")]
#[case("redb:PATH?durability=buffered")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?durability=buffered"))]
#[tokio::test]
async fn roots_are_set_moved_removed_and_listed(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let dag = store.dag();
    let long = "é".repeat(128);
    let mut names = vec![
        "b",
        "a",
        "a/1",
        "\u{0}",
        "日本",
        long.as_str(),
        "root with spaces",
    ];
    for name in &names {
        dag.set_root(name, leaf(1)).await.unwrap();
    }
    dag.set_root("a", leaf(2)).await.unwrap();
    for name in ["", &"x".repeat(257)] {
        let error = dag.set_root(name, leaf(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert!(dag.remove_root("b").await.unwrap());
    assert!(!dag.remove_root("b").await.unwrap());
    drop(dag);
    store.reopen().await;

    let dag = store.dag();
    names.remove(0);
    names.sort();
    let listed: Vec<_> = dag.roots(None).try_collect().await.unwrap();
    let expected = names.iter().map(|name| match *name {
        "a" => ("a".to_owned(), leaf(2)),
        name => (name.to_owned(), leaf(1)),
    });
    assert!(listed.iter().cloned().eq(expected), "{listed:?}");
    let rest: Vec<_> = dag.roots(Some("a/1")).try_collect().await.unwrap();
    let at = names.iter().position(|name| *name == "a/1").unwrap();
    assert_eq!(rest, listed[at + 1..]);
    let expected = DagUsage {
        recipes: 0,
        outputs: 0,
        roots: 6,
    };
    assert_eq!(dag.usage().await.unwrap(), Some(expected));
}

#[rstest]
#[case("memory:")]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[tokio::test]
async fn a_recipe_longer_than_a_row_round_trips(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let inputs: Vec<CAddr> = (0..10_000).map(leaf).collect();
    let wide = recipe("join/1", &inputs);
    let dag = store.dag();
    dag.insert(&[wide.clone()]).await.unwrap();
    drop(dag);
    store.reopen().await;
    let dag = store.dag();
    let node = dag
        .get_many(&[wide.addr()])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert!(node.recipe.inputs().eq(inputs.iter().copied()));
    let listed: Vec<_> = dag.list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(common::dependents(&dag, leaf(9999)).await, [wide.addr()]);
    assert_eq!(dag.remove(&[wide.addr()]).await.unwrap(), 1);
    assert_eq!(common::dependents(&dag, leaf(9999)).await, []);
}
