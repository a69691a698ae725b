//! Blobs in two tiers: copies are used, bounded, made good when they fail, and never outlive what
//! they copy.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::Layers;
use deriva_api::{Blob, BlobCheck, BlobStore, ByteRange, CAddr, ErrorKind, Evidence};
use deriva_layers::{TieredLayer, Traffic};
use deriva_testkit::{
    CountingLayer, Counts, Damage, FaultLayer, Faults, ManualClock, ModelStore, Operation,
    SplitMix64,
};
use futures::executor::block_on;
use futures::{FutureExt, StreamExt};

use crate::support::{blob, blobs, faulty, kind, opened};

/// Two models, each behind faults, calls of the slow one counted.
struct Bench {
    store: Arc<dyn BlobStore>,
    fast: ModelStore,
    slow: ModelStore,
    fast_faults: Faults,
    slow_faults: Faults,
    slow_calls: Counts,
    traffic: Traffic,
}

fn bench(settings: impl FnOnce(TieredLayer) -> TieredLayer) -> Bench {
    let (fast, slow) = (ModelStore::new(), ModelStore::new());
    let (fast_faults, slow_faults) = (FaultLayer::new(), FaultLayer::new());
    let counting = CountingLayer::new();
    let layer = settings(TieredLayer::new(faulty(&fast_faults, fast.clone())));
    let layers = Layers::new()
        .layer(layer.clone())
        .layer(counting.clone())
        .layer(slow_faults.clone());
    Bench {
        store: blobs(&layers, opened(slow.clone())),
        fast,
        slow,
        fast_faults: fast_faults.faults(),
        slow_faults: slow_faults.faults(),
        slow_calls: counting.counts(),
        traffic: layer.traffic(),
    }
}

impl Bench {
    fn slow_reads(&self) -> u64 {
        let calls = |operation| self.slow_calls.of(operation);
        [
            Operation::BlobGet,
            Operation::BlobGetMany,
            Operation::BlobGetRange,
            Operation::BlobVerify,
        ]
        .into_iter()
        .map(calls)
        .sum()
    }

    fn copied(&self, blob: &Blob) -> bool {
        copied(&self.fast, blob.addr())
    }
}

fn copied(fast: &ModelStore, addr: CAddr) -> bool {
    let read = BlobStore::get(fast, addr).now_or_never();
    read.unwrap().unwrap().is_some()
}

async fn put_slow(slow: &ModelStore, blobs: &[Blob]) {
    BlobStore::put(slow, blobs).await.unwrap();
}

#[test]
fn what_was_put_or_read_once_is_read_from_the_fast_store() {
    block_on(async {
        let bench = bench(|layer| layer);
        let (put, found) = (blob(1, 100), blob(2, 100));
        put_slow(&bench.slow, std::slice::from_ref(&found)).await;
        bench.store.put(std::slice::from_ref(&put)).await.unwrap();
        assert!(bench.copied(&put) && !bench.copied(&found));
        assert_eq!(
            bench.store.get(found.addr()).await.unwrap(),
            Some(found.clone())
        );
        assert_eq!(bench.slow_reads(), 1);

        let addrs = [put.addr(), found.addr(), put.addr()];
        let all = bench.store.get_many(&addrs).await.unwrap();
        assert_eq!(
            all,
            [Some(put.clone()), Some(found.clone()), Some(put.clone())]
        );
        assert_eq!(
            bench.store.get(found.addr()).await.unwrap(),
            Some(found.clone())
        );
        let range = bench
            .store
            .get_range(put.addr(), ByteRange::new(3, 4))
            .await;
        assert_eq!(range.unwrap().unwrap(), put.bytes().slice(3..7));
        assert_eq!(bench.slow_reads(), 1);
        assert_eq!((bench.traffic.hits(), bench.traffic.misses()), (5, 1));
        assert_eq!(bench.traffic.faults(), 0);
    });
}

