//! Random sequences of calls give the same answers, and leave the same state, on every store.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use conformance::UriFixture;
use deriva_api::{
    Blob, BlobStore, ByteRange, CAddr, DagStore, OpenedStore, Output, Recipe, Record, Result,
};
use deriva_testkit::{Fixture, ModelStore};
use futures::TryStreamExt;
use futures::executor::block_on;
use proptest::prelude::*;

const BLOBS: usize = 8;
const RECIPES: usize = 14;

#[derive(Clone, Debug)]
enum Call {
    Put(Vec<usize>),
    Write(usize),
    RemoveBlobs(Vec<usize>),
    Range(usize, u64, u64),
    Insert(Vec<usize>),
    Record(Vec<(usize, Option<usize>, usize)>),
    Forget(Vec<usize>),
    Remove(Vec<usize>),
    SetRoot(String, usize),
    RemoveRoot(String),
    Reopen,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let blob = 0..BLOBS;
    let node = 0..RECIPES + 4;
    let some = |range: std::ops::Range<usize>| prop::collection::vec(range, 0..5);
    let name = prop::sample::select(vec!["a", "b", "", "c/d"]).prop_map(str::to_owned);
    let record = (node.clone(), prop::option::of(0..3usize), blob.clone());
    let call = prop_oneof![
        4 => some(blob.clone()).prop_map(Call::Put),
        1 => blob.clone().prop_map(Call::Write),
        2 => some(blob.clone()).prop_map(Call::RemoveBlobs),
        1 => (blob, 0..300u64, 0..300u64).prop_map(|(b, o, l)| Call::Range(b, o, l)),
        6 => some(0..RECIPES).prop_map(Call::Insert),
        4 => prop::collection::vec(record, 0..4).prop_map(Call::Record),
        2 => some(node.clone()).prop_map(Call::Forget),
        3 => some(0..RECIPES).prop_map(Call::Remove),
        1 => (name.clone(), node).prop_map(|(name, at)| Call::SetRoot(name, at)),
        1 => name.prop_map(Call::RemoveRoot),
        1 => Just(Call::Reopen),
    ];
    prop::collection::vec(call, 1..50)
}

/// The things that calls speak of.
struct World {
    blobs: Vec<Blob>,
    recipes: Vec<Recipe>,
    /// Recipes, and behind them four addresses that are no recipes; three of these are resolved ones.
    nodes: Vec<CAddr>,
}

impl World {
    fn new() -> Self {
        let blobs: Vec<Blob> = (0..BLOBS)
            .map(|i| Blob::new(vec![i as u8; i * 37]))
            .collect();
        let mut addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        let mut recipes = Vec::new();
        for i in 0..RECIPES {
            let inputs = [addrs[i % 3], addrs[addrs.len() - 1 - i % 4], addrs[i % 3]];
            let id = format!("f/{}", i % 3).parse().unwrap();
            let params = deriva_api::Params::new().with("i", i as i32);
            let recipe = Recipe::new(&id, &inputs[..1 + i % 3], &params).unwrap();
            addrs.push(recipe.addr());
            recipes.push(recipe);
        }
        let others = (0..4).map(|i| CAddr::of_blob(format!("resolved {i}").as_bytes()));
        let nodes = recipes.iter().map(Recipe::addr).chain(others).collect();
        Self {
            blobs,
            recipes,
            nodes,
        }
    }

    fn pick(&self, some: &[usize]) -> Vec<CAddr> {
        some.iter().map(|at| self.nodes[*at]).collect()
    }

    fn record(&self, (addr, resolved, blob): (usize, Option<usize>, usize)) -> Record {
        let stat = self.blobs[blob].stat();
        Record {
            addr: self.nodes[addr],
            resolved: resolved.map(|at| self.nodes[RECIPES + at]),
            output: Output {
                addr: stat.addr,
                len: stat.len,
                cost: Duration::from_nanos(7),
            },
        }
    }

