//! A collection that fails, or that is given up, at any call: the store is consistent, and the next one
//! goes on.

use crate::collecting::{Content, check, fill, roots_are_whole, store};
use deriva::admin::{CollectPolicy, Collected};
use deriva::prelude::*;
use deriva_testkit::{CountingLayer, FaultLayer};
use rstest::rstest;

/// Recipes of the graph; a batch takes fewer.
const SIZE: usize = 300;

fn policy(quota: bool) -> CollectPolicy {
    let policy = CollectPolicy::default();
    match quota {
        true => policy.derived_bytes_at_most(0),
        false => policy,
    }
}

/// What holds afterwards; a quota may have dropped outputs of what lives.
async fn holds(deriva: &Deriva, before: &Content, quota: bool) {
    // Waits for a batch that is under way.
    deriva.insert(&[]).await.unwrap();
    check(deriva).await;
    let after = Content::of(deriva).await;
    let (recipes, _) = before.collected(false);
    assert!(after.recipes().is_superset(&recipes));
    if !quota {
        roots_are_whole(deriva).await;
    }
}

/// The next collection takes what is left: all dead recipes, and every blob but those of one batch.
async fn goes_on(deriva: &Deriva, before: &Content, quota: bool) -> Collected {
    let collected = deriva.collect().policy(policy(quota)).await.unwrap();
    let (recipes, blobs) = before.collected(false);
    let after = Content::of(deriva).await;
    assert_eq!(after.recipes(), recipes);
    if !quota {
        assert!(blobs.iter().all(|addr| after.blobs.contains_key(addr)));
        let forgotten = after.blobs.len() - blobs.len();
        assert!(forgotten <= 256, "{forgotten} blobs were left");
    }
    holds(deriva, before, quota).await;
    // What a quota dropped is made again.
    let roots = after.roots.iter().map(|(_, addr)| *addr);
    deriva.materialize_many(roots).await.unwrap();
    collected
}

#[rstest]
#[tokio::test]
async fn a_fault_at_any_call_leaves_a_consistent_store(#[values(false, true)] quota: bool) {
    let mut call = 1;
    loop {
        let layer = FaultLayer::new();
        let (builder, _folder) = store("memory");
        let deriva = builder.layer(layer.clone()).build().await.unwrap();
        fill(&deriva, 5, SIZE, 60).await;
        let before = Content::of(&deriva).await;
        let faults = layer.faults();
        match call % 2 {
            0 => faults.fail_call(call, ErrorKind::Unavailable),
            _ => faults.lose_call(call, ErrorKind::Unavailable),
        }
        let outcome = deriva.collect().policy(policy(quota)).await;
        faults.clear();
        holds(&deriva, &before, quota).await;
        goes_on(&deriva, &before, quota).await;
        if faults.injected() == 0 {
            assert!(outcome.is_ok() && call > 20);
            return;
        }
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
        // Each of the first, where every sort of call is met; then some.
        call += 1 + call / 25;
    }
}

#[rstest]
#[tokio::test]
async fn a_collection_given_up_at_any_call_leaves_a_consistent_store(
    #[values(false, true)] quota: bool,
) {
    let mut calls = 1;
    loop {
        let layer = CountingLayer::new();
        let (builder, _folder) = store("memory");
        let deriva = builder.layer(layer.clone()).build().await.unwrap();
        fill(&deriva, 6, SIZE, 60).await;
        let before = Content::of(&deriva).await;
        let counts = layer.counts();
        counts.reset();
        let collecting = deriva.collect().policy(policy(quota)).into_future();
        let reached = async {
            while counts.total() < calls {
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::select! {
            biased;
            () = reached => None,
            ended = collecting => Some(ended),
        };
        holds(&deriva, &before, quota).await;
        let after = goes_on(&deriva, &before, quota).await;
        if let Some(ended) = ended {
            let all = (before.nodes.len() - before.collected(false).0.len()) as u64;
            assert_eq!((ended.unwrap().recipes, after.recipes), (all, 0));
            return;
        }
        calls += 1 + calls / 25;
    }
}
