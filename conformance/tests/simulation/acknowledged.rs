//! What an answer promises of the store, asked of the store itself at the moment of the answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use deriva::stores::{BlobStore, DagStore};
use deriva::{Blob, CAddr, ErrorKind, Materialized, Recipe, Result, StoreResults};
use futures::TryStreamExt;
use parking_lot::Mutex;

use super::world::World;

/// Counts those who undo what was acknowledged: an answer is held against the store where nobody did so since.
#[derive(Debug, Default)]
pub(crate) struct Undoing {
    begun: AtomicU64,
    under_way: AtomicU64,
}

/// A moment at which nobody was undoing anything, or somebody was.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    begun: u64,
    is_calm: bool,
}

impl Moment {
    /// Who took this moment began next, and does not count.
    pub(crate) fn but_me(self) -> Self {
        Self {
            begun: self.begun + 1,
            ..self
        }
    }
}

impl Undoing {
    /// Somebody begins, and is at it until the answer is dropped.
    pub(crate) fn begin(&self) -> UnderWay<'_> {
        self.begun.fetch_add(1, Relaxed);
        self.under_way.fetch_add(1, Relaxed);
        UnderWay(self)
    }

    pub(crate) fn now(&self) -> Moment {
        Moment {
            begun: self.begun.load(Relaxed),
            is_calm: self.under_way.load(Relaxed) == 0,
        }
    }

    fn none_since(&self, since: Moment) -> bool {
        since.is_calm && self.begun.load(Relaxed) == since.begun
    }
}

pub(crate) struct UnderWay<'a>(&'a Undoing);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// What is known of a request when it is made, and what it tells on its way.
pub(crate) struct Asked {
    pub(crate) targets: Vec<CAddr>,
    pub(crate) results: StoreResults,
    pub(crate) has_deadline: bool,
    /// Its handler panics.
    pub(crate) is_doomed: bool,
    /// It may find that functions lie.
    pub(crate) checks: bool,
    /// All that any recipe needs was there.
    is_whole: bool,
    since: Moment,
    injected: u64,
    /// What it computed or found.
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

/// What a request tells of a recipe.
pub(crate) struct Seen {
    pub(crate) addr: CAddr,
    /// Its output was found as that of its resolved recipe.
    pub(crate) is_cutoff: bool,
}

impl Asked {
    pub(crate) async fn new(world: &World, targets: Vec<CAddr>) -> Self {
        let since = world.undoing.now();
        Self {
            targets,
            results: StoreResults::All,
            has_deadline: false,
            is_doomed: false,
            checks: false,
            is_whole: since.is_calm
                && world
                    .lacks(&world.graph.leaves, &world.graph.recipes)
                    .await
                    .is_empty(),
            since,
            injected: world.faults.injected(),
            seen: Arc::default(),
        }
    }

    /// Errors of these kinds are nobody's fault but the runtime's.
    pub(crate) fn excuses(&self, world: &World, kind: ErrorKind) -> bool {
        match kind {
            ErrorKind::Timeout => self.has_deadline,
            ErrorKind::Internal => self.is_doomed,
            // It leases what it was asked for from its first step on.
            ErrorKind::NotFound => !self.is_whole || world.lost_leaf(),
            _ => true,
        }
    }

    /// What the answer promises is there.
    pub(crate) async fn check(&self, world: &World, done: &Result<Materialized>) {
        if self.results != StoreResults::All
            || world.doubts()
            || !world.undoing.none_since(self.since)
        {
            return;
        }
        let mut promised = self.promised(world);
        match done {
            Ok(done) => {
                let results = self.targets.iter().zip(&done.results);
                promised
                    .extend(results.filter_map(|(addr, result)| result.is_ok().then_some(*addr)));
            }
            // What was computed before is written all the same, where the store lets it.
            Err(error) if error.kind() == ErrorKind::Function && self.is_unhurt(world) => {}
            Err(_) => return self.leave(world),
        }
        self.is_recorded(world, promised).await;
    }

    /// The request was given up: what it computed is there once all is quiet.
    pub(crate) fn leave(&self, world: &World) {
        if self.results == StoreResults::All && !world.doubts() {
            let promised = self.promised(world);
            let seen = self.seen.lock();
            let left = promised.into_iter().map(|addr| Left {
                addr,
                is_cutoff: seen.iter().any(|seen| seen.addr == addr && seen.is_cutoff),
                since: self.since,
                injected: self.injected,
            });
            world.left.lock().extend(left);
        }
    }

