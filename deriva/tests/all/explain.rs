//! What `explain` foretells, against what is then computed.

use std::sync::Arc;
use std::time::Duration;

use deriva::admin::{Basis, Explanation, NodeState};
use deriva::functions::Weight;
use deriva::layers::DagLayer;
use deriva::prelude::*;
use deriva::stores::memory::MemoryStore;
use deriva_testkit::{FaultLayer, ManualClock, Operation};

/// Functions that move the clock on by as many milliseconds as their param says, one at a time.
async fn deriva(store: &MemoryStore, clock: &ManualClock) -> Deriva {
    let moved = clock.clone();
    Deriva::builder()
        .blobs(Arc::new(store.clone()) as Arc<dyn BlobStore>)
        .dag(Arc::new(store.clone()) as Arc<dyn DagStore>)
        .clock(Arc::new(clock.clone()))
        .jobs(1)
        .function("take", "1", move |inputs, params| {
            let millis = params.int("millis")?.unwrap_or(0) as u64;
            moved.advance(Duration::from_millis(millis));
            Ok([millis.to_string().as_bytes(), &inputs.concat()]
                .concat()
                .into())
        })
        .build()
        .await
        .unwrap()
}

async fn take(deriva: &Deriva, inputs: &[CAddr], millis: i64) -> CAddr {
    let recipe = deriva.recipe("take", "1").inputs(inputs.iter().copied());
    recipe.param("millis", millis).insert().await.unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

fn node(explanation: &Explanation, addr: CAddr) -> &deriva::admin::ExplainedNode {
    explanation
        .nodes
        .iter()
        .find(|node| node.addr == addr)
        .unwrap()
}

#[tokio::test]
async fn lost_outputs_take_what_they_took_and_the_longest_chain_is_named() {
    let (store, clock) = (MemoryStore::new(), ManualClock::new());
    let deriva = deriva(&store, &clock).await;
    let leaf = deriva.put("leaf").await.unwrap();
    let short = take(&deriva, &[leaf], 10).await;
    let long = take(&deriva, &[leaf, leaf], 70).await;
    let top = take(&deriva, &[short, long], 5).await;
    deriva.get(top).await.unwrap();
    let mut lost = Vec::new();
    for addr in [short, long, top] {
        lost.push(
            deriva
                .dag()
                .get_one(addr)
                .await
                .unwrap()
                .unwrap()
                .output
                .unwrap()
                .addr,
        );
    }
    deriva.blobs().remove(&lost).await.unwrap();

    let explained = deriva.explain(top).await.unwrap();
    let forecast = &explained.forecast;
    assert_eq!(node(&explained, long).state, NodeState::Lost);
    assert!(near(node(&explained, long).seconds.unwrap(), 0.070));
    assert!(near(forecast.work_seconds, 0.085), "{forecast:?}");
    assert!(near(forecast.critical_seconds, 0.075) && forecast.simulated);
    assert_eq!(forecast.critical_path, [long, top]);
    assert!(
        near(forecast.wall_seconds, 0.085),
        "one at a time: {forecast:?}"
    );
    assert_eq!(
        (forecast.bytes.stored, forecast.bytes.lost),
        (4, 6 + 10 + 17)
    );
    assert_eq!((forecast.computed, forecast.functions[0].nodes), (3, 3));
}

#[tokio::test]
async fn what_was_never_computed_takes_what_its_function_takes() {
    let (store, clock) = (MemoryStore::new(), ManualClock::new());
    let deriva = deriva(&store, &clock).await;
    let leaf = deriva.put("leaf").await.unwrap();
    let next = take(&deriva, &[leaf], 3).await;
    let guess = deriva.explain(next).await.unwrap().forecast;
    assert_eq!(guess.functions[0].estimate.basis, Basis::Weight);
    assert!(near(guess.work_seconds, 0.001));
    assert_eq!(guess.bytes.unknown_outputs, 1);

    let seen = take(&deriva, &[leaf], 40).await;
    deriva.get(seen).await.unwrap();
    let known = deriva.explain(next).await.unwrap().forecast;
    assert_eq!(known.functions[0].estimate.basis, Basis::Function);
    assert!(near(known.work_seconds, 0.040), "{known:?}");
    assert_eq!((known.bytes.estimated, known.bytes.unknown_outputs), (6, 0));

    // A new process knows what the store recorded.
    let anew = self::deriva(&store, &clock).await;
    let sampled = anew.explain(next).await.unwrap().forecast;
    assert_eq!(sampled.functions[0].estimate.basis, Basis::Recorded);
    assert_eq!(sampled.functions[0].estimate.calls, 1);
    assert!(near(sampled.work_seconds, 0.040), "{sampled:?}");
}

#[tokio::test]
async fn nothing_is_foretold_where_everything_is_there() {
    let (store, clock) = (MemoryStore::new(), ManualClock::new());
    let deriva = deriva(&store, &clock).await;
    let leaf = deriva.put("leaf").await.unwrap();
    let recipe = take(&deriva, &[leaf], 1).await;
    deriva.get(recipe).await.unwrap();
    let forecast = deriva.explain(recipe).await.unwrap().forecast;
    assert_eq!((forecast.computed, forecast.critical_path.len()), (0, 0));
    assert!(near(forecast.wall_seconds, 0.0) && forecast.functions.is_empty());
}

/// A store in which a look-up takes 20 ms and a function that takes less: measured, it is not looked up
/// any more, and `explain` says so before.
#[tokio::test]
async fn a_function_quicker_than_the_look_up_is_computed_without_one() {
    for (millis, looked_up) in [(30, false), (3000, true)] {
        let (store, clock) = (MemoryStore::new(), ManualClock::new());
        let (faults, slow) = (FaultLayer::new(), Arc::new(clock.clone()));
        faults.faults().delay(
            Operation::DagGetMany,
            Duration::from_millis(20),
            slow.clone(),
        );
        faults
            .faults()
            .delay(Operation::DagOutputs, Duration::from_millis(20), slow);
        let dag = DagLayer::wrap(&faults, Arc::new(store.clone()));
        let moved = clock.clone();
        let deriva = Deriva::builder()
            .blobs(Arc::new(store.clone()) as Arc<dyn BlobStore>)
            .dag(dag)
            .clock(Arc::new(clock.clone()))
            .function("quick", "1", move |inputs, _| {
                moved.advance(Duration::from_millis(millis));
                Ok(inputs[0].slice(..1))
            })
            .build()
            .await
            .unwrap();
        let mut recipes = Vec::new();
        for i in 0..34 {
            let leaf = deriva.put(format!("{i}")).await.unwrap();
            let recipe = deriva.recipe("quick", "1").input(leaf);
            recipes.push(recipe.insert().await.unwrap());
        }
        let pump = tokio::spawn(pump(clock.clone()));
        let first = deriva.explain(recipes[0]).await.unwrap().forecast;
        assert!(first.functions[0].cutoff.pays && !first.functions[0].cutoff.measured);
        // One request each, so that each is a look-up of its own.
        for recipe in &recipes[..33] {
            deriva.materialize(*recipe).await.unwrap();
        }
        let explained = deriva.explain(recipes[33]).await.unwrap();
        let cutoff = explained.forecast.functions[0].cutoff;
        assert_eq!(
            (cutoff.pays, cutoff.measured),
            (looked_up, true),
            "{cutoff:?}"
        );

        // Over a recipe, so that its resolved address is another than its own: there its output is known
        // already, and found only where it is looked up.
        let again = deriva.recipe("quick", "1").input(recipes[0]);
        let again = again.insert().await.unwrap();
        let done = deriva.materialize(again).await.unwrap().summary;
        let expected = if looked_up { (1, 0) } else { (0, 1) };
        assert_eq!((done.cutoff, done.computed), expected);
        pump.abort();
    }
}

/// Moves the clock on to whoever sleeps.
async fn pump(clock: ManualClock) {
    loop {
        if let Some(wait) = clock.next_wake() {
            clock.advance(wait);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn light_functions_are_measured_by_the_chunk() {
    let store = MemoryStore::new();
    let clock = ManualClock::new();
    let moved = clock.clone();
    let deriva = Deriva::builder()
        .blobs(Arc::new(store.clone()) as Arc<dyn BlobStore>)
        .dag(Arc::new(store) as Arc<dyn DagStore>)
        .clock(Arc::new(clock))
        .jobs(1)
        .light_function("light", "1", move |inputs, _| {
            moved.advance(Duration::from_micros(7));
            Ok(inputs[0].clone())
        })
        .build()
        .await
        .unwrap();
    let mut recipes = Vec::new();
    for i in 0..101 {
        let leaf = deriva.put(format!("{i:03}")).await.unwrap();
        recipes.push(
            deriva
                .recipe("light", "1")
                .input(leaf)
                .insert()
                .await
                .unwrap(),
        );
    }
    deriva
        .materialize_many(recipes[1..].iter().copied())
        .await
        .unwrap();
    let forecast = deriva.explain(recipes[0]).await.unwrap().forecast;
    let function = &forecast.functions[0];
    assert_eq!(
        (function.weight, function.estimate.calls),
        (Weight::Light, 100)
    );
    assert!(near(forecast.work_seconds, 7e-6), "{forecast:?}");
    assert_eq!(function.estimate.bytes, Some(3));
}
