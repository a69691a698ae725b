//! Cases for batches of every size and numbers of every width, with recipes and outputs that are all
//! different, so that no answer can stand for its neighbour's.

use std::time::Duration;

use deriva_api::{
    CAddr, DagStore, DagStoreExt, Divergence, ErrorKind, Output, Params, Recipe, Record, Result,
};
use futures::TryStreamExt;

use super::support::{
    SIZES, addr, addrs, check_dag_usage, dependents, kind, numbered, output, recipe, recipe_with,
    sorted,
};

/// An output of its own for each number.
fn made(i: usize) -> Output {
    Output {
        len: i as u64,
        cost: Duration::from_nanos(3 * i as u64),
        ..output(&i.to_string())
    }
}

fn resolved(i: usize) -> CAddr {
    addr(&format!("resolved {i}"))
}

/// Records for recipes from this number on, each with a resolved recipe.
fn records(recipes: &[Recipe], from: usize) -> Vec<Record> {
    let record = |(i, recipe): (usize, &Recipe)| Record {
        addr: recipe.addr(),
        resolved: Some(resolved(i)),
        output: made(i),
    };
    (from..).zip(recipes).map(record).collect()
}

/// Recipes of these numbers, each with one dependent of its own: all below, then all above.
fn pairs(numbers: std::ops::Range<usize>) -> Result<(Vec<Recipe>, Vec<Recipe>)> {
    let of = |i: usize| Params::new().with("i", i as i64);
    let below: Vec<Recipe> = numbers
        .clone()
        .map(|i| recipe_with("f/1", &[], &of(i)))
        .collect::<Result<_>>()?;
    let above = numbers
        .zip(&below)
        .map(|(i, below)| recipe_with("g/1", &[below.addr()], &of(i)));
    let above = above.collect::<Result<_>>()?;
    Ok((below, above))
}

/// A batch that is refused, and removes nothing.
async fn check_refused(store: &dyn DagStore, batch: &[CAddr], what: &str) -> Result<()> {
    assert_eq!(
        kind(store.remove(batch).await),
        Some(ErrorKind::Conflict),
        "{what}"
    );
    let there = store.get_many(batch).await?.iter().flatten().count();
    assert_eq!(there, batch.len(), "{what}: still there");
    Ok(())
}

