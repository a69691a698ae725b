//! Cases for graphs of extreme shapes, and for walks over them.

use std::collections::HashMap;

use deriva_api::{CAddr, DagStore, DagStoreExt, Recipe, Result, Walk};
use futures::TryStreamExt;

use super::support::{addr, addrs, dependents, recipe, sorted};
use crate::{Workload, random};

async fn insert_all(store: &dyn DagStore, workload: Workload) -> Result<Vec<CAddr>> {
    let recipes: Vec<Recipe> = workload.recipes().collect::<Result<_>>()?;
    for batch in recipes.chunks(1000) {
        store.insert(batch).await?;
    }
    Ok(addrs(&recipes))
}

crate::case::cases! { $ each_dag_shapes_case, Dag, Core:
    /// D18: a fan-in of 10,000 reads back, and every input knows it.
    async fn a_wide_fan_in(trial) {
        let store = trial.dag().await?;
        let inputs: Vec<CAddr> = (0..10_000).map(|i| addr(&i.to_string())).collect();
        let wide = recipe("f/1", &inputs)?;
        store.insert(std::slice::from_ref(&wide)).await?;
        let node = store.get_one(wide.addr()).await?;
        assert!(node.is_some_and(|node| node.recipe.inputs().eq(inputs.iter().copied())));
        for input in inputs.iter().step_by(777) {
            assert_eq!(dependents(&*store, *input).await?, [wide.addr()]);
        }
        Ok(())
    }

    /// D18: a fan-out of 100,000 is listed whole, each dependent once, by address.
    async fn a_wide_fan_out(trial) {
        let store = trial.dag().await?;
        let recipes = insert_all(&*store, Workload::Hub { width: 100_000 }).await?;
        let hub = deriva_api::Blob::new(0u64.to_le_bytes().to_vec()).addr();
        let expected = sorted(recipes);
        assert_eq!(dependents(&*store, hub).await?, expected);
        let rest: Vec<CAddr> = store.dependents(hub, Some(expected[75_000])).try_collect().await?;
        assert_eq!(rest, expected[75_001..]);
        Ok(())
    }

    /// D19: a chain of 100,000 is inserted and walked, up and down, without deep recursion.
    async fn a_long_chain(trial) {
        let store = trial.dag().await?;
        let recipes = insert_all(&*store, Workload::Chain { length: 100_000 }).await?;
        let (first, last) = (recipes[0], recipes[recipes.len() - 1]);
        let order = store.topological_order(last, Walk::default()).await?;
        assert_eq!(order[1..], recipes, "inputs first");
        let above = store.descendants(first, Walk::default()).await?;
        assert_eq!(above, recipes[1..]);
        Ok(())
    }

    /// D20: topological order is complete, puts inputs before what needs them, and is the same each
    /// time and whatever the order of insertion.
    async fn topological_order_is_right(trial) {
        let store = trial.dag().await?;
        let graph = random::graph(20, 300)?;
        let mut reversed = graph.recipes.clone();
        reversed.reverse();
        for batch in reversed.chunks(50) {
            store.insert(batch).await?;
        }
        let by_addr: HashMap<CAddr, &Recipe> = graph.recipes.iter().map(|r| (r.addr(), r)).collect();
        for root in graph.recipes.iter().rev().take(20) {
            let order = store.topological_order(root.addr(), Walk::default()).await?;
            let places: HashMap<CAddr, usize> = order.iter().copied().zip(0..).collect();
            assert_eq!(places.len(), order.len(), "each once");
            assert_eq!(order.last(), Some(&root.addr()));
            for (place, at) in order.iter().enumerate() {
                for input in by_addr.get(at).into_iter().flat_map(|recipe| recipe.inputs()) {
                    assert!(places.get(&input).is_some_and(|below| *below < place));
                }
            }
            assert_eq!(store.ancestors(root.addr(), Walk::default()).await?.len() + 1, order.len());
            assert_eq!(store.topological_order(root.addr(), Walk::default()).await?, order);
            let depth = store.depth(root.addr(), Walk::default()).await?;
            assert!((1..=300).contains(&depth));
        }
        Ok(())
    }
}
