//! Cases for batches of every size and numbers of every width, with blobs that are all of another length, so
//! that no answer can stand for its neighbour's.

use std::collections::BTreeSet;

use deriva_api::{Blob, BlobStat, ByteRange, CAddr, ErrorKind};

use super::support::{SIZES, check_blob_usage, kind, random_blob, total};

/// Sizes of batches that are written. Few, as a blob may be a file that is synced.
const PUT: [usize; 4] = [65, 257, 301, 400];

/// A blob for each number, each of another length; every fiftieth is long.
fn blobs(range: std::ops::Range<usize>) -> Vec<Blob> {
    let long = |i: usize| if i % 50 == 7 { 70_000 } else { 0 };
    range
        .map(|i| random_blob(i as u64, 1 + i + long(i)))
        .collect()
}

fn addrs(blobs: &[Blob]) -> Vec<CAddr> {
    blobs.iter().map(Blob::addr).collect()
}

crate::case::cases! { $ each_blob_sizes_case, Blobs, Core:
    /// B7: batches of every size are put whole and answered whole, each answer for its own address: around 64, 256,
    /// 300 and 1,000, and looks at ten thousand, whatever the store does at once.
    async fn blob_batches_of_every_size(trial) {
        let store = trial.blobs().await?;
        let all = blobs(0..PUT.iter().sum());
        let mut put = 0;
        for size in PUT {
            store.put(&all[put..put + size]).await?;
            put += size;
            check_blob_usage(&*store, put as u64, total(&all[..put])).await?;
        }
        for size in SIZES {
            let batch = &all[all.len() - size..];
            let stats: Vec<Option<BlobStat>> = batch.iter().map(|blob| Some(blob.stat())).collect();
            assert_eq!(store.stat(&addrs(batch)).await?, stats, "stat of {size}");
            let read = store.get_many(&addrs(batch)).await?;
            assert_eq!(read.len(), size);
            for (at, (read, blob)) in read.iter().zip(batch).enumerate() {
                assert!(read.as_ref() == Some(blob), "blob {at} of {size}");
            }
        }
        // Ten thousand, most of which are not there, so that it costs little.
        let asked: Vec<(CAddr, Option<BlobStat>)> = (0..10_000)
            .map(|i| match i % 7 {
                3 => all.get(i).map(|blob| (blob.addr(), Some(blob.stat()))),
                _ => None,
            }.unwrap_or_else(|| (CAddr::of_blob(format!("absent {i}").as_bytes()), None)))
            .collect();
        let (asked, stats): (Vec<CAddr>, Vec<Option<BlobStat>>) = asked.into_iter().unzip();
        assert_eq!(store.stat(&asked).await?, stats, "stat of ten thousand");
        let read = store.get_many(&asked).await?;
        let read: Vec<Option<BlobStat>> = read.iter().map(|blob| blob.as_ref().map(Blob::stat)).collect();
        assert_eq!(read, stats, "get_many of ten thousand");
        Ok(())
    }

    /// B10: batches of every size are removed whole, with absentees and duplicates among them, and nothing else goes.
    async fn blob_batches_of_every_size_are_removed(trial) {
        let store = trial.blobs().await?;
        let mut left = blobs(0..PUT.iter().sum());
        store.put(&left).await?;
        for size in PUT {
            // From all over, so that no batch is a range of addresses or of what was put together.
            let step = left.len() / size;
            let chosen: BTreeSet<usize> = (0..size).map(|i| i * step).collect();
            let (gone, kept): (Vec<_>, Vec<_>) =
                left.into_iter().enumerate().partition(|(at, _)| chosen.contains(at));
            let gone: Vec<Blob> = gone.into_iter().map(|(_, blob)| blob).collect();
            left = kept.into_iter().map(|(_, blob)| blob).collect();
            let mut batch = addrs(&gone);
            batch.insert(size / 2, CAddr::of_blob(b"absent"));
            batch.insert(size / 3, gone[0].addr());
            store.remove(&batch).await?;
            let read = store.stat(&addrs(&gone)).await?;
            assert_eq!(read, vec![None; size], "removed in a batch of {size}");
            let kept: Vec<Option<BlobStat>> = left.iter().map(|blob| Some(blob.stat())).collect();
            assert_eq!(store.stat(&addrs(&left)).await?, kept, "left by a batch of {size}");
            check_blob_usage(&*store, left.len() as u64, total(&left)).await?;
        }
        Ok(())
    }

    /// B8: offset and length of a range are 64 bits wide: what begins far beyond the end is empty, and what ends there
    /// is the rest.
    async fn ranges_are_64_bits_wide(trial) {
        let store = trial.blobs().await?;
        let powers = [1 << 16, 1 << 31, 1 << 32, 1 << 33, 1 << 48, 1 << 63, u64::MAX - 3];
        for size in [11, 90_000] {
            let blob = random_blob(8, size);
            store.put(std::slice::from_ref(&blob)).await?;
            for power in powers {
                for (offset, len) in [(power, 5), (power + 3, 5), (power + 3, u64::MAX), (power - 1, 4)] {
                    if offset < size as u64 {
                        continue;
                    }
                    let read = store.get_range(blob.addr(), ByteRange::new(offset, len)).await?;
                    assert_eq!(read.as_deref(), Some(b"".as_slice()), "{len} bytes at {offset} of {size}");
                }
                for len in [power, power + 3, power + 2, power - 1] {
                    let read = store.get_range(blob.addr(), ByteRange::new(3, len)).await?;
                    let rest = &blob.bytes()[3..size.min(3 + usize::try_from(len).unwrap_or(size).min(size))];
                    assert!(read.as_deref() == Some(rest), "{len} bytes at 3 of {size}");
                }
            }
        }
        Ok(())
    }

    /// B3: the length that a writer is told to expect is 64 bits wide, and counts also where the address is right.
    async fn expected_lengths_are_64_bits_wide(trial) {
        let store = trial.blobs().await?;
        for size in [10, 90_000] {
            let blob = random_blob(3, size);
            for more in [1, 1 << 16, 1 << 31, 1 << 32, 1 << 63] {
                let expect = BlobStat { addr: blob.addr(), len: blob.len() + more };
                // A writer may notice at once, while it is fed, or in the end.
                let outcome = match store.writer(Some(expect)).await {
                    Ok(mut writer) => match writer.write(blob.bytes().clone()).await {
                        Ok(()) => writer.finish().await.map(drop),
                        Err(error) => Err(error),
                    },
                    Err(error) => Err(error),
                };
                assert_eq!(kind(outcome), Some(ErrorKind::Invalid), "{more} more than {size} bytes");
                assert_eq!(store.get(blob.addr()).await?, None);
            }
        }
        check_blob_usage(&*store, 0, 0).await
    }
}