#[test]
fn a_batch_asks_the_slow_store_only_for_what_is_missing() {
    block_on(async {
        let bench = bench(|layer| layer);
        let all: Vec<Blob> = (0..6).map(|seed| blob(seed, 50)).collect();
        put_slow(&bench.slow, &all).await;
        bench.store.get(all[3].addr()).await.unwrap();
        // A damaged blob in the slow store fails every read of it there; its copy answers.
        bench.slow_faults.damage(all[3].addr(), Damage::FlipBit(0));
        let mut addrs: Vec<CAddr> = all.iter().map(Blob::addr).collect();
        addrs.insert(2, blob(99, 1).addr());
        let mut expected: Vec<_> = all.iter().cloned().map(Some).collect();
        expected.insert(2, None);
        assert_eq!(bench.store.get_many(&addrs).await.unwrap(), expected);
        assert!(all.iter().all(|blob| bench.copied(blob)));
    });
}

#[test]
fn the_slow_store_alone_says_what_is_right() {
    block_on(async {
        let bench = bench(|layer| layer);
        let [hidden, harmless, stale] = [blob(1, 50), blob(2, 50), blob(3, 50)];
        let put = [hidden.clone(), harmless.clone()];
        bench.store.put(&put).await.unwrap();
        put_slow(&bench.fast, std::slice::from_ref(&stale)).await;
        // A whole copy hides the damage from reads; a damaged copy is made good by them.
        bench.slow_faults.damage(hidden.addr(), Damage::FlipBit(0));
        bench
            .fast_faults
            .damage(harmless.addr(), Damage::FlipBit(0));
        let addrs = [hidden.addr(), harmless.addr(), stale.addr()];
        let found = bench.store.verify(&addrs).await.unwrap();
        let right = BlobCheck::Right(Evidence::Remembered);
        assert_eq!(found, [BlobCheck::Damaged, right, BlobCheck::Absent]);
        for blob in put {
            assert_eq!(bench.store.get(blob.addr()).await.unwrap(), Some(blob));
        }
        // A removal takes the copy along, so that a put stores both.
        bench.store.remove(&[hidden.addr()]).await.unwrap();
        assert!(!bench.copied(&hidden));
        bench.slow_faults.clear();
        bench
            .store
            .put(std::slice::from_ref(&hidden))
            .await
            .unwrap();
        assert!(bench.copied(&hidden) && copied(&bench.slow, hidden.addr()));
    });
}

#[test]
fn the_slow_store_alone_says_what_is_there() {
    block_on(async {
        let bench = bench(|layer| layer);
        let stale = blob(1, 10);
        put_slow(&bench.fast, std::slice::from_ref(&stale)).await;
        assert_eq!(bench.store.stat(&[stale.addr()]).await.unwrap(), [None]);
        assert_eq!(bench.store.list(None).count().await, 0);
        assert_eq!(bench.store.usage().await.unwrap().unwrap().blobs, 0);
        // What is put is put there, whatever the fast store holds.
        bench.store.put(std::slice::from_ref(&stale)).await.unwrap();
        assert_eq!(bench.store.usage().await.unwrap().unwrap().blobs, 1);
    });
}

#[test]
fn a_fast_store_that_fails_fails_no_read_and_no_write() {
    block_on(async {
        for fault in ErrorKind::ALL {
            let bench = bench(|layer| layer);
            for operation in Operation::ALL {
                bench.fast_faults.fail_all(*operation, fault);
            }
            let stored = blob(1, 100);
            let addr = stored.addr();
            bench
                .store
                .put(std::slice::from_ref(&stored))
                .await
                .unwrap();
            let mut writer = bench.store.writer(None).await.unwrap();
            writer.write(blob(2, 10).into_bytes()).await.unwrap();
            writer.finish().await.unwrap();
            assert_eq!(bench.store.get(addr).await.unwrap(), Some(stored.clone()));
            let many = bench
                .store
                .get_many(&[addr, blob(3, 1).addr()])
                .await
                .unwrap();
            assert_eq!(many, [Some(stored.clone()), None]);
            let range = bench.store.get_range(addr, ByteRange::ALL).await.unwrap();
            assert_eq!(range.as_ref(), Some(stored.bytes()));
            bench.store.flush().await.unwrap();
            assert!(bench.traffic.faults() >= 5);
        }
    });
}

