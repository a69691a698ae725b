//! What is found to lie while others plan, compute and record: once that is told, nobody is served it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use deriva_api::{
    Answer, Blob, BlobLayer, BlobStore, CAddr, DagLayer, DagStore, FunctionId, Output, Params,
    Recipe, Record, Violation,
};
use deriva_testkit::{ModelStore, YieldLayer};
use futures::FutureExt;
use shuttle::future::block_on;

use super::{SCHEDULES, idle_tokio, inner_over, threads};
use crate::determinism::ledger::Document;
use crate::determinism::violated::{condemn, mark_forgotten, same_computations, wrong};
use crate::invalidate::{Invalidate, perform};
use crate::materialize::carried::Carried;
use crate::materialize::commit_of;
use crate::materialize::plan::{Planned, Planning, Room, Task, plan};
use crate::shared::Inner;
use crate::shared::claimant::{Claimant, Urgency};
use crate::shared::invalidations::Watch;
use crate::shared::sync::explore;

/// What a recipe gave that lies, and what a quorum agreed on.
const LIE: &str = "a lie";
const RIGHT: &str = "right";

/// A recipe that lies, the same computation under another name, and what is made from the first.
struct World {
    inner: Arc<Inner>,
    lie: CAddr,
    alias: CAddr,
    above: CAddr,
    /// Whether somebody was told of the violation.
    told: AtomicBool,
    /// Of a request that began before all that happens here.
    watch: Arc<Watch>,
}

fn recipe(inputs: &[CAddr]) -> Recipe {
    let id = FunctionId::new("concat", "1").unwrap();
    Recipe::new(&id, inputs, &Params::new()).unwrap()
}

fn output(text: &'static str) -> Output {
    let blob = Blob::new(text);
    Output {
        addr: blob.addr(),
        len: blob.len(),
        cost: Duration::ZERO,
    }
}

fn record(addr: CAddr, text: &'static str) -> (Record, Blob) {
    let record = Record {
        addr,
        // As where the same work was not looked for under another name.
        resolved: None,
        output: output(text),
    };
    (record, Blob::new(text))
}

impl World {
    /// These are recorded in the beginning: lies, and what is made from them.
    fn new(recorded: impl Fn(&Self) -> Vec<CAddr>) -> Arc<Self> {
        let (store, leaf) = (ModelStore::new(), Blob::new("leaf"));
        let same = recipe(&[leaf.addr()]);
        let lie = recipe(&[leaf.addr(), leaf.addr()]);
        let alias = recipe(&[leaf.addr(), same.addr()]);
        let above = recipe(&[lie.addr(), lie.addr(), lie.addr()]);
        // A store that takes its time: so others come between any two calls.
        let slow = YieldLayer::new(1, 1);
        let blobs = BlobLayer::wrap(&slow, Arc::new(store.clone()));
        let inner = inner_over(blobs, DagLayer::wrap(&slow, Arc::new(store.clone())));
        let world = Self {
            lie: lie.addr(),
            alias: alias.addr(),
            above: above.addr(),
            told: AtomicBool::new(false),
            watch: inner.invalidations.watch(),
            inner,
        };
        let recorded = recorded(&world).into_iter().map(|addr| record(addr, LIE).0);
        let as_leaf = Record {
            output: output("leaf"),
            ..record(same.addr(), LIE).0
        };
        let records: Vec<Record> = recorded.chain([as_leaf]).collect();
        let filled = async {
            BlobStore::put(&store, &[leaf, Blob::new(LIE)]).await?;
            store.insert(&[same, lie, alias, above]).await?;
            store.record(&records).await
        };
        assert!(filled.now_or_never().unwrap().unwrap().is_empty());
        Arc::new(world)
    }

    /// What follows where runs of the lie differ, with the steps of `determinism/violated.rs`.
    async fn violated(&self, accepted: Option<CAddr>) {
        let id = FunctionId::new("concat", "1").unwrap();
        let answers = [LIE, RIGHT].map(|text| Answer::output(output(text).addr, 1));
        let mut violation = Violation::new(self.lie, self.lie, id, answers.to_vec());
        violation.accepted = accepted;
        let mut documents = [Document::new(violation, Vec::new(), Vec::new())];
        let inner = &self.inner;
        condemn(inner, &documents[0]);
        inner.drain_writes().await;
        same_computations(inner, &mut documents).await.unwrap();
        condemn(inner, &documents[0]);
        let wrong = wrong(inner, &documents).await.unwrap();
        if !wrong.is_empty() {
            let forget = Invalidate::all(Arc::clone(inner), wrong).cascade();
            perform(forget).await.unwrap();
        }
        mark_forgotten(inner, &documents);
        self.told.store(true, SeqCst);
    }

