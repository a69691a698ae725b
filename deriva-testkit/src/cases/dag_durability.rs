//! Cases for what of a DAG store is there after closing, crashing and damage.

use deriva_api::{CAddr, DurabilityClass, Recipe, Record};
use futures::TryStreamExt;

use super::support::{
    addr, addrs, check_dag_usage, dag_state, dependents, numbered_over_hub, output, sorted,
};
use crate::Fixture;
use crate::proof::Crash;
use crate::trial::Trial;

/// Kills of writing processes, of which each is in the middle of four calls.
const KILLS: u64 = 4;

async fn killed_writers_leave_whole_batches(trial: &Trial<dyn Fixture>) {
    let Some(prover) = trial.prover().await else {
        return;
    };
    let crash = Crash {
        prover,
        kills: KILLS,
        seed: 1,
    };
    if let Err(broken) = crash.run(|_| {}) {
        panic!("{broken}");
    }
}

crate::case::cases! { $ each_dag_durability_case, Dag, Durability:
    /// X1: recipes, outputs and roots that were acknowledged are there after the process was killed, as
    /// far as the store declares it, and the edges match the recipes.
    async fn acknowledged_recipes_survive_a_crash(trial) {
        let store = trial.dag().await?;
        let recipes = numbered_over_hub(40)?;
        store.insert(&recipes).await?;
        store.record(&[Record { addr: recipes[3].addr(), resolved: None, output: output("x") }]).await?;
        store.set_root("root", recipes[1].addr()).await?;
        store.set_root("root", recipes[3].addr()).await?;
        store.remove(&addrs(&recipes[30..])).await?;
        if !trial.crash().await? {
            return trial.unsupported("crash");
        }
        let declared = store.capabilities().durability;
        drop(store);
        if declared == DurabilityClass::None {
            return trial.unsupported("durability");
        }
        let store = trial.dag().await?;
        check_dag_usage(&*store, 30, 1, 1).await?;
        let roots: Vec<(String, CAddr)> = store.roots(None).try_collect().await?;
        assert_eq!(roots, [("root".to_owned(), recipes[3].addr())]);
        assert_eq!(dependents(&*store, addr("hub")).await?, sorted(addrs(&recipes[..30])));
        assert_eq!(store.outputs(&[recipes[3].addr()]).await?, [Some(output("x"))]);
        Ok(())
    }

    /// X2: after a crash in the middle of much work, edges match recipes, and there is no output without its
    /// recipe: the store is as it was between two batches. Where the fixture opens the store in other processes, some that
    /// write with four threads are killed within their calls; where not, the crash comes between two calls.
    async fn a_crash_leaves_edges_and_recipes_together(trial) {
        let store = trial.dag().await?;
        let recipes = numbered_over_hub(200)?;
        for batch in recipes.chunks(20) {
            store.insert(batch).await?;
            let record = |recipe: &Recipe| Record { addr: recipe.addr(), resolved: None, output: output("x") };
            store.record(&batch.iter().map(record).collect::<Vec<_>>()).await?;
            store.remove(&addrs(&batch[..5])).await?;
        }
        killed_writers_leave_whole_batches(trial).await;
        if !trial.crash().await? {
            return trial.unsupported("crash");
        }
        drop(store);
        let store = trial.dag().await?;
        let nodes = store.get_many(&addrs(&recipes)).await?;
        let mut outputs = 0;
        for (batch, nodes) in recipes.chunks(20).zip(nodes.chunks(20)) {
            let there = nodes.iter().flatten().count();
            assert!([0, 15, 20].contains(&there), "a batch is there in part: {there} of 20");
            outputs += nodes.iter().flatten().filter(|node| node.output.is_some()).count();
            let without = batch.iter().zip(nodes).filter(|(_, node)| node.is_none());
            for (recipe, _) in without {
                assert_eq!(store.outputs(&[recipe.addr()]).await?, [None]);
            }
        }
        let there: Vec<CAddr> = nodes.iter().flatten().map(|node| node.recipe.addr()).collect();
        check_dag_usage(&*store, there.len() as u64, outputs as u64, 0).await?;
        assert_eq!(dependents(&*store, addr("hub")).await?, sorted(there));
        Ok(())
    }

    /// X3: what was written before the last flush is there after the process was killed.
    async fn flushed_recipes_survive_a_crash(trial) {
        let store = trial.dag().await?;
        let recipes = numbered_over_hub(30)?;
        store.insert(&recipes).await?;
        store.record(&[Record { addr: recipes[0].addr(), resolved: None, output: output("x") }]).await?;
        store.set_root("root", recipes[0].addr()).await?;
        store.flush().await?;
        if !trial.crash().await? {
            return trial.unsupported("crash");
        }
        drop(store);
        let store = trial.dag().await?;
        check_dag_usage(&*store, 30, 1, 1).await?;
        assert_eq!(dependents(&*store, addr("hub")).await?, sorted(addrs(&recipes)));
        assert_eq!(store.outputs(&[recipes[0].addr()]).await?, [Some(output("x"))]);
        Ok(())
    }

    /// X4: closing and opening changes nothing, however often, and lets go of the store.
    async fn reopening_recipes_changes_nothing(trial) {
        let store = trial.dag().await?;
        let recipes = numbered_over_hub(30)?;
        store.insert(&recipes).await?;
        store.record(&[Record { addr: recipes[9].addr(), resolved: Some(addr("resolved")), output: output("x") }]).await?;
        store.set_root("root", addr("hub")).await?;
        store.remove(&[recipes[4].addr()]).await?;
        drop(store);
        if !trial.persistent() {
            let store = trial.dag().await?;
            check_dag_usage(&*store, 0, 0, 0).await?;
            return trial.unsupported("persistence");
        }
        let kept = recipes.iter().filter(|recipe| **recipe != recipes[4]).map(Recipe::addr).collect();
        let kept = sorted(kept);
        for _ in 0..3 {
            let store = trial.dag().await?;
            check_dag_usage(&*store, 29, 1, 1).await?;
            assert_eq!(dependents(&*store, addr("hub")).await?, kept);
            let outputs = store.outputs(&[recipes[9].addr(), addr("resolved")]).await?;
            assert_eq!(outputs, [Some(output("x")); 2]);
            let (listed, roots) = dag_state(&*store).await?;
            assert!(listed == kept || !store.capabilities().list);
            assert_eq!(roots, [("root".to_owned(), addr("hub"))]);
        }
        Ok(())
    }
}