#[test]
fn a_damaged_copy_is_never_served_and_made_anew() {
    block_on(async {
        for damage in [Damage::FlipBit(77), Damage::Truncate(3)] {
            let bench = bench(|layer| layer);
            let (one, two) = (blob(1, 100), blob(2, 100));
            bench.store.put(&[one.clone(), two.clone()]).await.unwrap();
            bench.fast_faults.damage(one.addr(), damage);
            assert_eq!(
                bench.store.get(one.addr()).await.unwrap(),
                Some(one.clone())
            );
            let many = bench
                .store
                .get_many(&[two.addr(), one.addr()])
                .await
                .unwrap();
            assert_eq!(many, [Some(two), Some(one.clone())]);
            let range = bench
                .store
                .get_range(one.addr(), ByteRange::new(0, 5))
                .await;
            assert_eq!(range.unwrap().unwrap(), one.bytes().slice(..5));
            assert_eq!(bench.traffic.faults(), 3);
            assert_eq!(bench.slow_reads(), 3);
            bench.fast_faults.clear();
            assert_eq!(bench.store.get(one.addr()).await.unwrap(), Some(one));
            assert_eq!(bench.slow_reads(), 3, "there is a new copy");
        }
    });
}

#[test]
fn what_the_slow_store_says_is_told() {
    block_on(async {
        let bench = bench(|layer| layer);
        for operation in [Operation::BlobGet, Operation::BlobPut, Operation::BlobStat] {
            bench.slow_faults.fail_all(operation, ErrorKind::Full);
        }
        let new = blob(1, 10);
        assert_eq!(
            kind(bench.store.get(new.addr()).await),
            Some(ErrorKind::Full)
        );
        let refused = bench.store.put(std::slice::from_ref(&new)).await;
        assert_eq!(kind(refused), Some(ErrorKind::Full));
        assert!(!bench.copied(&new), "no copy of what is not there");
        assert_eq!(kind(bench.store.stat(&[]).await), Some(ErrorKind::Full));
    });
}

