//! Checks beside requests that make none: who asks for a check has it made, by itself or by whom it waits for.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use deriva_api::{
    Blob, BlobStore, CAddr, DagStore, Determinism, FunctionId, Output, Params, Recipe, Record,
};
use deriva_testkit::ModelStore;
use futures::FutureExt;
use shuttle::future::block_on;
use shuttle::rand::Rng;
use shuttle::thread::yield_now;

use super::{SCHEDULES, idle_tokio, inner, threads};
use crate::materialize::carried::Carried;
use crate::materialize::plan::{Plan, Planned, Planning, Room, Task, plan};
use crate::shared::Inner;
use crate::shared::claimant::{Asked, Claimant, Urgency};
use crate::shared::flights::Landing;
use crate::shared::sync::{Mutex, explore};

const OFF: Determinism = Determinism::Off;
const DUAL: Determinism = Determinism::Dual;
const THREE: Determinism = Determinism::Quorum { agree: 3, of: 3 };
const SAMPLE: Determinism = Determinism::Sampled { rate: 1.0 };
/// An output costs this for each run that gave it: so who has it knows how it was checked.
const RUN: Duration = Duration::from_secs(1);
/// The one recipe that everybody wants, and its only node that is one.
const TARGET: u32 = 0;

/// Who asks for the recipe.
#[derive(Clone, Copy)]
struct Asking {
    nth: usize,
    handle: usize,
    mode: Determinism,
    /// How likely it gives up what it began.
    gives_up: f64,
}

/// A recipe over a leaf, and what became of it.
struct World {
    inner: Arc<Inner>,
    addr: CAddr,
    /// Computations with a check, and without.
    checks: AtomicUsize,
    runs: AtomicUsize,
    /// Who found it recorded, whoever did that.
    found: Mutex<HashSet<usize>>,
    /// Owners of flights that brought less than who joined them took them for.
    fell_short: Mutex<Vec<usize>>,
    /// Flights that were waited for and not enough.
    unsatisfied: AtomicUsize,
}

impl World {
    fn new() -> Arc<Self> {
        let (store, leaf) = (ModelStore::new(), Blob::new("leaf"));
        let id = FunctionId::new("concat", "1").unwrap();
        let recipe = Recipe::new(&id, &[leaf.addr()], &Params::new()).unwrap();
        let addr = recipe.addr();
        let put = BlobStore::put(&store, &[leaf]).now_or_never();
        put.unwrap().unwrap();
        let inserted = DagStore::insert(&store, &[recipe]).now_or_never();
        inserted.unwrap().unwrap();
        Arc::new(Self {
            inner: inner(&store),
            addr,
            checks: AtomicUsize::new(0),
            runs: AtomicUsize::new(0),
            found: Mutex::default(),
            fell_short: Mutex::default(),
            unsatisfied: AtomicUsize::new(0),
        })
    }

    fn claimant(&self, asking: Asking) -> Arc<Claimant> {
        let urgency = Urgency {
            priority: asking.nth as i32,
            until: Duration::ZERO,
        };
        let asked = Asked {
            all: Some(asking.mode),
            at: None,
        };
        Claimant::checking(asking.handle, urgency, asked)
    }

    /// Begins a computation for a request before all others.
    fn claimed_by(&self, asking: Asking) {
        let flights = &self.inner.flights;
        assert!(
            flights
                .claim(&self.claimant(asking), [self.addr])
                .is_empty()
        );
    }

    /// Computes it as this mode says, records it and lands it.
    async fn compute(&self, mode: Determinism) {
        let runs = match mode.is_off() {
            true => 1,
            false => mode.agree(),
        };
        let counted = match mode.is_off() {
            true => &self.runs,
            false => &self.checks,
        };
        counted.fetch_add(1, SeqCst);
        yield_now();
        let blob = Blob::new("output");
        let output = Output {
            addr: blob.addr(),
            len: blob.len(),
            cost: RUN * runs,
        };
        let record = Record {
            addr: self.addr,
            resolved: None,
            output,
        };
        self.inner.blobs.put(&[blob]).await.unwrap();
        self.inner.dag.record(&[record]).await.unwrap();
        let landed = [(self.addr, Landing::stored(output))];
        self.inner.flights.land(landed, |landing| landing);
    }

    /// What a request does with its plan, without a scheduler.
    async fn request(&self, asking: Asking) {
        let mut carried = Carried::default();
        while !self.step(asking, &mut carried).await {}
    }

