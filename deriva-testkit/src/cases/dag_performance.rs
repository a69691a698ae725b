//! What a DAG store's calls cost. These cases report figures, and check that the answers are right.

use deriva_api::{DagStoreExt, Recipe, Record, Result, Walk};

use super::support::{addrs, dependents, output};
use crate::Workload;

crate::case::cases! { $ each_dag_performance_case, Dag, Performance:
    /// D18: how long it takes to insert, read, record and walk a graph of 10,000 recipes.
    async fn a_graph_is_timed(trial) {
        let store = trial.dag().await?;
        let workload = Workload::Layered { width: 100, layers: 100 };
        let recipes: Vec<Recipe> = workload.recipes().collect::<Result<_>>()?;
        let count = recipes.len() as u64;
        trial.time("insert, 1000 recipes in a batch", count, async {
            for batch in recipes.chunks(1000) {
                store.insert(batch).await?;
            }
            Ok(())
        }).await?;
        trial.time("insert, a recipe that is there", 50, async {
            for recipe in &recipes[..50] {
                store.insert(std::slice::from_ref(recipe)).await?;
            }
            Ok(())
        }).await?;
        let record = |recipe: &Recipe| Record { addr: recipe.addr(), resolved: None, output: output("x") };
        let records: Vec<Record> = recipes.iter().map(record).collect();
        trial.time("record, in one batch", count, store.record(&records)).await?;
        let all = addrs(&recipes);
        let nodes = trial.time("get_many, in one batch", count, store.get_many(&all)).await?;
        assert!(nodes.iter().all(Option::is_some));
        let root = recipes[recipes.len() - 1].addr();
        let order = trial.time("topological order", count, store.topological_order(root, Walk::default())).await?;
        assert_eq!(order.last(), Some(&root));
        let first = trial.time("dependents, of one recipe", 1, dependents(&*store, all[0])).await?;
        assert!(!first.is_empty());
        Ok(())
    }
}
