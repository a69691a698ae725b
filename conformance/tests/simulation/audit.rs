//! What must hold when all clients are done and nothing goes wrong any more.

use std::collections::BTreeSet;

use deriva::admin::CollectPolicy;
use deriva::stores::{BlobStore, DagStore};
use deriva::{BlobStat, CAddr, ErrorKind, Node};
use deriva_testkit::give_way;
use futures::TryStreamExt;

use super::world::World;

/// Turns after which what is in use is taken to be so for ever.
const TURNS: u64 = 20_000;

pub(crate) async fn run(world: &World) {
    world.faults.clear();
    world.chance.calm();
    quiet(world).await;
    world.check_left().await;
    consistent(world).await;
    let (deriva, graph) = (&world.deriva, &world.graph);
    deriva.put_many(&graph.leaves).await.unwrap();
    deriva.insert(&graph.recipes).await.unwrap();
    release_all(world).await;
    let addrs = graph.addrs();
    let done = deriva.materialize_many(addrs.clone()).await.unwrap();
    world.note(format!("audit: computed {}", done.summary.computed));
    for (addr, result) in addrs.iter().zip(done.results) {
        assert_eq!(result.unwrap(), graph.expected[addr].stat(), "{addr}");
    }
    // No flight was left open, and everything is recorded.
    let again = deriva.materialize_many(addrs.clone()).await.unwrap();
    assert_eq!((again.summary.computed, again.summary.joined), (0, 0));
    consistent(world).await;
    let audited = deriva.audit().await.unwrap();
    let ledger = deriva.ledger().await.unwrap();
    assert_eq!((audited.violated, audited.skipped), (0, 0), "{ledger:?}");
    keeps_what_roots_need(world).await;
    keeps_nothing_else(world).await;
    quiet(world).await;
    if let Some(broken) = world.chance.broken() {
        panic!("{broken}");
    }
}

/// What was found to differ is not served, until it is released.
async fn release_all(world: &World) {
    for entry in world.deriva.ledger().await.unwrap() {
        let seen = entry.violation.as_ref();
        assert!(world.checks && seen.is_some(), "{entry:?}");
        let accepted = seen.is_some_and(|seen| seen.accepted.is_some());
        if !accepted && !world.reports {
            let error = world.deriva.get(entry.recipe).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Nondeterministic, "{error}");
        }
        world.deriva.release(entry.recipe).await.unwrap();
    }
}

/// R1: what dropped requests left behind is finished, and then nothing is in use any more.
async fn quiet(world: &World) {
    for _ in 0..TURNS {
        if world.deriva.in_use().is_zero() {
            return;
        }
        give_way(1).await;
    }
    panic!("not given back: {:?}", world.deriva.in_use());
}

/// No output without its blob, or with another than it should have; edges are those of the recipes.
///
/// A blob that vanished below the runtime may be missing; an output that is recorded is always the right one.
async fn consistent(world: &World) {
    let nodes: Vec<(CAddr, Node)> = DagStore::list(&world.raw, None)
        .try_collect()
        .await
        .unwrap();
    let mut edges = BTreeSet::new();
    for (addr, node) in &nodes {
        if let Some(output) = node.output {
            assert_eq!(output.stat(), world.graph.expected[addr].stat(), "{addr}");
            assert!(
                world.has(output.addr).await,
                "{addr} has an output without its blob"
            );
        }
        edges.extend(node.recipe.inputs().map(|input| (input, *addr)));
    }
    let mut found = BTreeSet::new();
    for addr in world.graph.expected.keys() {
        let above: Vec<CAddr> = world
            .raw
            .dependents(*addr, None)
            .try_collect()
            .await
            .unwrap();
        found.extend(above.into_iter().map(|above| (*addr, above)));
    }
    assert_eq!(edges, found, "edges are not those of the recipes");
}

async fn keeps_what_roots_need(world: &World) {
    let deriva = &world.deriva;
    for addr in world.graph.addrs() {
        deriva.set_root(&addr.to_string(), addr).await.unwrap();
    }
    let policy = CollectPolicy::default().unreferenced_blobs(true);
    deriva.collect().policy(policy).await.unwrap();
    let nodes: Vec<(CAddr, Node)> = DagStore::list(&world.raw, None)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(nodes.len(), world.graph.recipes.len());
    assert!(nodes.iter().all(|(_, node)| node.output.is_some()));
    assert_eq!(blobs(world).await, world.graph.needed());
}

/// No lease was left: without roots everything goes.
async fn keeps_nothing_else(world: &World) {
    let deriva = &world.deriva;
    for (name, _) in deriva.roots().await.unwrap() {
        deriva.remove_root(&name).await.unwrap();
    }
    let policy = CollectPolicy::default().unreferenced_blobs(true);
    deriva.collect().policy(policy).await.unwrap();
    let usage = DagStore::usage(&world.raw).await.unwrap().unwrap();
    assert_eq!((usage.recipes, usage.outputs), (0, 0));
    assert_eq!(blobs(world).await, BTreeSet::new());
}

async fn blobs(world: &World) -> BTreeSet<CAddr> {
    let blobs: Vec<BlobStat> = BlobStore::list(&world.raw, None)
        .try_collect()
        .await
        .unwrap();
    // The ledger is kept, whatever is collected.
    let roots: Vec<(String, CAddr)> = world.raw.roots(None).try_collect().await.unwrap();
    let own = roots
        .into_iter()
        .filter(|(name, _)| name.starts_with("deriva:"));
    let own: BTreeSet<CAddr> = own.map(|(_, addr)| addr).collect();
    let addrs = blobs.into_iter().map(|stat| stat.addr);
    addrs.filter(|addr| !own.contains(addr)).collect()
}