#[test]
fn a_removal_clears_the_copy_first() {
    block_on(async {
        let bench = bench(|layer| layer);
        let gone = blob(1, 10);
        bench.store.put(std::slice::from_ref(&gone)).await.unwrap();
        // The fast store cannot: nothing is removed, or the copy would be served for ever.
        bench
            .fast_faults
            .fail_nth(Operation::BlobRemove, 1, ErrorKind::Unavailable);
        let error = bench.store.remove(&[gone.addr()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.advice().is_some());
        assert!(bench.store.stat(&[gone.addr()]).await.unwrap()[0].is_some());
        // Nor when the clearing might not last.
        bench
            .fast_faults
            .fail_nth(Operation::BlobFlush, 1, ErrorKind::Unavailable);
        assert!(bench.store.remove(&[gone.addr()]).await.is_err());
        assert!(bench.store.stat(&[gone.addr()]).await.unwrap()[0].is_some());
        // The slow store dies: the copy is gone already.
        bench
            .slow_faults
            .fail_nth(Operation::BlobRemove, 1, ErrorKind::Internal);
        assert!(bench.store.remove(&[gone.addr()]).await.is_err());
        assert!(!bench.copied(&gone));
        bench.store.remove(&[gone.addr()]).await.unwrap();
        assert_eq!(bench.store.get(gone.addr()).await.unwrap(), None);
    });
}

/// The slow store removes, but its answer is lost: what is read meanwhile is not copied.
#[test]
fn a_removal_with_an_unknown_end_leaves_no_copy_behind() {
    block_on(async {
        let bench = bench(|layer| layer);
        let gone = blob(1, 10);
        bench.store.put(std::slice::from_ref(&gone)).await.unwrap();
        bench.slow_faults.hang(Operation::BlobRemove);
        let addrs = [gone.addr()];
        assert!(bench.store.remove(&addrs).now_or_never().is_none());
        // Dropped halfway, it may still happen: reads go on, copies are not made.
        assert_eq!(
            bench.store.get(gone.addr()).await.unwrap(),
            Some(gone.clone())
        );
        assert!(!bench.copied(&gone));
        BlobStore::remove(&bench.slow, &[gone.addr()])
            .await
            .unwrap();
        assert_eq!(bench.store.get(gone.addr()).await.unwrap(), None);
    });
}

#[test]
fn long_blobs_are_not_copied() {
    block_on(async {
        let bench = bench(|layer| layer.max_blob(100));
        let (short, long) = (blob(1, 100), blob(2, 101));
        bench
            .store
            .put(&[short.clone(), long.clone()])
            .await
            .unwrap();
        for blob in [&short, &long] {
            let mut writer = bench.store.writer(None).await.unwrap();
            writer.write(blob.bytes().clone()).await.unwrap();
            assert_eq!(writer.finish().await.unwrap(), blob.stat());
            assert_eq!(
                bench.store.get(blob.addr()).await.unwrap().as_ref(),
                Some(blob)
            );
        }
        assert!(bench.copied(&short) && !bench.copied(&long));
        // The long one. Whoever puts asks `verify` for damage; the layer does not look again.
        assert_eq!(bench.slow_reads(), 1);
    });
}

#[test]
fn what_was_written_in_pieces_is_copied() {
    block_on(async {
        let bench = bench(|layer| layer);
        let whole = blob(1, 1000);
        let mut writer = bench.store.writer(None).await.unwrap();
        for at in (0..1000).step_by(100) {
            let piece = whole.bytes().slice(at..at + 100);
            writer.write(piece).await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap(), whole.stat());
        assert!(bench.copied(&whole));
    });
}

#[test]
fn a_part_of_a_short_blob_copies_all_of_it() {
    block_on(async {
        let bench = bench(|layer| layer.max_blob(100));
        let (short, long) = (blob(1, 100), blob(2, 1000));
        put_slow(&bench.slow, &[short.clone(), long.clone()]).await;
        let part = async |blob: &Blob, offset, len| {
            let range = ByteRange::new(offset, len);
            let part = bench.store.get_range(blob.addr(), range).await.unwrap();
            let within = range.within(blob.len());
            let expected = blob
                .bytes()
                .slice(within.start as usize..within.end as usize);
            assert_eq!(part, Some(expected));
        };
        for (offset, len) in [(10, 5), (0, u64::MAX), (99, 9), (u64::MAX, 1), (100, 1)] {
            part(&short, offset, len).await;
            part(&long, offset, len).await;
        }
        assert!(bench.copied(&short) && !bench.copied(&long));
        assert_eq!(bench.slow_calls.of(Operation::BlobGet), 1);
        // Beyond the limit there is nothing to look up.
        bench.slow_calls.reset();
        part(&long, 500, 5).await;
        assert_eq!(bench.slow_calls.of(Operation::BlobStat), 0);
        let absent = bench
            .store
            .get_range(blob(3, 1).addr(), ByteRange::ALL)
            .await;
        assert_eq!(absent.unwrap(), None);
    });
}

#[test]
fn copies_stay_within_the_capacity() {
    block_on(async {
        const CAPACITY: u64 = 100_000;
        let bench = bench(|layer| layer.capacity(CAPACITY));
        // What lay in the fast store before counts too.
        let before: Vec<Blob> = (0..200u64)
            .map(|seed| Blob::new(SplitMix64::new(seed).bytes(1000)))
            .collect();
        put_slow(&bench.slow, &before).await;
        put_slow(&bench.fast, &before).await;
        for seed in 1000..1300u64 {
            let new = Blob::new(SplitMix64::new(seed).bytes(1000));
            bench.store.put(std::slice::from_ref(&new)).await.unwrap();
            let usage = BlobStore::usage(&bench.fast).await.unwrap().unwrap();
            assert!(usage.bytes + 160 * usage.blobs <= CAPACITY, "{usage:?}");
        }
        let usage = BlobStore::usage(&bench.fast).await.unwrap().unwrap();
        assert!(usage.blobs > 50, "it is used as far as it goes: {usage:?}");
        for blob in &before {
            assert_eq!(
                bench.store.get(blob.addr()).await.unwrap().as_ref(),
                Some(blob)
            );
        }
    });
}

#[test]
fn an_unfinished_writer_leaves_no_copy() {
    block_on(async {
        let bench = bench(|layer| layer);
        let (one, two) = (blob(1, 10), blob(2, 10));
        let begin = async || {
            let mut writer = bench.store.writer(None).await.unwrap();
            writer.write(one.bytes().clone()).await.unwrap();
            writer
        };
        drop(begin().await);
        begin().await.abort().await.unwrap();
        bench
            .slow_faults
            .fail_nth(Operation::BlobFinish, 1, ErrorKind::Full);
        assert_eq!(kind(begin().await.finish().await), Some(ErrorKind::Full));
        let mut wrong = bench.store.writer(Some(two.stat())).await.unwrap();
        wrong.write(one.bytes().clone()).await.unwrap();
        assert_eq!(kind(wrong.finish().await), Some(ErrorKind::Invalid));
        assert!(!bench.copied(&one) && !bench.copied(&two));
        assert_eq!(bench.store.list(None).count().await, 0);
    });
}

/// A piece whose call was given up may be in one tier and not in the other.
#[test]
fn a_writer_whose_call_was_given_up_makes_no_copy() {
    block_on(async {
        let bench = bench(|layer| layer);
        let clock = ManualClock::new();
        let mut writer = bench.store.writer(None).await.unwrap();
        bench.slow_faults.delay(
            Operation::BlobWrite,
            Duration::from_secs(1),
            Arc::new(clock.clone()),
        );
        let given_up = writer.write(blob(1, 10).into_bytes()).now_or_never();
        assert!(given_up.is_none());
        bench.slow_faults.clear();
        writer.write(blob(2, 10).into_bytes()).await.unwrap();
        let stat = writer.finish().await.unwrap();
        assert_eq!(bench.store.stat(&[stat.addr]).await.unwrap(), [Some(stat)]);
        let usage = BlobStore::usage(&bench.fast).await.unwrap().unwrap();
        assert_eq!(usage.blobs, 0);
    });
}

/// Threads put, read and remove the same few blobs; afterwards no copy is left of what is gone.
#[test]
fn no_copy_outlives_its_blob_whatever_the_order() {
    for round in 0..20u64 {
        let bench = bench(|layer| layer.capacity(3000));
        let all: Vec<Blob> = (0..4).map(|seed| blob(seed, 100)).collect();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (store, all) = (&bench.store, &all);
                scope.spawn(move || {
                    let mut random = SplitMix64::new(round * 100 + thread);
                    for _ in 0..200 {
                        let one = &all[(random.next_u64() % 4) as usize];
                        let stored = std::slice::from_ref(one);
                        block_on(async {
                            match random.next_u64() % 4 {
                                0 => store.put(stored).await.unwrap(),
                                1 => store.remove(&[one.addr()]).await.unwrap(),
                                2 => drop(store.get(one.addr()).await.unwrap()),
                                _ => drop(store.get_many(&[one.addr()]).await.unwrap()),
                            }
                        });
                    }
                });
            }
        });
        for blob in &all {
            let there = copied(&bench.slow, blob.addr());
            assert!(there || !bench.copied(blob), "a copy without a blob");
        }
    }
}
