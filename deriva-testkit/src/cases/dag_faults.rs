//! Cases for DAG stores under faults, and in agreement with the model.

use deriva_api::{DagLayer, ErrorKind, OpenedStore, Params, Recipe, Record, Result};
use futures::TryStreamExt;

use super::support::{
    addr, addrs, dependents, kind, numbered, output, recipe, recipe_with, sorted,
};
use super::support_faults::{agrees_with_the_model, check_every_fault, polled, settles};
use crate::FaultLayer;

crate::case::cases! { $ each_dag_faults_case, Dag, Faults:
    /// F1: what is not declared is answered so: `usage` by `None`, `list` by `Unsupported`.
    async fn dag_capabilities_are_as_declared(trial) {
        let store = trial.dag().await?;
        store.insert(&numbered(1)?).await?;
        let declared = store.capabilities();
        assert_eq!(store.capabilities(), declared, "what is declared does not change");
        assert_eq!(store.usage().await?.is_some(), declared.usage);
        let listed: Result<Vec<_>> = store.list(None).try_collect().await;
        match declared.list {
            true => assert_eq!(listed?.len(), 1),
            false => assert_eq!(kind(listed), Some(ErrorKind::Unsupported)),
        }
        match (declared.usage, declared.list) {
            (true, true) => Ok(()),
            (false, true) => trial.unsupported("usage"),
            (true, false) => trial.unsupported("list"),
            (false, false) => trial.unsupported("usage and list"),
        }
    }

    /// F3: one cause gives one kind on every store, and the error names what it is about: an unknown
    /// recipe `NotFound`, a dependent `Conflict`, a bad name `Invalid`.
    async fn one_cause_gives_one_kind(trial) {
        let store = trial.dag().await?;
        let below = recipe("f/1", &[])?;
        let above = recipe("g/1", &[below.addr()])?;
        store.insert(&[below.clone(), above.clone()]).await?;
        let unknown = Record { addr: addr("unknown"), resolved: None, output: output("x") };
        let refused = [
            (store.record(&[unknown]).await.map(drop), ErrorKind::NotFound, Some(unknown.addr)),
            (store.remove(&[below.addr()]).await.map(drop), ErrorKind::Conflict, Some(below.addr())),
            (store.set_root("", below.addr()).await, ErrorKind::Invalid, None),
        ];
        for (answer, expected, named) in refused {
            let told = answer.as_ref().err().and_then(|error| error.context("addr")).map(str::to_owned);
            assert_eq!(kind(answer), Some(expected));
            assert!(named.is_none() || told == named.map(|addr| addr.to_string()), "{expected}: names {told:?}");
        }
        Ok(())
    }

    /// F4: when any one call of a sequence fails, before it did anything or after it did all, it can be
    /// made again, and in the end the store holds what it would have held without the fault.
    async fn every_dag_call_can_fail_and_be_repeated(trial) {
        let wrap = |store: OpenedStore, layer: &FaultLayer| OpenedStore {
            blobs: None,
            dag: store.dag.map(|dag| DagLayer::wrap(layer, dag)),
        };
        drop(trial.dag().await?);
        check_every_fault(trial, wrap).await
    }

    /// F4: a batch that is given up at any point is inserted whole or not at all, with its edges.
    async fn a_dropped_insert_is_whole_or_nothing(trial) {
        let store = trial.dag().await?;
        for polls in [1, 2, 3, 5, 8] {
            let hub = addr(&polls.to_string());
            let batch = (0..50)
                .map(|i| recipe_with("f/1", &[hub], &Params::new().with("i", i)))
                .collect::<Result<Vec<Recipe>>>()?;
            polled(store.insert(&batch), polls).await;
            settles(async || {
                let there = store.get_many(&addrs(&batch)).await?.iter().flatten().count();
                let edges = dependents(&*store, hub).await?.len();
                Ok(there == edges && [0, 50].contains(&there))
            }).await?;
            store.insert(&batch).await?;
            assert_eq!(dependents(&*store, hub).await?, sorted(addrs(&batch)));
        }
        Ok(())
    }

    /// F5: random sequences of calls, closings and crashes give the answers that the model gives.
    async fn random_dag_calls_agree_with_the_model(trial) {
        trial.dag().await?;
        agrees_with_the_model(trial, |store| OpenedStore { blobs: None, ..store })
    }
}
