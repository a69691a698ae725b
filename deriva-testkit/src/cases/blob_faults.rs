//! Cases for blob stores under faults, and in agreement with the model.

use deriva_api::{Blob, BlobLayer, BlobStat, ErrorKind, OpenedStore, Result};
use futures::TryStreamExt;

use super::support::{kind, random_blob};
use super::support_faults::{agrees_with_the_model, check_every_fault, polled, settles};
use crate::FaultLayer;

crate::case::cases! { $ each_blob_faults_case, Blobs, Faults:
    /// F1: what is not declared is answered so: `usage` by `None`, `list` by `Unsupported`.
    async fn blob_capabilities_are_as_declared(trial) {
        let store = trial.blobs().await?;
        store.put(&[random_blob(1, 10)]).await?;
        let declared = store.capabilities();
        assert_eq!(store.capabilities(), declared, "what is declared does not change");
        assert_eq!(store.usage().await?.is_some(), declared.usage);
        let listed: Result<Vec<BlobStat>> = store.list(None).try_collect().await;
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

    /// F4: when any one call of a sequence fails, before it did anything or after it did all, it can be
    /// made again, and in the end the store holds what it would have held without the fault.
    async fn every_blob_call_can_fail_and_be_repeated(trial) {
        let wrap = |store: OpenedStore, layer: &FaultLayer| OpenedStore {
            blobs: store.blobs.map(|blobs| BlobLayer::wrap(layer, blobs)),
            dag: None,
        };
        drop(trial.blobs().await?);
        check_every_fault(trial, wrap).await
    }

    /// F4: a put that is given up at any point leaves each of its blobs stored or not stored, and the
    /// store as usable as before.
    async fn a_dropped_put_is_whole_or_nothing(trial) {
        let store = trial.blobs().await?;
        for polls in [1, 2, 3, 5, 8] {
            let blobs = [random_blob(polls, 100), random_blob(polls + 100, 100_000)];
            polled(store.put(&blobs), polls).await;
            for blob in &blobs {
                settles(async || {
                    let (get, stat) = (store.get(blob.addr()).await?, store.stat(&[blob.addr()]).await?);
                    assert!(get.as_ref().is_none_or(|get| get == blob));
                    Ok(get.map(|blob| blob.stat()) == stat[0])
                }).await?;
            }
            store.put(&blobs).await?;
            let addrs = blobs.each_ref().map(Blob::addr);
            assert_eq!(store.get_many(&addrs).await?, blobs.map(Some));
        }
        Ok(())
    }

    /// F5: random sequences of calls, closings and crashes give the answers that the model gives.
    async fn random_blob_calls_agree_with_the_model(trial) {
        trial.blobs().await?;
        agrees_with_the_model(trial, |store| OpenedStore { dag: None, ..store })
    }
}
