//! Cases for recipes: insertion, edges, removal, lists, roots.

use bytes::Bytes;
use deriva_api::{CAddr, DagStoreExt, ErrorKind, Params, Recipe, Result, Value};
use futures::TryStreamExt;

use super::support::{
    addr, addrs, check_dag_usage, dependents, kind, listed, numbered, on_threads, output, recipe,
    recipe_with, sorted,
};

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
    /// subnormals, composed and decomposed text, a mebibyte of bytes.
    async fn params_round_trip(trial) {
        let store = trial.dag().await?;
        let nested = (0..50).fold(Value::from("core"), |inner, _| Value::List(vec![inner]));
        let values = [
            Value::Null, Value::from(i64::MIN), Value::from(i64::MAX), Value::from(-0.0),
            Value::from(f64::from_bits(1)), Value::from(f64::MAX), Value::from("\u{e9}"),
            Value::from("e\u{301}"), Value::from("\0"), Value::List(vec![]), nested,
            Value::Bytes(Bytes::from(vec![0xa5; 1 << 20])),
        ];
        for value in values {
            let recipe = recipe_with("f/1", &[], &Params::new().with("", value.clone()).with("v", value.clone()))?;
            store.insert(std::slice::from_ref(&recipe)).await?;
            let node = store.get_one(recipe.addr()).await?;
            assert_eq!(node.as_ref().map(|node| node.recipe.canonical()), Some(recipe.canonical()));
            let read = node.and_then(|node| node.recipe.params().get("v").cloned());
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

    /// D8: dependents are listed by address and can be resumed behind any of them.
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

    /// D14: roots are set, moved, listed by name from any point, and removed; a name is any text of 1
    /// to 512 bytes.
    async fn roots_have_any_name(trial) {
        let store = trial.dag().await?;
        let longest = "r".repeat(512);
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
        for name in ["", &"r".repeat(513)] {
            assert_eq!(kind(store.set_root(name, addr("x")).await), Some(ErrorKind::Invalid));
        }
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

    /// D16: a list is complete with outputs, ordered by address, and resumable behind any item.
    async fn recipe_lists_are_complete_and_resumable(trial) {
        let store = trial.dag().await?;
        let recipes = numbered(100)?;
        store.insert(&recipes).await?;
        let made = output("made");
        store.record(&[deriva_api::Record { addr: recipes[5].addr(), resolved: None, output: made }]).await?;
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
}