    async fn call(&self, blobs: &dyn BlobStore, dag: &dyn DagStore, call: &Call) -> String {
        let picked = |some: &[usize]| {
            some.iter()
                .map(|at| self.blobs[*at].clone())
                .collect::<Vec<_>>()
        };
        match call {
            Call::Put(some) => told(blobs.put(&picked(some)).await),
            Call::Write(at) => told(write(blobs, &self.blobs[*at]).await),
            Call::RemoveBlobs(some) => {
                let addrs: Vec<CAddr> = picked(some).iter().map(Blob::addr).collect();
                told(blobs.remove(&addrs).await)
            }
            Call::Range(at, offset, len) => {
                let range = ByteRange::new(*offset, *len);
                told(blobs.get_range(self.blobs[*at].addr(), range).await)
            }
            Call::Insert(some) => {
                let recipes: Vec<Recipe> =
                    some.iter().map(|at| self.recipes[*at].clone()).collect();
                told(dag.insert(&recipes).await)
            }
            Call::Record(records) => {
                let records: Vec<Record> =
                    records.iter().map(|record| self.record(*record)).collect();
                told(dag.record(&records).await.map(|mut found| {
                    found.sort_by_key(|divergence| (divergence.addr, divergence.offered.addr));
                    found
                }))
            }
            Call::Forget(some) => told(dag.forget(&self.pick(some)).await),
            Call::Remove(some) => told(dag.remove(&self.pick(some)).await),
            Call::SetRoot(name, at) => told(dag.set_root(name, self.nodes[*at]).await),
            Call::RemoveRoot(name) => told(dag.remove_root(name).await),
            Call::Reopen => String::new(),
        }
    }

    /// All that can be read, as text.
    async fn state(&self, blobs: &dyn BlobStore, dag: &dyn DagStore) -> Result<Vec<String>> {
        let mut state = Vec::new();
        let all: Vec<CAddr> = self.blobs.iter().map(Blob::addr).collect();
        state.push(format!("{:?}", blobs.get_many(&all).await?));
        state.push(format!(
            "{:?}",
            blobs.list(None).try_collect::<Vec<_>>().await?
        ));
        state.push(format!("{:?}", blobs.usage().await?));
        state.push(format!("{:?}", dag.get_many(&self.nodes).await?));
        state.push(format!("{:?}", dag.outputs(&self.nodes).await?));
        state.push(format!(
            "{:?}",
            dag.list(None).try_collect::<Vec<_>>().await?
        ));
        state.push(format!(
            "{:?}",
            dag.roots(None).try_collect::<Vec<_>>().await?
        ));
        state.push(format!("{:?}", dag.usage().await?));
        for addr in all.iter().chain(&self.nodes) {
            state.push(format!(
                "{:?}",
                dag.dependents(*addr, None).try_collect::<Vec<_>>().await?
            ));
        }
        for i in 0..3 {
            let id = format!("f/{i}").parse()?;
            state.push(format!(
                "{:?}",
                dag.by_function(&id, None).try_collect::<Vec<_>>().await?
            ));
        }
        Ok(state)
    }
}

async fn write(blobs: &dyn BlobStore, blob: &Blob) -> Result<deriva_api::BlobStat> {
    let mut writer = blobs.writer(None).await?;
    writer.write(blob.bytes().clone()).await?;
    writer.finish().await
}

/// An answer as text; of an error only the kind, as words are a store's own.
fn told<T: Debug>(answer: Result<T>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn halves(store: OpenedStore) -> (Arc<dyn BlobStore>, Arc<dyn DagStore>) {
    (store.blobs.unwrap(), store.dag.unwrap())
}

fn agrees_with_the_model(scheme: &str, options: &str, calls: &[Call]) {
    let world = World::new();
    let model = ModelStore::new();
    let fixture = UriFixture::new(scheme, options);
    block_on(async {
        let (mut blobs, mut dag) = halves(fixture.open().await.unwrap());
        for (at, call) in calls.iter().enumerate() {
            if matches!(call, Call::Reopen) && fixture.persistent() {
                drop((blobs, dag));
                (blobs, dag) = halves(fixture.open().await.unwrap());
            }
            let expected = world.call(&model, &model, call).await;
            assert_eq!(
                world.call(&*blobs, &*dag, call).await,
                expected,
                "call {at}: {call:?}"
            );
        }
        let expected = world.state(&model, &model).await.unwrap();
        assert_eq!(world.state(&*blobs, &*dag).await.unwrap(), expected);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_agrees_with_the_model(calls in calls()) {
        agrees_with_the_model("memory", "", &calls);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sled_agrees_with_the_model(calls in calls()) {
        agrees_with_the_model("sled", "?durability=buffered&blob_threshold=100", &calls);
    }
}
