//! Cases for many callers of a DAG store at once.

use std::collections::BTreeSet;

use deriva_api::{CAddr, DagStore, Output, Params, Recipe, Record, Result};
use futures::TryStreamExt;

use super::support::{
    addr, addrs, check_dag_usage, dag_state, dependents, in_every_runtime, numbered,
    numbered_over_hub, on_threads, output, recipe_with, sorted,
};
use crate::SplitMix64;
use crate::linear::History;

/// Calls on one recipe, its output, or one root; the numbers are values.
#[derive(Clone, Copy, Debug)]
enum Call {
    Write(u64),
    Remove,
    Read,
}

impl Call {
    fn draw(random: &mut SplitMix64) -> Self {
        match random.below(6) {
            0..2 => Self::Write(random.below(3)),
            2 => Self::Remove,
            _ => Self::Read,
        }
    }
}

fn value(number: u64) -> Output {
    output(&number.to_string())
}

async fn on_recipe(store: &dyn DagStore, recipe: &Recipe, call: Call) -> Result<bool> {
    match call {
        Call::Write(_) => store
            .insert(std::slice::from_ref(recipe))
            .await
            .map(|_| true),
        Call::Remove => Ok(store.remove(&[recipe.addr()]).await? == 1),
        Call::Read => Ok(store.get_many(&[recipe.addr()]).await?[0].is_some()),
    }
}

async fn on_output(store: &dyn DagStore, addr: CAddr, call: Call) -> Result<Option<Output>> {
    match call {
        Call::Write(number) => {
            let record = Record {
                addr,
                resolved: None,
                output: value(number),
            };
            let divergences = store.record(&[record]).await?;
            Ok(divergences.first().map(|divergence| divergence.recorded))
        }
        Call::Remove => Ok((store.forget(&[addr]).await? == 1).then(|| output("forgotten"))),
        Call::Read => Ok(store.outputs(&[addr]).await?[0]),
    }
}

async fn on_root(store: &dyn DagStore, name: &str, call: Call) -> Result<Option<CAddr>> {
    match call {
        Call::Write(number) => store
            .set_root(name, value(number).addr)
            .await
            .map(|()| None),
        Call::Remove => Ok(store.remove_root(name).await?.then(|| addr("removed"))),
        Call::Read => {
            let roots: Vec<(String, CAddr)> = store.roots(None).try_collect().await?;
            Ok(roots
                .into_iter()
                .find(|(other, _)| other == name)
                .map(|(_, addr)| addr))
        }
    }
}

