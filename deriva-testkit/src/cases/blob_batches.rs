//! Cases for many blobs: batches, lists, counts.

use deriva_api::{Blob, BlobStat, CAddr};
use futures::TryStreamExt;

use super::support::{blobs_listed, check_blob_usage, random_blob, small_and_large, total};

crate::case::cases! { $ each_blob_batches_case, Blobs, Core:
    /// B4: a second put of the same bytes stores once and changes no count.
    async fn a_second_put_changes_nothing(trial) {
        let store = trial.blobs().await?;
        for blob in [random_blob(1, 100), random_blob(2, 100_000)] {
            store.put(&[blob.clone(), blob.clone()]).await?;
            store.put(std::slice::from_ref(&blob)).await?;
            check_blob_usage(&*store, 1, blob.len()).await?;
            assert_eq!(store.get(blob.addr()).await?, Some(blob.clone()));
            store.remove(&[blob.addr()]).await?;
        }
        Ok(())
    }

    /// B7: answers keep the order of what was asked, with duplicates and absentees; an empty batch
    /// does nothing; a batch may be larger than any buffer.
    async fn batches_keep_their_order(trial) {
        let store = trial.blobs().await?;
        store.put(&[]).await?;
        store.remove(&[]).await?;
        assert_eq!(store.get_many(&[]).await?, []);
        assert_eq!(store.stat(&[]).await?, []);
        let blobs: Vec<Blob> = (0..1100).map(|i| random_blob(i, 60)).collect();
        store.put(&blobs).await?;
        let absent = random_blob(99_999, 60).addr();
        let mut asked: Vec<CAddr> = blobs.iter().rev().map(Blob::addr).collect();
        asked.extend([absent, blobs[0].addr(), blobs[0].addr()]);
        let expected: Vec<Option<Blob>> = blobs.iter().rev().cloned().map(Some)
            .chain([None, Some(blobs[0].clone()), Some(blobs[0].clone())]).collect();
        let stats: Vec<Option<BlobStat>> =
            expected.iter().map(|blob| blob.as_ref().map(Blob::stat)).collect();
        assert_eq!(store.get_many(&asked).await?, expected);
        assert_eq!(store.stat(&asked).await?, stats);
        Ok(())
    }

    /// B10: what was removed is gone, and can be put again.
    async fn removed_blobs_can_be_put_again(trial) {
        let store = trial.blobs().await?;
        for blob in [random_blob(10, 50), random_blob(11, 90_000)] {
            for _ in 0..3 {
                store.put(std::slice::from_ref(&blob)).await?;
                assert_eq!(store.get(blob.addr()).await?.as_ref(), Some(&blob));
                store.remove(&[blob.addr(), blob.addr()]).await?;
                assert_eq!(store.get(blob.addr()).await?, None);
                check_blob_usage(&*store, 0, 0).await?;
            }
        }
        Ok(())
    }

    /// B11: a list is complete, ordered by address, and can be resumed after any item, also after
    /// an address that is not there.
    async fn blob_lists_are_complete_and_resumable(trial) {
        let store = trial.blobs().await?;
        let blobs = small_and_large(150);
        store.put(&blobs).await?;
        let mut expected: Vec<BlobStat> = blobs.iter().map(Blob::stat).collect();
        expected.sort_by_key(|stat| stat.addr);
        let all = blobs_listed(&*store).await?;
        if !store.capabilities().list {
            return trial.unsupported("list");
        }
        assert_eq!(all, expected);
        for (i, stat) in expected.iter().enumerate() {
            let rest: Vec<BlobStat> = store.list(Some(stat.addr)).try_collect().await?;
            assert_eq!(rest, expected[i + 1..]);
        }
        let gone = expected[70];
        store.remove(&[gone.addr]).await?;
        let rest: Vec<BlobStat> = store.list(Some(gone.addr)).try_collect().await?;
        assert_eq!(rest, expected[71..]);
        Ok(())
    }

    /// B11: a list shows everything that was there all the time, once, while others put.
    async fn blob_lists_are_stable_while_others_put(trial) {
        let store = trial.blobs().await?;
        if !store.capabilities().list {
            blobs_listed(&*store).await?;
            return trial.unsupported("list");
        }
        let before: Vec<Blob> = (0..200).map(|i| random_blob(i, 40)).collect();
        store.put(&before).await?;
        let mut seen = Vec::new();
        let mut list = store.list(None);
        for i in 0u64.. {
            store.put(&[random_blob(10_000 + i, 40)]).await?;
            match list.try_next().await? {
                Some(stat) => seen.push(stat.addr),
                None => break,
            }
            // One more put per item seen: a list that never ended would show here.
            assert!(i < 2000, "the list does not end");
        }
        assert!(seen.is_sorted_by(|a, b| a < b), "by address, each once");
        for blob in &before {
            assert!(seen.binary_search(&blob.addr()).is_ok());
        }
        Ok(())
    }

    /// B13: usage, where declared, is exact after every operation, and after reopening.
    async fn blob_usage_is_exact(trial) {
        let store = trial.blobs().await?;
        let blobs_put = small_and_large(60);
        check_blob_usage(&*store, 0, 0).await?;
        store.put(&blobs_put[..40]).await?;
        store.put(&blobs_put[20..]).await?;
        check_blob_usage(&*store, 60, total(&blobs_put)).await?;
        let mut writer = store.writer(None).await?;
        writer.write(blobs_put[3].bytes().clone()).await?;
        writer.finish().await?;
        check_blob_usage(&*store, 60, total(&blobs_put)).await?;
        let removed: Vec<CAddr> = blobs_put[..15].iter().map(Blob::addr).collect();
        store.remove(&removed).await?;
        store.remove(&removed).await?;
        check_blob_usage(&*store, 45, total(&blobs_put[15..])).await?;
        store.flush().await?;
        drop(store);
        if trial.persistent() {
            let store = trial.blobs().await?;
            check_blob_usage(&*store, 45, total(&blobs_put[15..])).await?;
            assert_eq!(store.get(blobs_put[50].addr()).await?.as_ref(), Some(&blobs_put[50]));
            assert_eq!(store.get(blobs_put[5].addr()).await?, None);
        }
        Ok(())
    }


    /// B7: a batch of 20 MiB, small blobs among large ones, is stored whole.
    async fn a_large_batch_is_stored_whole(trial) {
        let store = trial.blobs().await?;
        let blobs: Vec<Blob> = (0..60)
            .map(|i| random_blob(i, if i % 3 == 0 { 1 << 20 } else { 2000 }))
            .collect();
        store.put(&blobs).await?;
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        assert!(store.get_many(&addrs).await?.into_iter().flatten().eq(blobs.iter().cloned()));
        check_blob_usage(&*store, 60, total(&blobs)).await?;
        store.remove(&addrs).await?;
        assert!(store.get_many(&addrs).await?.iter().all(Option::is_none));
        check_blob_usage(&*store, 0, 0).await
    }

    /// B7: removing a batch removes these blobs and no others.
    async fn remove_leaves_the_others(trial) {
        let store = trial.blobs().await?;
        let blobs = small_and_large(60);
        store.put(&blobs).await?;
        let (gone, kept): (Vec<_>, Vec<_>) = (0..60).partition(|i| i % 4 == 1);
        let addr = |some: &[usize]| some.iter().map(|at| blobs[*at].addr()).collect::<Vec<_>>();
        store.remove(&addr(&gone)).await?;
        assert!(store.get_many(&addr(&gone)).await?.iter().all(Option::is_none));
        assert!(store.get_many(&addr(&kept)).await?.iter().all(Option::is_some));
        Ok(())
    }

    /// B11: a list of a thousand and more is complete and in order, and goes on after any of them: whatever the
    /// store reads at once.
    async fn long_blob_lists_are_complete(trial) {
        let store = trial.blobs().await?;
        let blobs: Vec<Blob> = (0..1100).map(|i| random_blob(i, 20)).collect();
        store.put(&blobs).await?;
        if !store.capabilities().list {
            blobs_listed(&*store).await?;
            return trial.unsupported("list");
        }
        let mut expected: Vec<BlobStat> = blobs.iter().map(Blob::stat).collect();
        expected.sort_by_key(|stat| stat.addr);
        assert_eq!(blobs_listed(&*store).await?, expected);
        for at in [0, 511, 512, 1023, 1024, 1098, 1099] {
            let rest: Vec<BlobStat> = store.list(Some(expected[at].addr)).try_collect().await?;
            assert_eq!(rest, expected[at + 1..], "after the {at}th");
        }
        Ok(())
    }
}
