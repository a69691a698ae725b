//! Cases for what of a DAG store is there after closing, crashing and damage.

use deriva_api::{CAddr, DurabilityClass, Params, Recipe, Record, Result};
use futures::TryStreamExt;

use super::support::{addr, addrs, check_dag_usage, dependents, output, recipe_with, sorted};

crate::case::cases! { $ each_dag_durability_case, Dag, Durability:
    /// X1: recipes, outputs and roots that were acknowledged are there after the process was killed, as
    /// far as the store declares it, and the edges match the recipes.
    async fn acknowledged_recipes_survive_a_crash(trial) {
        let store = trial.dag().await?;
        let recipes = (0..40)
            .map(|i| recipe_with("f/1", &[addr("hub")], &Params::new().with("i", i)))
            .collect::<Result<Vec<Recipe>>>()?;
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
}
