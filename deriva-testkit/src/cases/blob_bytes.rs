//! Cases for single blobs: bytes, ranges, writers.

use bytes::Bytes;
use deriva_api::{Blob, BlobStore, ByteRange, ErrorKind, Result};

use super::counted::Counted;
use super::support::{check_blob_usage, kind, random_blob};

const SIZES: [usize; 22] = [
    0,
    1,
    31,
    32,
    33,
    1023,
    1024,
    1025,
    4095,
    4096,
    4097,
    16_383,
    16_384,
    16_385,
    32_767,
    32_768,
    32_769,
    65_535,
    65_536,
    65_537,
    1 << 20,
    (4 << 20) + 1,
];

async fn write(store: &dyn BlobStore, bytes: &Bytes, piece: usize) -> Result<deriva_api::BlobStat> {
    let mut writer = store.writer(None).await?;
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + piece);
        writer.write(bytes.slice(at..end)).await?;
        at = end;
    }
    writer.finish().await
}

crate::case::cases! { $ each_blob_bytes_case, Blobs, Core:
    /// B1: blobs of every size come back as they went in, also around chunk and file thresholds.
    async fn blobs_of_every_size_round_trip(trial) {
        let store = trial.blobs().await?;
        for (seed, size) in (0..).zip(SIZES) {
            let blob = random_blob(seed, size);
            store.put(std::slice::from_ref(&blob)).await?;
            assert_eq!(store.get(blob.addr()).await?.as_ref(), Some(&blob), "{size} bytes");
            assert_eq!(store.stat(&[blob.addr()]).await?, [Some(blob.stat())]);
        }
        Ok(())
    }

    /// B1: one blob of 64 MiB goes through a writer and comes back, whole and in part.
    async fn a_large_blob_round_trips(trial) {
        let store = trial.blobs().await?;
        let random = random_blob(64, 1 << 20).into_bytes();
        let piece = |nth: u8| Bytes::from([&[nth; 5], &random[5..]].concat());
        let mut writer = store.writer(None).await?;
        for nth in 0..64 {
            writer.write(piece(nth)).await?;
        }
        let stat = writer.finish().await?;
        assert_eq!(stat.len, 64 << 20);
        let read = store.get_range(stat.addr, ByteRange::new((63 << 20) - 5, 10)).await?;
        let expected = [&random[random.len() - 5..], &[63; 5]].concat();
        assert_eq!(read.as_deref(), Some(expected.as_slice()));
        assert_eq!(store.get(stat.addr).await?.map(|blob| blob.stat()), Some(stat));
        Ok(())
    }

    /// B2: the empty blob is a blob: absent until it is put, then there, listed and counted.
    async fn the_empty_blob_is_a_blob(trial) {
        let store = trial.blobs().await?;
        let empty = Blob::new("");
        assert_eq!(store.get(empty.addr()).await?, None);
        store.put(std::slice::from_ref(&empty)).await?;
        assert_eq!(store.get(empty.addr()).await?, Some(empty.clone()));
        assert_eq!(store.get_range(empty.addr(), ByteRange::ALL).await?, Some(Bytes::new()));
        check_blob_usage(&*store, 1, 0).await?;
        store.remove(&[empty.addr()]).await?;
        let stat = store.writer(None).await?.finish().await?;
        assert_eq!(stat, empty.stat());
        check_blob_usage(&*store, 1, 0).await
    }

    /// B3: the address does not depend on how the writer was fed, and is that of `put`.
    async fn pieces_do_not_change_the_address(trial) {
        let store = trial.blobs().await?;
        for size in [1, 5000, 300_000] {
            let blob = random_blob(3, size);
            for piece in [size.div_ceil(700), 1023, size] {
                let stat = write(&*store, blob.bytes(), piece).await?;
                assert_eq!(stat, blob.stat(), "{size} bytes in pieces of {piece}");
                assert_eq!(store.get(stat.addr).await?.as_ref(), Some(&blob));
                store.remove(&[stat.addr]).await?;
            }
            store.put(std::slice::from_ref(&blob)).await?;
            assert_eq!(write(&*store, blob.bytes(), 777).await?, blob.stat());
            check_blob_usage(&*store, 1, size as u64).await?;
            store.remove(&[blob.addr()]).await?;
        }
        Ok(())
    }

    /// B3: a writer that was told what to expect takes exactly that, and else fails with `Invalid`
    /// and stores nothing.
    async fn a_writer_holds_to_what_is_expected(trial) {
        let store = trial.blobs().await?;
        for size in [10, 200_000] {
            let (wanted, other) = (random_blob(1, size), random_blob(2, size));
            for bytes in [other.bytes().clone(), wanted.bytes().slice(1..), Bytes::new()] {
                let mut writer = store.writer(Some(wanted.stat())).await?;
                // A writer may notice while it is fed.
                let outcome = match writer.write(bytes).await {
                    Ok(()) => writer.finish().await.map(drop),
                    Err(error) => Err(error),
                };
                assert_eq!(kind(outcome), Some(ErrorKind::Invalid));
                check_blob_usage(&*store, 0, 0).await?;
            }
            let mut writer = store.writer(Some(wanted.stat())).await?;
            writer.write(wanted.bytes().clone()).await?;
            assert_eq!(writer.finish().await?, wanted.stat());
            assert_eq!(store.get(wanted.addr()).await?.as_ref(), Some(&wanted));
            assert_eq!(store.get(other.addr()).await?, None);
            store.remove(&[wanted.addr()]).await?;
        }
        Ok(())
    }

    /// B5: an aborted or dropped writer leaves nothing that can be seen, listed or counted.
    async fn an_unfinished_writer_leaves_nothing(trial) {
        let store = trial.blobs().await?;
        for size in [10, 300_000] {
            let blob = random_blob(5, size);
            let mut dropped = store.writer(None).await?;
            dropped.write(blob.bytes().clone()).await?;
            drop(dropped);
            let mut aborted = store.writer(None).await?;
            aborted.write(blob.bytes().clone()).await?;
            aborted.abort().await?;
            assert_eq!(store.get(blob.addr()).await?, None);
            assert_eq!(super::support::blobs_listed(&*store).await?, []);
            check_blob_usage(&*store, 0, 0).await?;
        }
        Ok(())
    }

    /// B6: what is absent is `None` for get, range and stat, and can be removed.
    async fn absent_is_none(trial) {
        let store = trial.blobs().await?;
        let blob = random_blob(6, 100);
        let addr = blob.addr();
        assert_eq!(store.get(addr).await?, None);
        assert_eq!(store.get_many(&[addr]).await?, [None]);
        assert_eq!(store.get_range(addr, ByteRange::ALL).await?, None);
        assert_eq!(store.stat(&[addr]).await?, [None]);
        store.remove(&[addr]).await?;
        check_blob_usage(&*store, 0, 0).await
    }

    /// B8: a range is what a slice of the whole blob would be: whole, empty, past the end,
    /// overflowing, and over the edges of chunks.
    async fn ranges_are_slices(trial) {
        let store = trial.blobs().await?;
        for size in [0u64, 1, 1024, 100_000, (1 << 20) + 7] {
            let blob = random_blob(8, size as usize);
            store.put(std::slice::from_ref(&blob)).await?;
            let edges = [0, 1, 1023, 1024, 1025, 65_535, 65_536, size.saturating_sub(1), size, size + 1, u64::MAX];
            for offset in edges {
                for len in edges {
                    let range = ByteRange::new(offset, len);
                    let within = range.within(size);
                    let expected = blob.bytes().slice(within.start as usize..within.end as usize);
                    let read = store.get_range(blob.addr(), range).await?;
                    assert!(read == Some(expected), "{range:?} of {size} bytes");
                }
            }
        }
        Ok(())
    }

    /// B17: hostile bytes are bytes: zeros, ones, text that looks like keys, addresses.
    async fn hostile_bytes_round_trip(trial) {
        let store = trial.blobs().await?;
        let key = Blob::new("x").addr();
        let hostile = [
            Bytes::from(vec![0; 70_000]),
            Bytes::from(vec![0xff; 70_000]),
            Bytes::from_static(b"blobs/"),
            Bytes::from_static(b"../../etc/passwd\0"),
            Bytes::copy_from_slice(key.as_bytes()),
            Bytes::from([b"b".as_slice(), key.as_bytes()].concat()),
            Bytes::from(vec![b'a'; 1 << 20]),
        ];
        for bytes in hostile {
            let blob = Blob::new(bytes);
            store.put(std::slice::from_ref(&blob)).await?;
            assert_eq!(store.get(blob.addr()).await?, Some(blob));
        }
        Ok(())
    }

    /// B3: empty pieces change nothing, and a writer that gets nothing makes the empty blob.
    async fn empty_pieces_change_nothing(trial) {
        let store = trial.blobs().await?;
        let blob = random_blob(33, 3000);
        let mut writer = store.writer(None).await?;
        for piece in [&[], &blob.bytes()[..1000], &[], &blob.bytes()[1000..], &[]] {
            writer.write(Bytes::copy_from_slice(piece)).await?;
        }
        assert_eq!(writer.finish().await?, blob.stat());
        assert_eq!(store.get(blob.addr()).await?, Some(blob));
        let mut writer = store.writer(Some(Blob::new("").stat())).await?;
        writer.write(Bytes::new()).await?;
        assert_eq!(writer.finish().await?, Blob::new("").stat());
        Ok(())
    }

    /// B3: writers that are fed by turns do not mix their bytes.
    async fn writers_do_not_mix(trial) {
        let store = trial.blobs().await?;
        let blobs = [random_blob(34, 200_000), random_blob(35, 200_000), random_blob(36, 900)];
        let mut writers = Vec::new();
        for _ in &blobs {
            writers.push(store.writer(None).await?);
        }
        for at in (0..200_000).step_by(40_000) {
            for (writer, blob) in writers.iter_mut().zip(&blobs) {
                let len = blob.bytes().len();
                writer.write(blob.bytes().slice(len.min(at)..len.min(at + 40_000))).await?;
            }
        }
        for (writer, blob) in writers.into_iter().zip(blobs) {
            assert_eq!(writer.finish().await?, blob.stat());
            assert_eq!(store.get(blob.addr()).await?, Some(blob));
        }
        Ok(())
    }

    /// B12: stat tells what is there and how long it is, as get does, for every size.
    async fn stat_agrees_with_get(trial) {
        let store = trial.blobs().await?;
        for size in SIZES {
            let blob = random_blob(12, size);
            assert_eq!(store.stat(&[blob.addr()]).await?, [None]);
            store.put(std::slice::from_ref(&blob)).await?;
            assert_eq!(store.stat(&[blob.addr(), blob.addr()]).await?, [Some(blob.stat()); 2]);
            store.remove(&[blob.addr()]).await?;
            assert_eq!(store.stat(&[blob.addr()]).await?, [None]);
        }
        Ok(())
    }

    /// B1: a store prints itself in one line, so that logs can name it.
    async fn a_blob_store_prints_itself(trial) {
        let store = trial.blobs().await?;
        let printed = store.to_string();
        assert!(!printed.is_empty() && !printed.contains('\n'), "{printed:?}");
        assert_eq!(store.to_string(), printed);
        Ok(())
    }

    /// B20: `counters` gives the same counters at every call, and what they count only rises.
    async fn blob_counters_stay_and_rise(trial) {
        let store = trial.blobs().await?;
        let mut before = Counted::of(store.counters());
        for seed in 0..3 {
            let blob = random_blob(seed, 3000);
            store.put(std::slice::from_ref(&blob)).await?;
            store.get(blob.addr()).await?;
            let now = Counted::of(store.counters());
            assert!(before.goes_on_as(&now), "{before:?} and then {now:?}");
            before = now;
        }
        Ok(())
    }
}