    /// Records what a request made before.
    async fn commit(&self, addr: CAddr, text: &'static str) -> bool {
        commit_of(&self.inner, [record(addr, text)], &self.watch).await
    }

    /// What a request would do that begins now: it is served what is recorded, or computes it, or is refused.
    async fn plan(&self, addr: CAddr) -> Task {
        let claimant = Claimant::new(self.inner.handle(), Urgency::NONE);
        let room = Room {
            recipes: 100,
            least: 100,
            bytes: u64::MAX,
        };
        let planning = Planning::of(&self.inner);
        let planned = plan(planning, &claimant, &[addr], &Carried::default(), room).await;
        let Planned::Whole(plan, _claims) = planned.unwrap() else {
            panic!("there is room");
        };
        plan.task(0)
    }

    /// What is recorded of an address and may be served.
    async fn served(&self, addr: CAddr) -> Option<CAddr> {
        let outputs = self.inner.dag.outputs(&[addr]).await.unwrap();
        let output = outputs[0].map(|output| output.addr);
        output.filter(|content| self.inner.ledger.may_serve(&addr, content))
    }
}

/// Runs these at the same time, and looks at what is left.
fn try_all(
    recorded: impl Fn(&World) -> Vec<CAddr> + Copy + Send + Sync + 'static,
    count: usize,
    thread: impl AsyncFn(&World, usize) + Copy + Send + Sync + 'static,
    left: impl AsyncFn(&World) + Copy + Send + Sync + 'static,
) {
    let tokio = idle_tokio();
    let _entered = tokio.enter();
    explore(SCHEDULES, move || {
        let world = World::new(recorded);
        let shared = Arc::clone(&world);
        threads(count, move |nth| block_on(thread(&shared, nth)));
        block_on(left(&world));
    });
}

#[test]
fn what_a_quorum_did_not_accept_is_not_recorded_any_more() {
    try_all(
        |_| Vec::new(),
        3,
        async |world, nth| match nth {
            0 => world.violated(Some(output(RIGHT).addr)).await,
            1 => drop(world.commit(world.lie, LIE).await),
            _ => drop(world.commit(world.lie, RIGHT).await),
        },
        async |world| {
            let outputs = world.inner.dag.outputs(&[world.lie]).await.unwrap();
            let wrong = outputs[0].filter(|it| it.addr != output(RIGHT).addr);
            assert_eq!(wrong, None);
        },
    );
}

/// Nothing is recorded of the lie itself, which is not kept: it was given out to who made this from it.
#[test]
fn what_is_made_from_what_a_quorum_did_not_accept_is_not_recorded_any_more() {
    try_all(
        |_| Vec::new(),
        2,
        async |world, nth| match nth {
            0 => world.violated(Some(output(RIGHT).addr)).await,
            _ => drop(world.commit(world.above, LIE).await),
        },
        async |world| {
            let outputs = world.inner.dag.outputs(&[world.above]).await.unwrap();
            assert_eq!(outputs, [None]);
        },
    );
}

#[test]
fn what_is_recorded_under_another_name_meanwhile_is_not_served() {
    try_all(
        |world| vec![world.lie],
        2,
        async |world, nth| match nth {
            0 => world.violated(None).await,
            _ => drop(world.commit(world.alias, LIE).await),
        },
        async |world| {
            assert_eq!(world.served(world.lie).await, None);
            assert_eq!(world.served(world.alias).await, None, "under another name");
        },
    );
}

#[test]
fn what_is_made_from_it_meanwhile_is_not_recorded() {
    try_all(
        |world| vec![world.lie],
        2,
        async |world, nth| match nth {
            0 => world.violated(None).await,
            _ => drop(world.commit(world.above, LIE).await),
        },
        async |world| {
            let outputs = [world.lie, world.above];
            let outputs = world.inner.dag.outputs(&outputs).await.unwrap();
            assert_eq!(outputs, [None, None]);
        },
    );
}

/// Also where somebody records it past the ledger.
#[test]
fn who_asks_after_it_was_told_is_refused() {
    try_all(
        |world| vec![world.lie, world.above],
        3,
        async |world, nth| match nth {
            0 => world.violated(None).await,
            1 => {
                let past = [record(world.lie, LIE).0];
                for _ in 0..8 {
                    world.inner.dag.record(&past).await.unwrap();
                }
            }
            _ => {
                for _ in 0..6 {
                    let told = world.told.load(SeqCst);
                    let task = world.plan(world.lie).await;
                    assert!(!told || task == Task::Failed, "{task:?} after it was told");
                }
            }
        },
        async |world| {
            assert_eq!(world.served(world.lie).await, None);
            assert_eq!(world.plan(world.lie).await, Task::Failed);
            let above = world.plan(world.above).await;
            assert!(matches!(above, Task::Compute { .. }), "{above:?}");
        },
    );
}
