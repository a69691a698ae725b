//! Cases for outputs: recording, divergence, forgetting, counting.

use std::time::Duration;

use deriva_api::{DagStoreExt, Divergence, ErrorKind, Output, Record};

use super::support::{
    addr, addrs, check_dag_usage, dependents, kind, listed, numbered, output, recipe,
};

crate::case::cases! { $ each_dag_outputs_case, Dag, Core:
    /// D9: a batch of records with one unknown recipe records nothing.
    async fn a_batch_is_recorded_whole_or_not(trial) {
        let store = trial.dag().await?;
        let recipes = numbered(3)?;
        store.insert(&recipes[..2]).await?;
        let records: Vec<Record> = recipes
            .iter()
            .map(|recipe| Record { addr: recipe.addr(), resolved: Some(addr("resolved")), output: output("x") })
            .collect();
        let refused = store.record(&records).await;
        assert_eq!(kind(refused), Some(ErrorKind::NotFound));
        assert_eq!(store.outputs(&addrs(&recipes)).await?, [None; 3]);
        assert_eq!(store.outputs(&[addr("resolved")]).await?, [None]);
        check_dag_usage(&*store, 2, 0, 0).await
    }

    /// D10: a new output is recorded, the same again changes nothing, a different one is answered as
    /// a divergence and the first is kept.
    async fn the_first_output_stays(trial) {
        let store = trial.dag().await?;
        let recipe = recipe("f/1", &[addr("a")])?;
        store.insert(std::slice::from_ref(&recipe)).await?;
        let record = |output| Record { addr: recipe.addr(), resolved: None, output };
        let (first, other) = (output("first"), output("other"));
        assert_eq!(store.record(&[record(first)]).await?, []);
        let mut slower = first;
        slower.cost *= 10;
        assert_eq!(store.record(&[record(slower)]).await?, []);
        let divergence = Divergence { addr: recipe.addr(), recorded: first, offered: other };
        assert_eq!(store.record(&[record(other)]).await?, [divergence]);
        assert_eq!(store.outputs(&[recipe.addr()]).await?, [Some(first)]);
        let node = store.get_one(recipe.addr()).await?;
        assert_eq!(node.and_then(|node| node.output), Some(first));
        assert_eq!(store.record(&[]).await?, []);
        check_dag_usage(&*store, 1, 1, 0).await
    }

    /// D10: within one batch the first of two different outputs is kept, too.
    async fn divergence_inside_a_batch(trial) {
        let store = trial.dag().await?;
        let recipe = recipe("f/1", &[])?;
        store.insert(std::slice::from_ref(&recipe)).await?;
        let (first, other) = (output("first"), output("other"));
        let records = [first, first, other].map(|output| Record { addr: recipe.addr(), resolved: None, output });
        let divergence = Divergence { addr: recipe.addr(), recorded: first, offered: other };
        assert_eq!(store.record(&records).await?, [divergence]);
        assert_eq!(store.outputs(&[recipe.addr()]).await?, [Some(first)]);
        Ok(())
    }

    /// D10: resolved recipes have outputs under their own address, without being recipes: not listed,
    /// not counted, divergent like others.
    async fn resolved_recipes_have_outputs(trial) {
        let store = trial.dag().await?;
        let recipes = numbered(2)?;
        store.insert(&recipes).await?;
        let resolved = addr("resolved");
        let (first, other) = (output("first"), output("other"));
        let record = |at: usize, output| Record { addr: recipes[at].addr(), resolved: Some(resolved), output };
        assert_eq!(store.record(&[record(0, first)]).await?, []);
        assert_eq!(store.outputs(&[resolved, recipes[0].addr(), recipes[1].addr()]).await?, [Some(first), Some(first), None]);
        assert!(store.get_one(resolved).await?.is_none());
        assert_eq!(listed(&*store).await?.len(), 2);
        check_dag_usage(&*store, 2, 1, 0).await?;
        let divergence = Divergence { addr: resolved, recorded: first, offered: other };
        assert_eq!(store.record(&[record(1, other)]).await?, [divergence]);
        assert_eq!(store.outputs(&[resolved, recipes[1].addr()]).await?, [Some(first), Some(other)]);
        check_dag_usage(&*store, 2, 2, 0).await
    }

    /// D10: a resolved address equal to the recipe's own means the same as none.
    async fn a_recipe_may_be_its_own_resolved_one(trial) {
        let store = trial.dag().await?;
        let recipe = recipe("f/1", &[addr("blob")])?;
        store.insert(std::slice::from_ref(&recipe)).await?;
        let record = Record { addr: recipe.addr(), resolved: Some(recipe.addr()), output: output("x") };
        assert_eq!(store.record(&[record]).await?, []);
        check_dag_usage(&*store, 1, 1, 0).await?;
        let other = Record { output: output("y"), ..record };
        assert_eq!(store.record(&[other]).await?.len(), 1);
        Ok(())
    }

    /// D11: recording for an unknown recipe is `NotFound` and names it.
    async fn unknown_recipes_have_no_outputs(trial) {
        let store = trial.dag().await?;
        let unknown = addr("unknown");
        let refused = store.record(&[Record { addr: unknown, resolved: None, output: output("x") }]).await;
        let named = refused.as_ref().err().and_then(|error| error.context("addr")).map(str::to_owned);
        assert_eq!(named, Some(unknown.to_string()));
        assert_eq!(kind(refused), Some(ErrorKind::NotFound));
        assert_eq!(store.outputs(&[unknown]).await?, [None]);
        Ok(())
    }

    /// D12: forget drops outputs, of resolved recipes too, and keeps recipes and edges; afterwards a
    /// different output can be recorded.
    async fn forget_keeps_recipes_and_edges(trial) {
        let store = trial.dag().await?;
        let recipe = recipe("f/1", &[addr("a")])?;
        let resolved = addr("resolved");
        store.insert(std::slice::from_ref(&recipe)).await?;
        let record = Record { addr: recipe.addr(), resolved: Some(resolved), output: output("x") };
        store.record(&[record]).await?;
        assert_eq!(store.forget(&[recipe.addr(), recipe.addr(), addr("none")]).await?, 1);
        assert_eq!(store.outputs(&[recipe.addr(), resolved]).await?, [None, Some(output("x"))]);
        check_dag_usage(&*store, 1, 0, 0).await?;
        assert_eq!(store.forget(&[resolved]).await?, 1);
        assert_eq!(store.forget(&[resolved, recipe.addr()]).await?, 0);
        assert_eq!(store.outputs(&[resolved]).await?, [None]);
        assert_eq!(dependents(&*store, addr("a")).await?, [recipe.addr()]);
        let other = Record { output: output("y"), ..record };
        assert_eq!(store.record(&[other]).await?, []);
        assert_eq!(store.outputs(&[recipe.addr()]).await?, [Some(output("y"))]);
        check_dag_usage(&*store, 1, 1, 0).await
    }

    /// D13: a removed recipe's output goes with it, and does not come back with the recipe.
    async fn removed_recipes_lose_their_outputs(trial) {
        let store = trial.dag().await?;
        let recipe = recipe("f/1", &[])?;
        store.insert(std::slice::from_ref(&recipe)).await?;
        store.record(&[Record { addr: recipe.addr(), resolved: None, output: output("x") }]).await?;
        assert_eq!(store.remove(&[recipe.addr()]).await?, 1);
        check_dag_usage(&*store, 0, 0, 0).await?;
        store.insert(std::slice::from_ref(&recipe)).await?;
        assert_eq!(store.outputs(&[recipe.addr()]).await?, [None]);
        check_dag_usage(&*store, 1, 0, 0).await
    }

    /// D17: usage is exact after every operation and after reopening, and everything is still there.
    async fn dag_usage_is_exact(trial) {
        let store = trial.dag().await?;
        let recipes = numbered(50)?;
        store.insert(&recipes[..30]).await?;
        store.insert(&recipes[20..]).await?;
        check_dag_usage(&*store, 50, 0, 0).await?;
        let records: Vec<Record> = recipes[..20]
            .iter()
            .map(|recipe| Record { addr: recipe.addr(), resolved: Some(addr(&recipe.addr().to_string())), output: output("x") })
            .collect();
        store.record(&records).await?;
        store.record(&records[5..]).await?;
        check_dag_usage(&*store, 50, 20, 0).await?;
        store.forget(&addrs(&recipes[..4])).await?;
        check_dag_usage(&*store, 50, 16, 0).await?;
        store.remove(&addrs(&recipes[10..25])).await?;
        check_dag_usage(&*store, 35, 6, 0).await?;
        store.set_root("r", recipes[0].addr()).await?;
        store.flush().await?;
        drop(store);
        if trial.persistent() {
            let store = trial.dag().await?;
            check_dag_usage(&*store, 35, 6, 1).await?;
            let read = store.outputs(&addrs(&recipes[..5])).await?;
            assert_eq!(read, [None, None, None, None, Some(output("x"))]);
            assert_eq!(store.outputs(&[addr(&recipes[0].addr().to_string())]).await?, [Some(output("x"))]);
            assert_eq!(store.get_many(&addrs(&recipes)).await?.iter().flatten().count(), 35);
        }
        Ok(())
    }

    /// D10: length and cost of an output come back as they were recorded, the smallest and the largest.
    async fn outputs_come_back_as_recorded(trial) {
        let store = trial.dag().await?;
        let recipes = numbered(4)?;
        store.insert(&recipes).await?;
        let extremes = [
            (0, Duration::ZERO),
            (1, Duration::from_nanos(1)),
            (u64::from(u32::MAX) + 1, Duration::from_nanos(1_234_567_891)),
            (1 << 50, Duration::from_secs(30 * 24 * 3600)),
        ];
        for (recipe, (len, cost)) in recipes.iter().zip(extremes) {
            let made = Output { addr: addr(&len.to_string()), len, cost };
            store.record(&[Record { addr: recipe.addr(), resolved: None, output: made }]).await?;
            assert_eq!(store.outputs(&[recipe.addr()]).await?, [Some(made)]);
        }
        Ok(())
    }

    /// D21: outputs keep the order of what was asked, with duplicates and absentees, in any number.
    async fn outputs_keep_order(trial) {
        let store = trial.dag().await?;
        let recipes = numbered(1500)?;
        store.insert(&recipes).await?;
        let made = |at: usize| output(&at.to_string());
        let records: Vec<Record> = (0..1500).step_by(2)
            .map(|at| Record { addr: recipes[at].addr(), resolved: None, output: made(at) })
            .collect();
        assert_eq!(store.record(&records).await?, []);
        let mut asked: Vec<_> = (0..1500).rev().collect();
        asked.extend([4, 4, 5]);
        let addrs: Vec<_> = asked.iter().map(|at| recipes[*at].addr()).collect();
        let expected: Vec<_> = asked.iter().map(|at| (at % 2 == 0).then(|| made(*at))).collect();
        assert_eq!(store.outputs(&addrs).await?, expected);
        assert_eq!(store.outputs(&[]).await?, []);
        Ok(())
    }

    /// D10: a batch that records several divergences answers with each, and records all that is new.
    async fn divergences_do_not_stop_a_batch(trial) {
        let store = trial.dag().await?;
        let recipes = numbered(6)?;
        store.insert(&recipes).await?;
        let record = |at: usize, bytes: &str| Record { addr: recipes[at].addr(), resolved: None, output: output(bytes) };
        store.record(&[record(1, "old"), record(3, "old")]).await?;
        let batch: Vec<Record> = (0..6).map(|at| record(at, "new")).collect();
        let mut divergent: Vec<_> = store.record(&batch).await?.iter().map(|divergence| divergence.addr).collect();
        divergent.sort_unstable();
        let expected = [recipes[1].addr(), recipes[3].addr()];
        assert_eq!(divergent, super::support::sorted(expected.to_vec()));
        let kept = store.outputs(&addrs(&recipes)).await?;
        let old = |at| at == 1 || at == 3;
        assert!(kept.into_iter().eq((0..6).map(|at| Some(output(if old(at) { "old" } else { "new" })))));
        check_dag_usage(&*store, 6, 6, 0).await
    }
}