crate::case::cases! { $ each_dag_sizes_case, Dag, Core:
    /// D21: batches of every size are inserted, recorded, read and forgotten whole, each answer for its own address:
    /// around 64, 256, 300 and 1,000, and ten thousand, whatever the store does at once.
    async fn recipe_batches_of_every_size(trial) {
        let store = trial.dag().await?;
        let all = numbered(SIZES.iter().sum::<usize>() as i64)?;
        let mut done = 0;
        for size in SIZES {
            let batch = &all[done..done + size];
            assert_eq!(store.insert(batch).await?, addrs(batch), "insert of {size}");
            let records = records(batch, done);
            assert_eq!(store.record(&records).await?, [], "record of {size}");
            let divergent: Vec<Record> = records.iter()
                .map(|record| Record { output: output("other"), ..*record })
                .collect();
            let mut told = store.record(&divergent).await?;
            told.sort_unstable_by_key(|divergence| divergence.addr);
            let divergence = |(addr, recorded): (CAddr, Output)| Divergence { addr, recorded, offered: output("other") };
            let each = records.iter().flat_map(|record| [Some(record.addr), record.resolved].into_iter().flatten()
                .map(|addr| (addr, record.output)));
            let mut expected: Vec<Divergence> = each.map(divergence).collect();
            expected.sort_unstable_by_key(|divergence| divergence.addr);
            assert_eq!(told, expected, "divergences of {size}");
            let outputs: Vec<Option<Output>> = records.iter().map(|record| Some(record.output)).collect();
            assert_eq!(store.outputs(&addrs(batch)).await?, outputs, "outputs of {size}");
            let nodes = store.get_many(&addrs(batch)).await?;
            let read: Vec<_> = nodes.iter().flatten().map(|node| (node.recipe.addr(), node.output)).collect();
            let whole: Vec<_> = addrs(batch).into_iter().zip(outputs).collect();
            assert_eq!(read, whole, "get_many of {size}");
            done += size;
            check_dag_usage(&*store, done as u64, done as u64, 0).await?;
        }
        let mut asked: Vec<CAddr> = (0..10_000).map(|i| addr(&format!("absent {i}"))).collect();
        let mut expected = vec![None; asked.len()];
        for at in (0..asked.len()).step_by(11) {
            let i = at % all.len();
            (asked[at], expected[at]) = (all[i].addr(), Some(made(i)));
        }
        assert_eq!(store.outputs(&asked).await?, expected, "outputs of ten thousand");
        let nodes = store.get_many(&asked).await?;
        let read: Vec<Option<Output>> = nodes.iter().map(|node| node.as_ref().and_then(|node| node.output)).collect();
        assert_eq!(read, expected, "get_many of ten thousand");
        let mut left = all.len() as u64;
        let mut next = 0;
        for size in SIZES {
            let batch = &all[next..next + size];
            let both: Vec<CAddr> = addrs(batch).into_iter().chain((next..next + size).map(resolved)).collect();
            let half = &both[..size];
            assert_eq!(store.forget(half).await?, size as u64, "forget of {size}");
            left -= size as u64;
            assert_eq!(store.outputs(half).await?, vec![None; size], "forgotten in a batch of {size}");
            check_dag_usage(&*store, all.len() as u64, left, 0).await?;
            assert_eq!(store.forget(&both).await?, size as u64, "forget of {size} and as many resolved ones");
            assert_eq!(store.outputs(&both).await?, vec![None; 2 * size], "forgotten in a batch of {}", 2 * size);
            next += size;
        }
        Ok(())
    }

    /// D13: batches of every size are removed whole, with outputs and edges, and nothing else goes; every other of
    /// the recipes has a dependent in the batch.
    async fn recipe_batches_of_every_size_are_removed(trial) {
        let store = trial.dag().await?;
        let (below, above) = pairs(0..SIZES.iter().sum())?;
        store.insert(&below).await?;
        store.insert(&above).await?;
        store.record(&records(&below, 0)).await?;
        let mut gone = 0;
        for size in SIZES {
            let (low, high) = (&below[gone..gone + size], &above[gone..gone + size]);
            gone += size;
            let batch: Vec<CAddr> = low.iter().zip(high).flat_map(|(low, high)| [low.addr(), high.addr()]).collect();
            assert_eq!(store.remove(&batch).await?, 2 * size as u64, "remove of {}", 2 * size);
            let nodes = store.get_many(&batch).await?;
            assert_eq!(nodes.iter().flatten().count(), 0, "removed in a batch of {}", 2 * size);
            assert_eq!(store.outputs(&addrs(low)).await?, vec![None; size]);
            for at in [0, size / 2, size - 1] {
                assert_eq!(dependents(&*store, low[at].addr()).await?, [], "edge {at} of {size}");
            }
            let left = below.len() - gone;
            check_dag_usage(&*store, 2 * left as u64, left as u64, 0).await?;
            let kept = store.outputs(&addrs(&below[gone..])).await?;
            let expected: Vec<Option<Output>> = (gone..below.len()).map(|i| Some(made(i))).collect();
            assert_eq!(kept, expected, "left by a batch of {}", 2 * size);
        }
        Ok(())
    }

    /// D13: whether a dependent remains is asked of every recipe of a batch, and of every dependent of a recipe, however
    /// many there are and wherever the one stands that remains.
    async fn every_dependent_counts_when_recipes_are_removed(trial) {
        let store = trial.dag().await?;
        let (below, _) = pairs(0..1000)?;
        store.insert(&below).await?;
        for size in SIZES {
            // One recipe of the batch is needed from outside: by the order of the batch, or of addresses, the last.
            let in_order = addrs(&below[..size]);
            let by_address = sorted(in_order.clone());
            for batch in [in_order, by_address] {
                let guard = recipe("guard/1", &[batch[size - 1]])?;
                store.insert(std::slice::from_ref(&guard)).await?;
                check_refused(&*store, &batch, &format!("the last of {size} is needed")).await?;
                assert_eq!(store.remove(&[guard.addr()]).await?, 1);
            }
        }
        let hub = recipe("hub/1", &[])?;
        let mut above = (0..1001)
            .map(|i| recipe_with("f/1", &[hub.addr()], &Params::new().with("i", i)))
            .collect::<Result<Vec<Recipe>>>()?;
        store.insert(std::slice::from_ref(&hub)).await?;
        // Edges may be kept together batch by batch.
        for batch in above.chunks(90) {
            store.insert(batch).await?;
        }
        above.sort_by_key(Recipe::addr);
        for size in SIZES {
            // Of the dependents, the first N are in the batch, by address or from the end.
            for some in [&above[..size], &above[1001 - size..]] {
                let mut batch = addrs(some);
                batch.push(hub.addr());
                check_refused(&*store, &batch, &format!("{size} of 1,001 dependents go, too")).await?;
            }
        }
        let mut batch = addrs(&above);
        batch.insert(500, hub.addr());
        assert_eq!(store.remove(&batch).await?, 1002);
        check_dag_usage(&*store, 1000, 0, 0).await
    }

    /// D8: a recipe of any number of inputs is a dependent of each, and of none any more when it is removed.
    async fn inputs_of_every_number_have_edges(trial) {
        let store = trial.dag().await?;
        let inputs: Vec<CAddr> = (0..1000).map(|i| addr(&format!("input {i}"))).collect();
        let recipes = SIZES.iter().map(|size| recipe("f/1", &inputs[..*size])).collect::<Result<Vec<Recipe>>>()?;
        store.insert(&recipes).await?;
        for (recipe, size) in recipes.iter().zip(SIZES) {
            let node = store.get_one(recipe.addr()).await?;
            assert!(node.is_some_and(|node| node.recipe.inputs().eq(inputs[..size].iter().copied())), "{size} inputs");
        }
        for removed in 0..=SIZES.len() {
            for at in [0, 1, 62, 63, 64, 65, 254, 255, 256, 257, 298, 299, 300, 301, 998, 999] {
                let of = SIZES.iter().zip(&recipes).skip(removed).filter(|(size, _)| **size > at);
                let expected = sorted(of.map(|(_, recipe)| recipe.addr()).collect());
                assert_eq!(dependents(&*store, inputs[at]).await?, expected, "of input {at}, {removed} removed");
            }
            if let Some(recipe) = recipes.get(removed) {
                assert_eq!(store.remove(&[recipe.addr()]).await?, 1);
            }
        }
        Ok(())
    }

    /// D10: length and cost of an output are 64 bits wide, the cost in nanoseconds; one that is longer, more than five
    /// centuries, comes back as no less than that.
    async fn outputs_are_64_bits_wide(trial) {
        let store = trial.dag().await?;
        let numbers = [31, 32, 33, 53, 63].map(|bits: u32| 1u64 << bits);
        let mut numbers: Vec<u64> = numbers.iter().flat_map(|power| [power - 1, *power, power + 3]).collect();
        numbers.push(u64::MAX);
        let recipes = numbered(2 * numbers.len() as i64 + 2)?;
        store.insert(&recipes).await?;
        let outputs: Vec<Output> = numbers.iter()
            .flat_map(|number| [(*number, 5), (5, *number)])
            .map(|(len, nanos)| Output { len, cost: Duration::from_nanos(nanos), ..output("x") })
            .collect();
        let records: Vec<Record> = recipes.iter().zip(&outputs)
            .map(|(recipe, output)| Record { addr: recipe.addr(), resolved: None, output: *output })
            .collect();
        assert_eq!(store.record(&records).await?, []);
        let expected: Vec<Option<Output>> = outputs.into_iter().map(Some).collect();
        assert_eq!(store.outputs(&addrs(&recipes[..expected.len()])).await?, expected);
        let longer = [Duration::from_secs(20_000_000_000), Duration::MAX];
        for (recipe, cost) in recipes[expected.len()..].iter().zip(longer) {
            let output = Output { cost, ..output("x") };
            let record = Record { addr: recipe.addr(), resolved: None, output };
            assert_eq!(store.record(&[record]).await?, []);
            let read = store.outputs(&[recipe.addr()]).await?[0].map(|output| output.cost);
            assert!(read.is_some_and(|read| read >= Duration::from_nanos(u64::MAX)), "{cost:?} is {read:?}");
        }
        Ok(())
    }

    /// D14: a name that no root can have is no root: removing the empty name, or one that is too long, answers that it was
    /// not there, and removes nothing; after the empty name all roots are listed.
    async fn names_of_no_root_are_not_there(trial) {
        let store = trial.dag().await?;
        for name in ["", &"r".repeat(257), &"r".repeat(512), &"r".repeat(70_000)] {
            assert!(!store.remove_root(name).await?, "a name of {} bytes", name.len());
        }
        let names = ["a", &"r".repeat(256)];
        for name in names {
            store.set_root(name, addr(name)).await?;
        }
        for name in ["", &"r".repeat(257), &"r".repeat(512), &"r".repeat(70_000)] {
            assert!(!store.remove_root(name).await?, "a name of {} bytes", name.len());
        }
        let expected = names.map(|name| (name.to_owned(), addr(name)));
        for after in [None, Some("")] {
            let roots: Vec<(String, CAddr)> = store.roots(after).try_collect().await?;
            assert_eq!(roots, expected, "after {after:?}");
        }
        check_dag_usage(&*store, 0, 0, 2).await
    }
}
