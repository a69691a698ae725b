//! The planner's claims: what somebody recorded meanwhile is not computed again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use deriva_api::{Blob, BlobStore, CAddr, DagStore, FunctionId, Output, Params, Recipe, Record};
use deriva_testkit::ModelStore;
use futures::FutureExt;
use shuttle::future::block_on;
use shuttle::rand::Rng;
use shuttle::thread::yield_now;

use super::{SCHEDULES, idle_tokio, inner, threads};
use crate::materialize::carried::Carried;
use crate::materialize::plan::{Planned, Planning, Room, Task, plan};
use crate::shared::Inner;
use crate::shared::claimant::{Claimant, Urgency};
use crate::shared::flights::Landing;
use crate::shared::sync::explore;

/// What a request does with its plan, without a scheduler: it computes what is its own, inputs first, records
/// and lands it, and waits for what others have. Now and then it is dropped before it computes anything.
async fn request(inner: &Arc<Inner>, target: CAddr, computed: &AtomicUsize) {
    loop {
        let (carried, claimant) = (
            Carried::default(),
            Claimant::new(inner.handle(), Urgency::NONE),
        );
        let room = Room {
            recipes: 100,
            least: 100,
            bytes: u64::MAX,
        };
        let planned = plan(Planning::of(inner), &claimant, &[target], &carried, room).await;
        let Planned::Whole(mut plan, claims) = planned.unwrap() else {
            panic!("there is room");
        };
        if plan.computes() > 0 && shuttle::rand::thread_rng().gen_bool(0.2) {
            continue;
        }
        drop(claims.disarm());
        let joins = std::mem::take(&mut plan.joins);
        let mut open = Vec::new();
        // Inputs are met after what needs them.
        for node in (0..plan.len() as u32).rev() {
            let needs_open = plan
                .inputs(node)
                .iter()
                .any(|input| open.contains(input) || plan.task(*input) == Task::Join);
            if !matches!(plan.task(node), Task::Compute { .. }) {
                continue;
            }
            if needs_open {
                open.push(node);
                continue;
            }
            land(inner, plan.addr(node), computed).await;
        }
        inner
            .flights
            .abandon(open.iter().map(|node| plan.addr(*node)));
        let waits = !joins.is_empty();
        for landing in joins.into_iter().map(|join| join.flight) {
            let landing = landing.await;
            assert!(matches!(landing, Landing::Done { .. } | Landing::Abandoned));
        }
        if open.is_empty() && !waits {
            return;
        }
    }
}

async fn land(inner: &Inner, addr: CAddr, computed: &AtomicUsize) {
    computed.fetch_add(1, SeqCst);
    yield_now();
    let blob = Blob::new(addr.as_bytes().to_vec());
    let output = Output {
        addr: blob.addr(),
        len: blob.len(),
        cost: Duration::ZERO,
    };
    inner.blobs.put(&[blob]).await.unwrap();
    let record = Record {
        addr,
        resolved: None,
        output,
    };
    inner.dag.record(&[record]).await.unwrap();
    let done = Landing::stored(output);
    inner.flights.land([(addr, done)], |done| done);
}

fn recipe(inputs: &[CAddr]) -> Recipe {
    let id = FunctionId::new("concat", "1").unwrap();
    Recipe::new(&id, inputs, &Params::new()).unwrap()
}

#[test]
fn what_was_recorded_between_look_up_and_claim_is_not_computed_again() {
    let tokio = idle_tokio();
    let _entered = tokio.enter();
    explore(SCHEDULES, || {
        let store = ModelStore::new();
        let leaf = Blob::new("leaf");
        let shared = recipe(&[leaf.addr()]);
        let tops: Vec<Recipe> = (1..4)
            .map(|n| recipe(&vec![shared.addr(); n + 1]))
            .collect();
        BlobStore::put(&store, &[leaf])
            .now_or_never()
            .unwrap()
            .unwrap();
        let recipes: Vec<Recipe> = tops.iter().cloned().chain([shared]).collect();
        DagStore::insert(&store, &recipes)
            .now_or_never()
            .unwrap()
            .unwrap();
        let inner = inner(&store);
        let computed = Arc::new(AtomicUsize::new(0));
        let asked = (Arc::clone(&inner), Arc::clone(&computed));
        let (first, second) = (tops[0].addr(), tops[1].addr());
        threads(3, move |thread| {
            let (inner, computed) = &asked;
            let target = [first, second, first][thread];
            block_on(request(inner, target, computed));
        });
        assert_eq!(computed.load(SeqCst), 3, "two tops and what they share");
        for recipe in &recipes {
            assert!(!inner.flights.contains(recipe.addr()));
        }
    });
}
