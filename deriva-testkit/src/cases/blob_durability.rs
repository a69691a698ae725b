//! Cases for what of a blob store is there after closing, crashing and damage.

use deriva_api::{Blob, CAddr, DurabilityClass};

use super::support::{blobs_listed, check_blob_usage, random_blob, small_and_large, total};

crate::case::cases! { $ each_blob_durability_case, Blobs, Durability:
    /// X1: what was acknowledged is there after the process was killed, as far as the store declares it.
    async fn acknowledged_blobs_survive_a_crash(trial) {
        let store = trial.blobs().await?;
        let blobs = small_and_large(30);
        store.put(&blobs).await?;
        let removed: Vec<CAddr> = blobs[..5].iter().map(Blob::addr).collect();
        store.remove(&removed).await?;
        if !trial.crash().await? {
            return trial.unsupported("crash");
        }
        let declared = store.capabilities().durability;
        drop(store);
        if declared == DurabilityClass::None {
            return trial.unsupported("durability");
        }
        let store = trial.blobs().await?;
        let all: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        let expected: Vec<_> = (0..).zip(&blobs).map(|(i, blob)| (i >= 5).then(|| blob.clone())).collect();
        assert!(store.get_many(&all).await? == expected);
        check_blob_usage(&*store, 25, total(&blobs[5..])).await
    }

    /// X3: what was put before the last flush is there after the process was killed.
    async fn flushed_blobs_survive_a_crash(trial) {
        let store = trial.blobs().await?;
        let blobs = small_and_large(30);
        store.put(&blobs).await?;
        store.flush().await?;
        let late = random_blob(777, 50_000);
        store.put(std::slice::from_ref(&late)).await?;
        if !trial.crash().await? {
            return trial.unsupported("crash");
        }
        drop(store);
        let store = trial.blobs().await?;
        let all: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        let expected: Vec<_> = blobs.iter().cloned().map(Some).collect();
        assert!(store.get_many(&all).await? == expected);
        let found = store.get(late.addr()).await?;
        assert!(found.is_none_or(|found| found == late));
        blobs_listed(&*store).await?;
        Ok(())
    }
}
