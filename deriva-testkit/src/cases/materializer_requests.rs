//! Cases for requests that find all that they need.

use std::sync::Arc;

use deriva_api::{Blob, ComputeFunction, Cutoff, FunctionId, Recipe};

use super::materializer_support::{Calls, Works, ask_for, concat, stats};
use super::support::{in_every_runtime, recipe};
use crate::functions::light;
use crate::{Workload, functions, random, reference};

/// The functions of graphs, light.
fn light_graph() -> impl Iterator<Item = Arc<dyn ComputeFunction>> {
    functions::graph().into_iter().map(light)
}

crate::case::cases! { $ each_materializer_requests_case, Materializer, Core:
    /// E1: a leaf, and a recipe whose output is known, run nothing; also for a materializer that is opened
    /// anew.
    async fn what_is_known_runs_nothing(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, [calls.concat("count/1")?]).await?;
        let leaf = works.leaf("leaf").await?;
        let below = works.recipe("count/1", &[leaf, leaf]).await?;
        let top = works.recipe("count/1", &[below, leaf]).await?;
        let done = works.materialize(&[leaf]).await?;
        assert_eq!((done.summary.computed, stats(done)?), (0, vec![Blob::new("leaf").stat()]));
        let done = works.materialize(&[top]).await?;
        assert_eq!((done.summary.computed, done.summary.reused, done.summary.healed), (2, 0, 0));
        let done = works.materialize(&[top]).await?;
        assert_eq!((done.summary.computed, done.summary.reused), (0, 1), "the second time");
        assert_eq!(works.get(top).await?, "leafleafleaf");
        let again = works.again().await?;
        let done = again.materialize(ask_for(&[top, below])).await?;
        assert_eq!((done.summary.computed, done.summary.reused), (0, 2), "opened anew");
        assert_eq!(again.get(top).await?, "leafleafleaf");
        assert_eq!(calls.count(), 2);
        Ok(())
    }

    /// E2: a node that several others share runs once.
    async fn a_shared_node_runs_once(trial) {
        let calls = Calls::default();
        let works = Works::open(trial, concat()?.into_iter().chain([calls.concat("count/1")?])).await?;
        let leaf = works.leaf("ab").await?;
        let shared = works.recipe("count/1", &[leaf]).await?;
        let left = works.recipe("concat/1", &[shared, leaf, shared]).await?;
        let right = works.recipe("light/1", &[leaf, shared]).await?;
        let top = works.recipe("concat/1", &[left, right, shared]).await?;
        let done = works.materialize(&[top, shared, right]).await?;
        assert_eq!((done.summary.computed, calls.count()), (4, 1));
        assert_eq!(works.get(top).await?, "ab".repeat(6));
        Ok(())
    }

    /// E8: outputs reach a function in the order of the recipe, the same one twice, too.
    async fn outputs_reach_the_function_in_order(trial) {
        let works = Works::open(trial, concat()?).await?;
        let (b, a) = (works.leaf("b").await?, works.leaf("a").await?);
        for name in ["concat/1", "light/1"] {
            let bb = works.recipe(name, &[b, b]).await?;
            let ba = works.recipe(name, &[b, a]).await?;
            let top = works.recipe(name, &[bb, a, ba, bb, b]).await?;
            assert_eq!(works.get(top).await?, "bbababbb", "{name}");
        }
        Ok(())
    }

    /// E8: what was asked for is answered in that order, one address as often as it was asked for.
    async fn answers_come_in_the_order_of_the_request(trial) {
        let works = Works::open(trial, concat()?).await?;
        let mut addrs = Vec::new();
        for text in ["d", "a", "c", "b"] {
            let leaf = works.leaf(text).await?;
            addrs.extend([leaf, works.recipe("concat/1", &[leaf, leaf]).await?]);
        }
        addrs.extend([addrs[1], addrs[0], addrs[1]]);
        let expected = ["d", "dd", "a", "aa", "c", "cc", "b", "bb", "dd", "d", "dd"].map(|text| Blob::new(text).stat());
        for time in ["computed", "known"] {
            assert_eq!(stats(works.materialize(&addrs).await?)?, expected, "{time}");
        }
        assert!(works.materialize(&[]).await?.results.is_empty());
        Ok(())
    }

    /// E15: a chain of 2,000 recipes is materialized, of light functions and of heavy ones.
    async fn a_long_chain_is_materialized(trial) {
        let works = Works::open(trial, concat()?).await?;
        for name in ["concat/1", "light/1"] {
            let mut below = works.leaf("deep").await?;
            let mut recipes = Vec::new();
            for _ in 0..2000 {
                let next = recipe(name, &[below])?;
                below = next.addr();
                recipes.push(next);
            }
            works.materializer.insert(&recipes).await?;
            assert_eq!(works.materialize(&[below]).await?.summary.computed, 2000);
            assert_eq!(works.get(below).await?, "deep");
        }
        Ok(())
    }

    /// E15: a recipe over 600 others is materialized.
    async fn a_wide_recipe_is_materialized(trial) {
        let works = Works::open(trial, light_graph()).await?;
        let workload = Workload::FanIn { width: 600 };
        let root = workload.load(&*works.blobs, &*works.dag).await?;
        let done = works.materialize(&[root]).await?;
        assert_eq!(done.summary.computed, 601);
        let expected = reference::materialize(&*works.dag, &*works.blobs, graph_function, root).await?;
        assert_eq!(works.get(root).await?, expected);
        Ok(())
    }

    /// E16: generated graphs come out with the bytes of the sequential reference, whatever was computed
    /// before.
    async fn generated_graphs_come_out_as_in_the_reference(trial) {
        let works = Works::open(trial, light_graph()).await?;
        for seed in 0..6 {
            let graph = random::graph(seed, 40)?;
            works.materializer.put(&graph.leaves).await?;
            works.materializer.insert(&graph.recipes).await?;
            let all: Vec<_> = graph.recipes.iter().map(Recipe::addr).collect();
            let (first, rest) = all.split_at(all.len() / 2);
            works.materialize(&first[first.len() / 2..]).await?;
            let request = match seed % 2 {
                0 => ask_for(rest),
                _ => ask_for(rest).cutoff(Cutoff::Always),
            };
            let found = stats(works.materializer.materialize(request).await?)?;
            for (addr, found) in rest.iter().zip(found) {
                let expected = reference::materialize(&*works.dag, &*works.blobs, graph_function, *addr).await?;
                assert_eq!(found, Blob::new(expected.clone()).stat(), "seed {seed}, {addr}");
                assert_eq!(works.get(*addr).await?, expected);
            }
        }
        Ok(())
    }

    /// C5: requests are made in any runtime: none, and each flavour of tokio; each flavour can carry a
    /// materializer.
    async fn requests_are_made_in_any_runtime(trial) {
        let works = Works::open(trial, concat()?).await?;
        in_every_runtime(async |seed| {
            let text = format!("asked from {seed}");
            let leaf = works.leaf(&text).await?;
            let top = works.recipe("concat/1", &[leaf]).await?;
            assert_eq!(works.get(top).await?, text);
            if tokio::runtime::Handle::try_current().is_ok() {
                let own = works.again().await?;
                let top = works.recipe("concat/1", &[leaf, leaf]).await?;
                assert_eq!(own.get(top).await?, format!("{text}{text}"));
            }
            Ok(())
        })
    }
}

fn graph_function(id: &FunctionId) -> Option<Arc<dyn ComputeFunction>> {
    functions::graph()
        .into_iter()
        .find(|function| function.id() == id)
}
