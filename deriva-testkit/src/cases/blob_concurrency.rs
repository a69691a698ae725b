//! Cases for many callers of a blob store at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use deriva_api::{Blob, BlobCheck, BlobStore, ByteRange, CAddr, Result};

use super::support::{
    blobs_listed, check_blob_usage, in_every_runtime, on_threads, random_blob, small_and_large,
    total,
};
use crate::SplitMix64;
use crate::linear::History;

#[derive(Clone, Copy, Debug)]
enum Call {
    Put,
    Remove,
    Get,
    Stat,
    Range,
}

async fn call(store: &dyn BlobStore, blob: &Blob, call: Call) -> Result<Option<bool>> {
    let addr = blob.addr();
    match call {
        Call::Put => store.put(std::slice::from_ref(blob)).await.map(|()| None),
        Call::Remove => store.remove(&[addr]).await.map(|()| None),
        Call::Get => Ok(Some(store.get(addr).await?.is_some())),
        Call::Stat => Ok(Some(store.stat(&[addr]).await?[0].is_some())),
        Call::Range => Ok(Some(
            store.get_range(addr, ByteRange::new(3, 3)).await?.is_some(),
        )),
    }
}

/// Says that a thread is done also when it panics.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

crate::case::cases! { $ each_blob_concurrency_case, Blobs, Concurrency:
    /// C1: calls on one blob, from several threads at once, answer as if they had come one after the
    /// other.
    async fn a_blob_is_linearizable(trial) {
        let store = trial.blobs().await?;
        for round in 0..12 {
            let blob = random_blob(round, if round % 3 == 0 { 80_000 } else { 90 });
            let history = History::new();
            on_threads(4, async |thread| {
                let mut random = SplitMix64::new(round * 10 + thread as u64);
                for _ in 0..12 {
                    let next = match random.below(8) {
                        0 | 1 => Call::Put,
                        2 | 3 => Call::Remove,
                        4 => Call::Stat,
                        5 => Call::Range,
                        _ => Call::Get,
                    };
                    let answer = call(&*store, &blob, next);
                    history.call(next, answer).await?;
                }
                Ok(())
            })?;
            history.check(false, |there, call| match call {
                Call::Put => { *there = true; None }
                Call::Remove => { *there = false; None }
                Call::Get | Call::Stat | Call::Range => Some(*there),
            });
        }
        Ok(())
    }

    /// B9: a read while others write and remove sees the whole blob or none.
    async fn reads_see_the_whole_blob_or_none(trial) {
        let store = trial.blobs().await?;
        for size in [100, 200_000] {
            let blob = random_blob(9, size);
            let done = AtomicBool::new(false);
            on_threads(2, async |thread| {
                if thread == 0 {
                    let _done = Ends(&done);
                    for _ in 0..30 {
                        store.put(std::slice::from_ref(&blob)).await?;
                        store.remove(&[blob.addr()]).await?;
                    }
                    return Ok(());
                }
                while !done.load(Ordering::Acquire) {
                    if let Some(read) = store.get(blob.addr()).await? {
                        assert_eq!(read, blob);
                    }
                    let range = store.get_range(blob.addr(), ByteRange::ALL).await?;
                    assert!(range.is_none_or(|range| range == blob.bytes()));
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// B19: of a blob that others put and remove `verify` tells that it is right or absent, and never damage.
    async fn verify_beside_writers_meets_no_damage(trial) {
        const TIMES: u64 = 20;
        let store = trial.blobs().await?;
        for size in [100, 200_000] {
            let blob = random_blob(19, size);
            let (written, done) = (AtomicU64::new(0), AtomicBool::new(false));
            let stopped = AtomicBool::new(false);
            on_threads(2, async |thread| {
                if thread == 0 {
                    let _stopped = Ends(&stopped);
                    while !done.load(Ordering::Acquire) {
                        store.put(std::slice::from_ref(&blob)).await?;
                        store.remove(&[blob.addr()]).await?;
                        written.fetch_add(1, Ordering::Release);
                    }
                    return Ok(());
                }
                let _done = Ends(&done);
                let mut asked = 0;
                while asked < TIMES || written.load(Ordering::Acquire) < TIMES {
                    let told = store.verify(&[blob.addr()]).await?;
                    assert_ne!(told, [BlobCheck::Damaged], "after {asked} answers");
                    asked += 1;
                    // Where the writer failed, that is told.
                    if stopped.load(Ordering::Acquire) {
                        break;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// C2: many writers of overlapping batches leave each blob once.
    async fn writers_of_the_same_blobs_agree(trial) {
        let store = trial.blobs().await?;
        let blobs = small_and_large(40);
        on_threads(8, async |thread| {
            let mut batch = blobs.clone();
            batch.rotate_left(thread * 5);
            for part in batch.chunks(7) {
                store.put(part).await?;
            }
            Ok(())
        })?;
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        assert!(store.get_many(&addrs).await?.into_iter().flatten().eq(blobs.iter().cloned()));
        check_blob_usage(&*store, 40, total(&blobs)).await
    }

    /// C2: many who stream one large blob at once all succeed, and it is there once.
    async fn streams_of_one_blob_agree(trial) {
        let store = trial.blobs().await?;
        let blob = random_blob(22, 700_000);
        on_threads(6, async |thread| {
            let mut writer = store.writer(None).await?;
            for piece in blob.bytes().chunks(50_000 + thread * 1000) {
                writer.write(blob.bytes().slice_ref(piece)).await?;
            }
            assert_eq!(writer.finish().await?, blob.stat());
            assert_eq!(store.get(blob.addr()).await?.as_ref(), Some(&blob));
            Ok(())
        })?;
        check_blob_usage(&*store, 1, blob.len()).await
    }

    /// C3: a blob in hand stays whole when it is removed from the store.
    async fn a_blob_in_hand_outlives_its_removal(trial) {
        let store = trial.blobs().await?;
        for blob in [random_blob(31, 100), random_blob(32, 3_000_000)] {
            store.put(std::slice::from_ref(&blob)).await?;
            let held = store.get(blob.addr()).await?;
            let range = store.get_range(blob.addr(), ByteRange::ALL).await?;
            store.remove(&[blob.addr()]).await?;
            store.flush().await?;
            assert_eq!(held.as_ref(), Some(&blob));
            assert!(range.is_some_and(|range| range == blob.bytes()));
            assert_eq!(store.get(blob.addr()).await?, None);
        }
        Ok(())
    }

    /// C5: the store works in any runtime: none, and each flavour of tokio.
    async fn blobs_work_in_any_runtime(trial) {
        let store = trial.blobs().await?;
        in_every_runtime(async |seed| {
            for blob in [random_blob(seed, 100), random_blob(seed, 100_000)] {
                store.put(std::slice::from_ref(&blob)).await?;
                assert_eq!(store.get(blob.addr()).await?.as_ref(), Some(&blob));
                store.remove(&[blob.addr()]).await?;
                let mut writer = store.writer(None).await?;
                writer.write(blob.bytes().clone()).await?;
                assert_eq!(writer.finish().await?, blob.stat());
                assert_eq!(store.get_many(&[blob.addr()]).await?, [Some(blob)]);
            }
            blobs_listed(&*store).await?;
            store.flush().await
        })
    }
}