crate::case::cases! { $ each_dag_concurrency_case, Dag, Concurrency:
    /// C1: inserting, removing and reading one recipe, from several threads at once, answers as if the
    /// calls had come one after the other.
    async fn a_recipe_is_linearizable(trial) {
        let store = trial.dag().await?;
        for (seed, recipe) in (0..).zip(numbered(10)?) {
            let history = History::new();
            on_threads(4, async |thread| {
                let mut random = SplitMix64::new(seed * 10 + thread as u64);
                for _ in 0..12 {
                    let call = Call::draw(&mut random);
                    let answer = on_recipe(&*store, &recipe, call);
                    history.call(call, answer).await?;
                }
                Ok(())
            })?;
            history.check(false, |there, call| match call {
                Call::Write(_) => { *there = true; true }
                Call::Remove => std::mem::replace(there, false),
                Call::Read => *there,
            });
        }
        Ok(())
    }

    /// C1: recording, forgetting and reading one output, from several threads at once, answers as if the
    /// calls had come one after the other: among them only one value at a time.
    async fn an_output_is_linearizable(trial) {
        let store = trial.dag().await?;
        for (seed, recipe) in (0..).zip(numbered(10)?) {
            store.insert(std::slice::from_ref(&recipe)).await?;
            let history = History::new();
            on_threads(4, async |thread| {
                let mut random = SplitMix64::new(seed * 10 + thread as u64);
                for _ in 0..12 {
                    let call = Call::draw(&mut random);
                    let answer = on_output(&*store, recipe.addr(), call);
                    history.call(call, answer).await?;
                }
                Ok(())
            })?;
            history.check(None, |state: &mut Option<u64>, call| match call {
                Call::Write(number) => {
                    let kept = *state.get_or_insert(*number);
                    (kept != *number).then(|| value(kept))
                }
                Call::Remove => state.take().map(|_| output("forgotten")),
                Call::Read => state.map(value),
            });
        }
        Ok(())
    }

    /// C1: setting, removing and reading one root, from several threads at once, answers as if the calls
    /// had come one after the other.
    async fn a_root_is_linearizable(trial) {
        let store = trial.dag().await?;
        for round in 0..10 {
            let name = format!("root {round}");
            let history = History::new();
            on_threads(4, async |thread| {
                let mut random = SplitMix64::new(round * 10 + thread as u64);
                for _ in 0..12 {
                    let call = Call::draw(&mut random);
                    let answer = on_root(&*store, &name, call);
                    history.call(call, answer).await?;
                }
                Ok(())
            })?;
            history.check(None, |state: &mut Option<u64>, call| match call {
                Call::Write(number) => { *state = Some(*number); None }
                Call::Remove => state.take().map(|_| addr("removed")),
                Call::Read => state.map(|number| value(number).addr),
            });
        }
        Ok(())
    }

    /// C2: of many who record different outputs at once, one is kept, and all others are told which.
    async fn one_of_many_records_wins(trial) {
        let store = trial.dag().await?;
        for recipe in numbered(5)? {
            store.insert(std::slice::from_ref(&recipe)).await?;
            let told = parking_lot::Mutex::new(Vec::new());
            on_threads(8, async |thread| {
                let record = Record { addr: recipe.addr(), resolved: None, output: value(thread as u64) };
                let divergences = store.record(&[record]).await?;
                told.lock().push(divergences.first().map(|divergence| divergence.recorded));
                Ok(())
            })?;
            let kept = store.outputs(&[recipe.addr()]).await?[0];
            assert!(kept.is_some());
            let told = told.into_inner();
            assert_eq!(told.iter().filter(|told| told.is_none()).count(), 1, "one winner: {told:?}");
            assert!(told.iter().flatten().all(|told| Some(*told) == kept));
        }
        Ok(())
    }

    /// C5: the store works in any runtime: none, and each flavour of tokio.
    async fn recipes_work_in_any_runtime(trial) {
        let store = trial.dag().await?;
        in_every_runtime(async |seed| {
            let hub = addr(&seed.to_string());
            let recipe = recipe_with("f/1", &[hub], &Params::new())?;
            store.insert(std::slice::from_ref(&recipe)).await?;
            assert_eq!(dependents(&*store, hub).await?, [recipe.addr()]);
            store.record(&[Record { addr: recipe.addr(), resolved: None, output: value(seed) }]).await?;
            store.set_root("root", hub).await?;
            assert_eq!(store.outputs(&[recipe.addr()]).await?, [Some(value(seed))]);
            assert!(store.remove_root("root").await?);
            assert_eq!(store.remove(&[recipe.addr()]).await?, 1);
            dag_state(&*store).await?;
            store.flush().await
        })
    }

    /// C8: writers of overlapping, differently ordered batches neither deadlock nor fail, and the
    /// edges are exact.
    async fn overlapping_writers_agree(trial) {
        let store = trial.dag().await?;
        let recipes = (0..120)
            .map(|i| recipe_with("f/1", &[addr("hub"), addr(&(i % 10).to_string())], &Params::new().with("i", i)))
            .collect::<Result<Vec<Recipe>>>()?;
        on_threads(16, async |thread| {
            let mut batch = recipes.clone();
            batch.rotate_left(thread * 7);
            if thread % 2 == 1 {
                batch.reverse();
            }
            for part in batch.chunks(11) {
                store.insert(part).await?;
            }
            Ok(())
        })?;
        check_dag_usage(&*store, 120, 0, 0).await?;
        assert_eq!(dependents(&*store, addr("hub")).await?, sorted(addrs(&recipes)));
        let some = recipes.iter().skip(3).step_by(10).map(Recipe::addr).collect();
        assert_eq!(dependents(&*store, addr("3")).await?, sorted(some));
        Ok(())
    }

    /// C8: while some insert and others remove overlapping batches, edges never part from their recipes:
    /// after each of many races both are the same.
    async fn edges_match_recipes_after_a_race(trial) {
        let store = trial.dag().await?;
        let recipes = numbered_over_hub(60)?;
        for race in 0..16 {
            on_threads(8, async |thread| {
                let mut random = SplitMix64::new(race * 8 + thread as u64);
                let from = race * 3 + random.below(3);
                let batch = &recipes[from as usize..][..10];
                match (race + thread as u64) % 2 {
                    0 => drop(store.insert(batch).await?),
                    _ => drop(store.remove(&addrs(batch)).await?),
                }
                Ok(())
            })?;
            let nodes = store.get_many(&addrs(&recipes)).await?;
            let there: BTreeSet<CAddr> = nodes.iter().flatten().map(|node| node.recipe.addr()).collect();
            assert!(dependents(&*store, addr("hub")).await?.into_iter().eq(there.iter().copied()));
            check_dag_usage(&*store, there.len() as u64, 0, 0).await?;
        }
        Ok(())
    }
}
