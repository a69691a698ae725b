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

    /// X1: a blob that is half written when the process is killed is not there afterwards, in no list and
    /// no count.
    async fn a_crash_leaves_no_half_blob(trial) {
        let store = trial.blobs().await?;
        let (whole, half) = (random_blob(1, 200_000), random_blob(2, 400_000));
        store.put(std::slice::from_ref(&whole)).await?;
        let mut writer = store.writer(None).await?;
        writer.write(half.bytes().slice(..300_000)).await?;
        store.flush().await?;
        if !trial.crash().await? {
            return trial.unsupported("crash");
        }
        drop((writer, store));
        let store = trial.blobs().await?;
        assert_eq!(store.get(half.addr()).await?, None);
        check_blob_usage(&*store, 1, whole.len()).await?;
        let expected = store.capabilities().list.then(|| whole.stat());
        assert_eq!(blobs_listed(&*store).await?, Vec::from_iter(expected));
        let mut writer = store.writer(None).await?;
        writer.write(half.bytes().clone()).await?;
        assert_eq!(writer.finish().await?, half.stat());
        Ok(())
    }

    /// X4: closing and opening changes nothing, however often, and lets go of the store.
    async fn reopening_blobs_changes_nothing(trial) {
        let blobs = small_and_large(25);
        let store = trial.blobs().await?;
        store.put(&blobs).await?;
        store.remove(&[blobs[3].addr()]).await?;
        drop(store);
        if !trial.persistent() {
            let store = trial.blobs().await?;
            check_blob_usage(&*store, 0, 0).await?;
            return trial.unsupported("persistence");
        }
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        for _ in 0..3 {
            let store = trial.blobs().await?;
            let there: Vec<Blob> = store.get_many(&addrs).await?.into_iter().flatten().collect();
            assert!(there.iter().eq(blobs.iter().filter(|blob| blob.addr() != addrs[3])));
            check_blob_usage(&*store, 24, total(&blobs) - blobs[3].len()).await?;
        }
        Ok(())
    }
}
