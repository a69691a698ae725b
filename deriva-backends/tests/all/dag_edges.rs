//! Dependents are exact after every operation, and a recipe goes only after what needs it.
#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

use std::collections::BTreeSet;

use crate::common::{self, Store, dependents, leaf, recipe};
use deriva_api::{CAddr, DagUsage, ErrorKind};
use futures::TryStreamExt;
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
    let mut recipes: Vec<_> = (0..3000)
        .map(|i| recipe("f/1", &[leaf(0), leaf(i + 1)]))
        .collect();
    // The last by address first, so that pages must wait for them.
    recipes.sort_by_key(|recipe| std::cmp::Reverse(recipe.addr()));
    for batch in recipes.chunks(700) {
        dag.insert(batch).await.unwrap();
    }
    let mut addrs: Vec<_> = recipes.iter().map(|r| r.addr()).collect();
    addrs.sort();
    assert_eq!(dependents(&dag, leaf(0)).await, addrs);
    let rest: Vec<_> = dag
        .dependents(leaf(0), Some(addrs[1234]))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(rest, addrs[1235..]);
    assert_eq!(dag.remove(&addrs[..2000]).await.unwrap(), 2000);
    assert_eq!(dependents(&dag, leaf(0)).await, addrs[2000..]);
}

/// More dependents than fit in one row, in batches that insert and remove at random.
#[rstest]
#[case("memory:")]
#[case("sled:PATH")]
#[case("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[tokio::test]
async fn dependents_are_exact_after_any_inserts_and_removals(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let recipes: Vec<_> = (0..60)
        .map(|i| recipe("f/1", &[leaf(i % 2), leaf(i % 3), leaf(7), leaf(1000 + i)]))
        .collect();
    let mut stored = BTreeSet::new();
    for (round, choice) in common::bytes(64, 11).chunks(2).enumerate() {
        let (from, step) = (choice[0] as usize % 20, 1 + choice[1] as usize % 4);
        let batch: Vec<_> = recipes.iter().skip(from).step_by(step).cloned().collect();
        let addrs: Vec<_> = batch.iter().map(|recipe| recipe.addr()).collect();
        let dag = store.dag();
        if round % 3 == 2 {
            let there = addrs.iter().filter(|addr| stored.remove(*addr)).count();
            assert_eq!(dag.remove(&addrs).await.unwrap(), there as u64);
        } else {
            dag.insert(&batch).await.unwrap();
            stored.extend(addrs);
        }
        for input in [0, 1, 2, 7, 1003] {
            let uses = recipes.iter().filter(|recipe| {
                stored.contains(&recipe.addr()) && recipe.inputs().any(|addr| addr == leaf(input))
            });
            let mut expected: Vec<_> = uses.map(|recipe| recipe.addr()).collect();
            expected.sort();
            assert_eq!(dependents(&dag, leaf(input)).await, expected, "{round}");
            for after in recipes.iter().step_by(13).map(|recipe| recipe.addr()) {
                let found: Vec<_> = dag
                    .dependents(leaf(input), Some(after))
                    .try_collect()
                    .await
                    .unwrap();
                let rest: Vec<_> = expected.iter().copied().filter(|a| *a > after).collect();
                assert_eq!(found, rest, "{round}");
            }
        }
        drop(dag);
        if round % 10 == 9 {
            store.reopen().await;
        }
    }
}

#[rstest]
#[case("memory:")]
#[case("sled:PATH?durability=buffered")]
#[tokio::test]
async fn a_recipe_is_kept_while_one_of_many_dependents_is_outside_the_batch(#[case] uri: &str) {
    let store = Store::open(uri).await;
    let dag = store.dag();
    let hub = recipe("hub/1", &[leaf(0)]);
    let users: Vec<_> = (0..40)
        .map(|i| recipe("f/1", &[hub.addr(), leaf(i)]))
        .collect();
    for recipe in [&hub].into_iter().chain(&users) {
        dag.insert(std::slice::from_ref(recipe)).await.unwrap();
    }
    for spared in 0..users.len() {
        let mut batch: Vec<_> = users.iter().map(|recipe| recipe.addr()).collect();
        let spared = batch.remove(spared);
        batch.push(hub.addr());
        let error = dag.remove(&batch).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let context = ["addr", "dependent"].map(|key| error.context(key).unwrap().to_owned());
        assert_eq!(context, [hub.addr().to_string(), spared.to_string()]);
    }
    let mut batch: Vec<_> = users.iter().map(|recipe| recipe.addr()).collect();
    batch.push(hub.addr());
    assert_eq!(dag.remove(&batch).await.unwrap(), 41);
}

/// Format 1 had a row for every edge.
#[tokio::test]
async fn a_store_of_format_1_is_read_as_it_is_and_written_on() {
    let recipes: Vec<_> = (0..30)
        .map(|i| recipe("f/1", &[leaf(0), leaf(i + 1)]))
        .collect();
    let mut store = Store::open("sled:PATH").await;
    store.close();
    let db = common::raw::open_sled(&store.path().join("sled"));
    db.clear().unwrap();
    for recipe in &recipes[..20] {
        let addr = recipe.addr();
        db.insert([b"r", addr.as_ref()].concat(), &recipe.canonical()[..])
            .unwrap();
        for input in recipe.inputs() {
            db.insert([b"d", input.as_ref(), addr.as_ref()].concat(), b"")
                .unwrap();
        }
    }
    let mut counters: Vec<u8> = [20u64, 0, 0, 0, 0, 0]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    let seal = CAddr::of_blob(&[b"mcounters", &counters[..]].concat());
    counters.extend_from_slice(&seal.as_bytes()[..8]);
    db.insert("mcounters", counters).unwrap();
    db.insert("mformat", &1u32.to_le_bytes()).unwrap();
    drop(db);

    store.reopen().await;
    let dag = store.dag();
    let mut addrs: Vec<_> = recipes[..20].iter().map(|recipe| recipe.addr()).collect();
    addrs.sort();
    assert_eq!(dependents(&dag, leaf(0)).await, addrs);
    dag.insert(&recipes[10..]).await.unwrap();
    addrs = recipes.iter().map(|recipe| recipe.addr()).collect();
    addrs.sort();
    assert_eq!(dependents(&dag, leaf(0)).await, addrs);
    assert_eq!(dag.remove(&addrs[..15]).await.unwrap(), 15);
    assert_eq!(dependents(&dag, leaf(0)).await, addrs[15..]);
    drop(dag);
    store.close();
    let db = common::raw::open_sled(&store.path().join("sled"));
    let format = db.get("mformat").unwrap().unwrap();
    assert_eq!(
        format.as_ref(),
        2u32.to_le_bytes(),
        "an older deriva refuses it now"
    );
}
