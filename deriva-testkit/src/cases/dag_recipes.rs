//! Cases for recipes: insertion, edges, removal, lists, roots.

use bytes::Bytes;
use std::sync::Arc;

use deriva_api::{CAddr, DagStoreExt, ErrorKind, Params, Record, Result, Value};
use futures::{StreamExt, TryStreamExt, stream};

use super::counted::Counted;
use super::support::{
    addr, addrs, check_dag_usage, dag_state, dependents, kind, listed, numbered, output, recipe,
    recipe_with, sorted,
};
use crate::{ModelStore, random};

crate::case::cases! { $ each_dag_recipes_case, Dag, Core:
    /// D2: the order of params is irrelevant, the order of inputs is not.
    async fn order_counts_for_inputs_only(trial) {
        let store = trial.dag().await?;
        let (a, b) = (addr("a"), addr("b"));
        let one = recipe_with("f/1", &[a, b], &Params::new().with("x", 1).with("y", 2))?;
        let same = recipe_with("f/1", &[a, b], &Params::new().with("y", 2).with("x", 1))?;
        let other = recipe_with("f/1", &[b, a], &Params::new().with("x", 1).with("y", 2))?;
        let inserted = store.insert(&[one.clone(), same, other.clone()]).await?;
        assert_eq!(inserted, [one.addr(), one.addr(), other.addr()]);
        check_dag_usage(&*store, 2, 0, 0).await?;
        for (recipe, inputs) in [(one, [a, b]), (other, [b, a])] {
            let node = store.get_one(recipe.addr()).await?;
            assert!(node.is_some_and(|node| node.recipe.inputs().eq(inputs)));
        }
        Ok(())
    }

    /// D3: name and version are both part of the address.
    async fn name_and_version_count(trial) {
        let store = trial.dag().await?;
        let recipes = ["f/1", "f/2", "g/1", "f.1/1"].map(|name| recipe(name, &[]));
        let recipes = recipes.into_iter().collect::<Result<Vec<_>>>()?;
        store.insert(&recipes).await?;
        check_dag_usage(&*store, 4, 0, 0).await?;
        for recipe in recipes {
            let node = store.get_one(recipe.addr()).await?;
            assert_eq!(node.map(|node| node.recipe.function()), Some(recipe.function()));
        }
        Ok(())
    }

    /// D4: insert is idempotent, alone and in a batch with duplicates.
    async fn insert_is_idempotent(trial) {
        let store = trial.dag().await?;
        let recipe = recipe("f/1", &[addr("a")])?;
        for _ in 0..3 {
            let inserted = store.insert(&[recipe.clone(), recipe.clone()]).await?;
            assert_eq!(inserted, [recipe.addr(); 2]);
        }
        assert_eq!(store.insert(&[]).await?, []);
        check_dag_usage(&*store, 1, 0, 0).await?;
        assert_eq!(dependents(&*store, addr("a")).await?, [recipe.addr()]);
        assert_eq!(listed(&*store).await?, [recipe.addr()]);
        Ok(())
    }

    /// D5: params come back without loss: nested, empty, the limits of integers, negative zero,
    /// subnormals, composed and decomposed text, a mebibyte of bytes, a list of thousands.
    async fn params_round_trip(trial) {
        let store = trial.dag().await?;
        let nested = (0..50).fold(Value::from("core"), |inner, _| Value::List(vec![inner]));
        let values = [
            Value::Null, Value::from(i64::MIN), Value::from(i64::MAX), Value::from(-0.0),
            Value::from(f64::from_bits(1)), Value::from(f64::MAX), Value::from("\u{e9}"),
            Value::from("e\u{301}"), Value::from("\0"), Value::List(vec![]), nested,
            Value::Bytes(Bytes::from(vec![0xa5; 1 << 20])),
            Value::List((0..30_000).map(Value::from).collect()),
        ];
        for value in values {
            let recipe = recipe_with("f/1", &[], &Params::new().with("", "").with("v", value.clone()))?;
            store.insert(std::slice::from_ref(&recipe)).await?;
            let node = store.get_one(recipe.addr()).await?;
            assert_eq!(node.as_ref().map(|node| node.recipe.canonical()), Some(recipe.canonical()));
            let params = node.map(|node| node.recipe.params()).transpose()?;
            let read = params.and_then(|params| params.get("v").cloned());
            // `==` takes -0.0 for 0.0; the written form tells them apart.
            assert_eq!(format!("{read:?}"), format!("{:?}", Some(value)));
        }
        Ok(())
    }

    /// D7: inputs that are not there yet are accepted, and dependents of them answer.
    async fn inputs_may_come_later(trial) {
        let store = trial.dag().await?;
        let below = recipe("f/1", &[addr("leaf")])?;
        let above = recipe("g/1", &[below.addr()])?;
        store.insert(std::slice::from_ref(&above)).await?;
        assert_eq!(dependents(&*store, below.addr()).await?, [above.addr()]);
        assert!(store.get_one(below.addr()).await?.is_none());
        store.insert(std::slice::from_ref(&below)).await?;
        assert_eq!(dependents(&*store, below.addr()).await?, [above.addr()]);
        let order = store.topological_order(above.addr(), Default::default()).await?;
        assert_eq!(order, [addr("leaf"), below.addr(), above.addr()]);
        Ok(())
    }

    /// D8: dependents are exact after insert, a second insert, remove and another insert; an input
    /// used twice by one recipe is one edge.
    async fn dependents_are_exact(trial) {
        let store = trial.dag().await?;
        let (a, b) = (addr("a"), addr("b"));
        let twice = recipe("f/1", &[a, a, b, a])?;
        let once = recipe("g/1", &[a])?;
        for _ in 0..2 {
            store.insert(&[twice.clone(), once.clone()]).await?;
            store.insert(std::slice::from_ref(&twice)).await?;
            assert_eq!(dependents(&*store, a).await?, sorted(vec![twice.addr(), once.addr()]));
            assert_eq!(dependents(&*store, b).await?, [twice.addr()]);
            assert_eq!(store.remove(&[twice.addr()]).await?, 1);
            assert_eq!(dependents(&*store, a).await?, [once.addr()]);
            assert_eq!(dependents(&*store, b).await?, []);
        }
        Ok(())
    }

    /// D8: dependents are listed by address and can be resumed after any of them.
    async fn dependents_are_resumable(trial) {
        let store = trial.dag().await?;
        let recipes = (0..300)
            .map(|i| recipe_with("f/1", &[addr("hub")], &Params::new().with("i", i)))
            .collect::<Result<Vec<_>>>()?;
        // Many small batches: edges may be kept together batch by batch.
        for batch in recipes.chunks(7) {
            store.insert(batch).await?;
        }
        let expected = sorted(addrs(&recipes));
        assert_eq!(dependents(&*store, addr("hub")).await?, expected);
        for at in (0..expected.len()).step_by(13) {
            let rest: Vec<CAddr> = store.dependents(addr("hub"), Some(expected[at])).try_collect().await?;
            assert_eq!(rest, expected[at + 1..]);
        }
        Ok(())
    }

    /// D13: removing a recipe with a dependent outside the batch is `Conflict` and removes nothing; a
    /// batch may hold both ends; what is absent does not count.
    async fn remove_minds_dependents(trial) {
        let store = trial.dag().await?;
        let below = recipe("f/1", &[addr("leaf")])?;
        let above = recipe("g/1", &[below.addr()])?;
        let apart = recipe("h/1", &[])?;
        store.insert(&[below.clone(), above.clone(), apart.clone()]).await?;
        let refused = store.remove(&[apart.addr(), below.addr()]).await;
        assert_eq!(kind(refused), Some(ErrorKind::Conflict));
        check_dag_usage(&*store, 3, 0, 0).await?;
        assert_eq!(dependents(&*store, below.addr()).await?, [above.addr()]);
        assert_eq!(store.remove(&[below.addr(), above.addr(), below.addr(), addr("none")]).await?, 2);
        assert_eq!(listed(&*store).await?, [apart.addr()]);
        assert_eq!(dependents(&*store, below.addr()).await?, []);
        assert_eq!(dependents(&*store, addr("leaf")).await?, []);
        assert_eq!(store.remove(&[below.addr()]).await?, 0);
        check_dag_usage(&*store, 1, 0, 0).await
    }

    /// D14: roots are set, moved, listed by name from any point, and removed; a name is any text.
    async fn roots_have_any_name(trial) {
        let store = trial.dag().await?;
        let longest = "r".repeat(256);
        let mut names = vec!["a", "a/b", "a b", "\0", "\u{10ffff}", "é", "e\u{301}", "..", "roots", &longest];
        for name in &names {
            store.set_root(name, addr("old")).await?;
            store.set_root(name, addr(name)).await?;
        }
        names.sort_unstable();
        let expected: Vec<(String, CAddr)> = names.iter().map(|name| (name.to_string(), addr(name))).collect();
        let all: Vec<(String, CAddr)> = store.roots(None).try_collect().await?;
        assert_eq!(all, expected);
        for (at, name) in names.iter().enumerate() {
            let rest: Vec<(String, CAddr)> = store.roots(Some(name)).try_collect().await?;
            assert_eq!(rest, expected[at + 1..]);
        }
        check_dag_usage(&*store, 0, 0, names.len() as u64).await?;
        assert!(store.remove_root("a").await?);
        assert!(!store.remove_root("a").await?);
        check_dag_usage(&*store, 0, 0, names.len() as u64 - 1).await?;
        Ok(())
    }

    /// D15: by_function is exact, ordered and resumable, and one name never answers for another that
    /// begins with it.
    async fn by_function_is_exact(trial) {
        let store = trial.dag().await?;
        let names = ["a/1", "a/10", "a.b/1", "a/1.0", "aa/1"];
        let mut expected = Vec::new();
        for name in names {
            let recipes = (0..20)
                .map(|i| recipe_with(name, &[], &Params::new().with("i", i)))
                .collect::<Result<Vec<_>>>()?;
            store.insert(&recipes).await?;
            expected.push(sorted(addrs(&recipes)));
        }
        for (name, expected) in names.iter().zip(&expected) {
            let id = name.parse()?;
            let all: Vec<CAddr> = store.by_function(&id, None).try_collect().await?;
            assert_eq!(&all, expected, "{name}");
            let rest: Vec<CAddr> = store.by_function(&id, Some(expected[9])).try_collect().await?;
            assert_eq!(rest, expected[10..]);
        }
        let none: Vec<CAddr> = store.by_function(&"a/2".parse()?, None).try_collect().await?;
        assert_eq!(none, []);
        Ok(())
    }

    /// D16: a list is complete with outputs, ordered by address, and resumable after any item.
    async fn recipe_lists_are_complete_and_resumable(trial) {
        let store = trial.dag().await?;
        let recipes = numbered(100)?;
        store.insert(&recipes).await?;
        let made = output("made");
        store.record(&[Record { addr: recipes[5].addr(), resolved: None, output: made }]).await?;
        let expected = sorted(addrs(&recipes));
        assert_eq!(listed(&*store).await?, expected);
        for (at, after) in expected.iter().enumerate() {
            let rest: Vec<CAddr> = store.list(Some(*after)).map_ok(|(addr, _)| addr).try_collect().await?;
            assert_eq!(rest, expected[at + 1..]);
        }
        let nodes: Vec<_> = store.list(None).try_collect().await?;
        for (addr, node) in nodes {
            assert_eq!(node.recipe.addr(), addr);
            assert_eq!(node.output, (addr == recipes[5].addr()).then_some(made));
        }
        Ok(())
    }

    /// D21: get_many keeps the order of what was asked, with duplicates and absentees.
    async fn get_many_keeps_order(trial) {
        let store = trial.dag().await?;
        let recipes = numbered(500)?;
        store.insert(&recipes).await?;
        let mut asked: Vec<CAddr> = addrs(&recipes).into_iter().rev().collect();
        asked.extend([addr("absent"), recipes[0].addr(), recipes[0].addr()]);
        let read = store.get_many(&asked).await?;
        assert_eq!(read.len(), asked.len());
        for (asked, node) in asked.iter().zip(read) {
            let known = (*asked != addr("absent")).then_some(*asked);
            assert_eq!(node.map(|node| node.recipe.addr()), known);
        }
        assert!(store.get_many(&[]).await?.is_empty());
        Ok(())
    }


    /// D14: the name of a root is 1 to 256 bytes; others are `Invalid` and change nothing.
    async fn names_of_roots_have_a_limit(trial) {
        let store = trial.dag().await?;
        let (longest, longer) = ("é".repeat(128), "é".repeat(128) + "e");
        store.set_root(&longest, addr("x")).await?;
        for name in ["", &longer] {
            assert_eq!(kind(store.set_root(name, addr("x")).await), Some(ErrorKind::Invalid));
        }
        let all: Vec<(String, CAddr)> = store.roots(None).try_collect().await?;
        assert_eq!(all, [(longest, addr("x"))]);
        check_dag_usage(&*store, 0, 0, 1).await
    }

    /// D14: ten thousand roots are kept, and listed by name from any point.
    async fn ten_thousand_roots(trial) {
        let store = trial.dag().await?;
        let names: Vec<String> = (0..10_000).map(|i| format!("root/{i:05}")).collect();
        let set = names.iter().map(|name| store.set_root(name, addr(name)));
        stream::iter(set).buffer_unordered(500).try_collect::<()>().await?;
        let expected: Vec<(String, CAddr)> = names.iter().map(|name| (name.clone(), addr(name))).collect();
        let all: Vec<(String, CAddr)> = store.roots(None).try_collect().await?;
        assert_eq!(all, expected);
        for at in [0, 511, 1023, 5000, 9999] {
            let rest: Vec<(String, CAddr)> = store.roots(Some(&names[at])).try_collect().await?;
            assert_eq!(rest, expected[at + 1..], "after the {at}th");
        }
        check_dag_usage(&*store, 0, 0, 10_000).await
    }

    /// D1: recipes have the addresses that they have always had, and are stored under them.
    async fn addresses_are_the_known_ones(trial) {
        let store = trial.dag().await?;
        let leaf = |i: u64| CAddr::of_blob(&i.to_le_bytes());
        let golden = [
            ("f/1", 0, "b908977733ae3285755e7dc378e99815fb128b0314ea1808e1167c72d28127ed"),
            ("bench.mix/1", 1, "5271d3cc8107e85f7ceb855435599fbe08091969144d16de76bf248f2a8b328d"),
            ("bench.mix/1", 2, "156c08bc3db46edcc63892126e7c12e8e1fbdb529e01a1eb0a9ddc1c643b96b9"),
            ("bench.mix/1", 256, "14c7493fb1cfc7772ff3e69cbd37ba8cf7f62f5ec8116fba36833a98068d2fd9"),
        ];
        for (function, inputs, expected) in golden {
            let inputs: Vec<CAddr> = (0..inputs).map(leaf).collect();
            let recipe = recipe(function, &inputs)?;
            let inserted = store.insert(std::slice::from_ref(&recipe)).await?;
            assert_eq!(inserted, [expected.parse::<CAddr>()?]);
            let read = store.get_one(expected.parse()?).await?;
            assert!(read.is_some_and(|node| node.recipe.inputs().eq(inputs)));
        }
        Ok(())
    }

    /// D5: floats that are no numbers are `Invalid` before they reach a store.
    async fn floats_are_finite(trial) {
        let store = trial.dag().await?;
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let params = Params::new().with("x", Value::List(vec![Value::from(float)]));
            assert_eq!(kind(recipe_with("f/1", &[], &params)), Some(ErrorKind::Invalid));
        }
        let finite = recipe_with("f/1", &[], &Params::new().with("x", f64::MIN_POSITIVE))?;
        store.insert(std::slice::from_ref(&finite)).await?;
        let read = store.get_one(finite.addr()).await?;
        let read = read.map(|node| node.recipe.params()).transpose()?;
        assert_eq!(read, Some(finite.params()?));
        Ok(())
    }

    /// D16: lists of thousands, of all recipes and of one function's, are complete and go on after any
    /// item: whatever the store reads at once.
    async fn long_recipe_lists_are_complete(trial) {
        let store = trial.dag().await?;
        let recipes = numbered(2500)?;
        store.insert(&recipes).await?;
        let expected = sorted(addrs(&recipes));
        let id = recipes[0].function();
        let all: Vec<CAddr> = store.by_function(&id, None).try_collect().await?;
        assert_eq!(all, expected);
        for at in [0, 511, 512, 1023, 1024, 2047, 2498, 2499] {
            let rest: Vec<CAddr> = store.by_function(&id, Some(expected[at])).try_collect().await?;
            assert_eq!(rest, expected[at + 1..], "of the function, after the {at}th");
        }
        if !store.capabilities().list {
            dag_state(&*store).await?;
            return trial.unsupported("list");
        }
        assert_eq!(listed(&*store).await?, expected);
        for at in [0, 511, 512, 1023, 1024, 2047, 2498, 2499] {
            let rest: Vec<CAddr> = store.list(Some(expected[at])).map_ok(|(addr, _)| addr).try_collect().await?;
            assert_eq!(rest, expected[at + 1..], "after the {at}th");
        }
        Ok(())
    }

    /// D22: the same operations in any order leave the same state, and it is that of the model.
    async fn order_of_operations_leaves_no_trace(trial) {
        let graph = random::graph(22, 120)?;
        let mut states = Vec::new();
        for order in 0..3 {
            let fixture = trial.another();
            let store = match order {
                // Another implementation: the model.
                0 => Arc::new(ModelStore::new()),
                _ => fixture.open().await?.dag.ok_or_else(|| trial.missing("DAG"))?,
            };
            let mut recipes: Vec<_> = graph.recipes.iter().cloned().enumerate().collect();
            if order == 2 {
                recipes.reverse();
            }
            for batch in recipes.chunks(7) {
                let batch: Vec<_> = batch.iter().map(|(_, recipe)| recipe.clone()).collect();
                store.insert(&batch).await?;
            }
            for (i, recipe) in recipes.iter().filter(|(i, _)| i % 3 == 0) {
                let output = output(&i.to_string());
                store.record(&[Record { addr: recipe.addr(), resolved: None, output }]).await?;
                store.set_root(&format!("root {i}"), recipe.addr()).await?;
            }
            let last = graph.recipes[graph.recipes.len() - 1].addr();
            store.remove(&[last]).await?;
            let (nodes, roots) = dag_state(&*store).await?;
            let mut edges = Vec::new();
            for recipe in &graph.recipes {
                edges.push(dependents(&*store, recipe.addr()).await?);
            }
            let outputs = store.outputs(&addrs(&graph.recipes)).await?;
            states.push(((roots, edges, outputs), nodes, store.usage().await?));
        }
        assert!(states[1].0 == states[0].0, "as the model");
        assert!(states[1] == states[2], "in any order");
        Ok(())
    }

    /// D8: a store prints itself in one line, so that logs can name it.
    async fn a_dag_store_prints_itself(trial) {
        let store = trial.dag().await?;
        let printed = store.to_string();
        assert!(!printed.is_empty() && !printed.contains('\n'), "{printed:?}");
        assert_eq!(store.to_string(), printed);
        Ok(())
    }

    /// D23: `counters` gives the same counters at every call, and what they count only rises.
    async fn dag_counters_stay_and_rise(trial) {
        let store = trial.dag().await?;
        let mut before = Counted::of(store.counters());
        for name in ["f/1", "g/1", "h/1"] {
            let recipe = recipe(name, &[])?;
            store.insert(std::slice::from_ref(&recipe)).await?;
            store.outputs(&[recipe.addr()]).await?;
            let now = Counted::of(store.counters());
            assert!(before.goes_on_as(&now), "{before:?} and then {now:?}");
            before = now;
        }
        Ok(())
    }
}
