//! Stores to collect, and what has to hold of them whatever happened.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use deriva::prelude::*;
use deriva::{BlobStat, Node, Output};
use deriva_testkit::random;
use futures::TryStreamExt;
use tempfile::TempDir;

/// A builder over a store of this name, and the folder that it lies in: `split` keeps recipes in redb and
/// blobs in files.
pub(crate) fn store(name: &str) -> (DerivaBuilder, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let builder = match name {
        "memory" => Deriva::builder().store("memory:"),
        "split" => Deriva::builder()
            .dag(format!("redb:{}", path("graph")))
            .blobs(format!("files:{}", path("blobs"))),
        engine => Deriva::builder().store(&format!("{engine}:{}", path("store"))),
    };
    (builder, folder)
}

pub(crate) async fn open(name: &str) -> (Deriva, TempDir) {
    let (builder, folder) = store(name);
    (builder.build().await.unwrap(), folder)
}

pub(crate) async fn recipe(deriva: &Deriva, name: &str, inputs: &[CAddr]) -> CAddr {
    let recipe = deriva.recipe(name, "1").inputs(inputs.iter().copied());
    recipe.insert().await.unwrap()
}

/// Everything that a [`Deriva`] holds.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) nodes: BTreeMap<CAddr, Node>,
    pub(crate) blobs: BTreeMap<CAddr, BlobStat>,
    pub(crate) roots: Vec<(String, CAddr)>,
}

impl Content {
    pub(crate) async fn of(deriva: &Deriva) -> Self {
        let blobs: Vec<BlobStat> = deriva.blobs().list(None).try_collect().await.unwrap();
        Self {
            nodes: deriva.dag().list(None).try_collect().await.unwrap(),
            blobs: blobs.into_iter().map(|stat| (stat.addr, stat)).collect(),
            roots: deriva.roots().await.unwrap(),
        }
    }

    pub(crate) fn recipes(&self) -> BTreeSet<CAddr> {
        self.nodes.keys().copied().collect()
    }

    pub(crate) fn outputs(&self) -> impl Iterator<Item = Output> {
        self.nodes.values().filter_map(|node| node.output)
    }

    /// The recipes that a root needs, and the blobs that these and the roots need as themselves.
    pub(crate) fn living(&self) -> (BTreeSet<CAddr>, BTreeSet<CAddr>) {
        let (mut recipes, mut named) = (BTreeSet::new(), BTreeSet::new());
        let mut open: Vec<CAddr> = self.roots.iter().map(|(_, addr)| *addr).collect();
        while let Some(addr) = open.pop() {
            match self.nodes.get(&addr) {
                Some(node) if recipes.insert(addr) => open.extend(node.recipe.inputs()),
                Some(_) => {}
                None => drop(named.insert(addr)),
            }
        }
        (recipes, named)
    }

    /// What a collection of this content leaves: recipes and blobs, said naively.
    pub(crate) fn collected(&self, unreferenced: bool) -> (BTreeSet<CAddr>, BTreeSet<CAddr>) {
        let (recipes, mut needed) = self.living();
        let (mut made, mut dead) = (BTreeSet::new(), BTreeSet::new());
        for (addr, node) in &self.nodes {
            let of = if recipes.contains(addr) {
                &mut made
            } else {
                &mut dead
            };
            of.extend(node.output.map(|output| output.addr));
        }
        needed.extend(made);
        let blobs = self.blobs.keys().copied();
        let blobs =
            blobs.filter(|addr| needed.contains(addr) || !(unreferenced || dead.contains(addr)));
        let blobs = blobs.collect();
        (recipes, blobs)
    }
}

/// What holds of a store at any time: no output without its blob, edges that match the recipes, and all
/// that a root needs.
pub(crate) async fn check(deriva: &Deriva) {
    let content = Content::of(deriva).await;
    for output in content.outputs() {
        assert_eq!(content.blobs.get(&output.addr), Some(&output.stat()));
    }
    let mut edges: BTreeMap<CAddr, BTreeSet<CAddr>> = BTreeMap::new();
    for (addr, node) in &content.nodes {
        for input in node.recipe.inputs() {
            edges.entry(input).or_default().insert(*addr);
        }
    }
    for addr in content.nodes.keys().chain(content.blobs.keys()) {
        let found: BTreeSet<CAddr> = deriva
            .dag()
            .dependents(*addr, None)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(found, edges.get(addr).cloned().unwrap_or_default());
    }
    let (_, named) = content.living();
    assert!(named.iter().all(|addr| content.blobs.contains_key(addr)));
}

/// Everything that a root names is there without computing anything.
pub(crate) async fn roots_are_whole(deriva: &Deriva) {
    let roots = deriva.roots().await.unwrap();
    let roots = roots.into_iter().map(|(_, addr)| addr);
    let done = deriva.materialize_many(roots).await.unwrap();
    assert_eq!(done.summary.computed, 0);
}

/// Stores a random graph, computes all of it, and roots every `n`th recipe.
pub(crate) async fn fill(deriva: &Deriva, seed: u64, size: usize, n: usize) {
    let graph = random::graph(seed, size).unwrap();
    deriva.put_many(&graph.leaves).await.unwrap();
    let addrs = deriva.insert(&graph.recipes).await.unwrap();
    deriva
        .materialize_many(addrs.iter().copied())
        .await
        .unwrap();
    for addr in addrs.iter().skip(n / 2).step_by(n) {
        deriva.set_root(&addr.short(), *addr).await.unwrap();
    }
}