    /// Plans, and does what the plan says; answers whether that was all.
    async fn step(&self, asking: Asking, carried: &mut Carried) -> bool {
        let claimant = self.claimant(asking);
        let room = Room {
            recipes: 100,
            least: 100,
            bytes: u64::MAX,
        };
        let planning = Planning::of(&self.inner);
        let planned = plan(planning, &claimant, &[self.addr], carried, room).await;
        let Planned::Whole(mut plan, claims) = planned.unwrap() else {
            panic!("there is room");
        };
        match plan.task(TARGET) {
            Task::Stored { .. } => {
                assert!(
                    !carried.unchecked.contains_key(&self.addr),
                    "it was to be checked"
                );
                self.found.lock().insert(asking.nth);
                true
            }
            Task::Join => {
                let landed = self.wait(asking, &mut plan).await;
                if let Err(output) = landed {
                    carried.unchecked.insert(self.addr, Some(output));
                    self.unsatisfied.fetch_add(1, SeqCst);
                }
                landed == Ok(true)
            }
            Task::Compute { .. } => {
                if shuttle::rand::thread_rng().gen_bool(asking.gives_up) {
                    yield_now();
                    drop(claims);
                    return false;
                }
                drop(claims.disarm());
                let checked = plan.unchecked.contains_key(&TARGET);
                assert_eq!(checked, carried.unchecked.contains_key(&self.addr));
                self.compute(asking.mode).await;
                true
            }
            other => panic!("{other:?}"),
        }
    }

    /// Waits for a flight; answers whether it brought something, or what that is where it is not enough.
    async fn wait(&self, asking: Asking, plan: &mut Plan) -> Result<bool, Output> {
        let join = plan.joins.remove(0);
        let owner = join.flight.owner().own.priority as usize;
        match join.flight.await {
            Landing::Abandoned => Ok(false),
            Landing::Done { output, .. } | Landing::Recorded(output) => {
                if !join.satisfies {
                    return Err(output);
                }
                let wanted = match asking.mode.is_off() {
                    true => 1,
                    false => asking.mode.agree(),
                };
                if output.cost < RUN * wanted {
                    self.fell_short.lock().push(owner);
                }
                Ok(true)
            }
            other => panic!("heard {other:?}"),
        }
    }

    /// What was enough for a check was one, or had been recorded before whoever brought it claimed it.
    fn check(&self) {
        let found = self.found.lock();
        for owner in self.fell_short.lock().iter() {
            assert!(found.contains(owner), "a check was satisfied by less");
        }
        assert!(!self.inner.flights.contains(self.addr), "a flight is left");
    }
}

fn asking(nth: usize, mode: Determinism) -> Asking {
    Asking {
        nth,
        handle: 0,
        mode,
        gives_up: 0.0,
    }
}

#[test]
fn a_check_is_not_satisfied_by_a_flight_that_makes_less() {
    let tokio = idle_tokio();
    let _entered = tokio.enter();
    let unsatisfied = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&unsatisfied);
    explore(SCHEDULES, move || {
        let world = World::new();
        let shared = Arc::clone(&world);
        threads(4, move |nth| {
            let asking = Asking {
                // The last one may mean something else by the name.
                handle: nth / 3,
                gives_up: 0.2,
                ..asking(nth, [OFF, DUAL, THREE, DUAL][nth])
            };
            block_on(shared.request(asking));
        });
        world.check();
        told.fetch_add(world.unsatisfied.load(SeqCst), SeqCst);
    });
    assert!(
        unsatisfied.load(SeqCst) > SCHEDULES / 10,
        "hardly ever tried"
    );
}

#[test]
fn one_check_is_made_for_all_who_wait_for_it() {
    let tokio = idle_tokio();
    let _entered = tokio.enter();
    for others in [[DUAL, SAMPLE, DUAL], [OFF, OFF, OFF]] {
        explore(SCHEDULES, move || {
            let world = World::new();
            world.claimed_by(asking(0, DUAL));
            let shared = Arc::clone(&world);
            threads(4, move |nth| match nth {
                0 => block_on(shared.compute(DUAL)),
                _ => block_on(shared.request(asking(nth, others[nth - 1]))),
            });
            world.check();
            let made = (world.checks.load(SeqCst), world.runs.load(SeqCst));
            assert_eq!(made, (1, 0), "checks, and runs without");
        });
    }
}

/// A request that is dropped looks whether somebody waits: then its step goes on, checked or not; else it is given up.
#[test]
fn who_waits_for_a_check_has_it_where_who_began_gives_up() {
    let tokio = idle_tokio();
    let _entered = tokio.enter();
    for begun in [OFF, DUAL] {
        explore(SCHEDULES, move || {
            let world = World::new();
            world.claimed_by(asking(0, begun));
            let shared = Arc::clone(&world);
            threads(4, move |nth| {
                if nth > 0 {
                    let asking = asking(nth, [OFF, DUAL, DUAL, OFF][nth]);
                    return block_on(shared.request(asking));
                }
                match shared.inner.flights.is_awaited(shared.addr) {
                    true => block_on(shared.compute(begun)),
                    false => shared.inner.flights.abandon([shared.addr]),
                }
            });
            world.check();
            let checks = world.checks.load(SeqCst);
            // Who finds it recorded need not make one.
            assert!(checks > 0 || !world.found.lock().is_empty());
            assert!(checks <= 3 && world.runs.load(SeqCst) <= 2);
        });
    }
}