    /// What it computed or found, but for an output that was found for a recipe of the same work and whose blob
    /// vanished before it could be recorded: the request plans anew, and may need that recipe no more.
    fn promised(&self, world: &World) -> Vec<CAddr> {
        let vanished = world.vanished.lock();
        let is_gone = |seen: &&Seen| {
            seen.is_cutoff && vanished.contains(&world.graph.expected[&seen.addr].addr())
        };
        let seen = self.seen.lock();
        let promised = seen.iter().filter(|seen| !is_gone(seen));
        promised.map(|seen| seen.addr).collect()
    }

    fn is_unhurt(&self, world: &World) -> bool {
        world.faults.injected() == self.injected
    }

    async fn is_recorded(&self, world: &World, promised: Vec<CAddr>) {
        let outputs = world.raw.outputs(&promised).await.unwrap();
        for (addr, output) in promised.iter().zip(outputs) {
            let output =
                output.unwrap_or_else(|| panic!("{addr} is acknowledged and not recorded"));
            assert!(
                world.has(output.addr).await,
                "{addr} is acknowledged and has no blob"
            );
        }
    }
}

/// What a request computed that was given up.
pub(crate) struct Left {
    addr: CAddr,
    /// It was found for a recipe of the same work.
    is_cutoff: bool,
    since: Moment,
    injected: u64,
}

impl World {
    /// What requests left behind that were given up is recorded, now that all is quiet.
    pub(crate) async fn check_left(&self) {
        let left = std::mem::take(&mut *self.left.lock());
        for Left {
            addr,
            is_cutoff,
            since,
            injected,
        } in left
        {
            // What was found by cutoff may have vanished after the request was given up, too, and before it was recorded.
            let vanished = is_cutoff
                && self
                    .vanished
                    .lock()
                    .contains(&self.graph.expected[&addr].addr());
            let is_unhurt = self.faults.injected() == injected && !vanished;
            if self.undoing.none_since(since) && is_unhurt {
                let output = self.raw.outputs(&[addr]).await.unwrap()[0];
                assert!(output.is_some(), "{addr} was computed and is not recorded");
            }
        }
    }

    /// What was put or inserted and acknowledged is there.
    pub(crate) async fn check_added(&self, since: Moment, blobs: &[Blob], recipes: &[Recipe]) {
        if self.undoing.none_since(since) {
            let lacks = self.lacks(blobs, recipes).await;
            assert!(
                lacks.is_empty() || self.lost_leaf(),
                "acknowledged and not there: {lacks:?}"
            );
        }
    }

    /// A root that was set or removed is as it was acknowledged.
    pub(crate) async fn check_root(&self, since: Moment, name: &str, addr: Option<CAddr>) {
        if self.rooting.none_since(since) {
            let roots: Vec<(String, CAddr)> = self.raw.roots(None).try_collect().await.unwrap();
            let found = roots
                .iter()
                .find(|(root, _)| root == name)
                .map(|(_, addr)| *addr);
            assert_eq!(found, addr, "{name} is not as it was acknowledged");
        }
    }

    /// A forgotten output is gone.
    pub(crate) async fn check_forgotten(&self, addr: CAddr) {
        let output = self.raw.outputs(&[addr]).await.unwrap()[0];
        assert!(output.is_none(), "{addr} is forgotten and has an output");
    }

    async fn lacks(&self, blobs: &[Blob], recipes: &[Recipe]) -> BTreeSet<CAddr> {
        let blobs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        let recipes: Vec<CAddr> = recipes.iter().map(Recipe::addr).collect();
        let stats = self.raw.stat(&blobs).await.unwrap();
        let nodes = DagStore::get_many(&self.raw, &recipes).await.unwrap();
        let there = stats
            .iter()
            .map(Option::is_some)
            .chain(nodes.iter().map(Option::is_some));
        let all = blobs.into_iter().chain(recipes).zip(there);
        all.filter_map(|(addr, there)| (!there).then_some(addr))
            .collect()
    }

    /// Whether a blob is there, or was made to vanish.
    pub(crate) async fn has(&self, content: CAddr) -> bool {
        let vanished = self.vanished.lock().contains(&content);
        vanished || self.raw.stat(&[content]).await.unwrap()[0].is_some()
    }

    /// Whether a leaf was made to vanish, as the output of a recipe that gives the same bytes.
    fn lost_leaf(&self) -> bool {
        let vanished = self.vanished.lock();
        self.graph
            .leaves
            .iter()
            .any(|leaf| vanished.contains(&leaf.addr()))
    }
}
