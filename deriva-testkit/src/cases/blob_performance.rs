//! What a blob store's calls cost. These cases report figures, and check that the answers are right.

use deriva_api::{Blob, BlobHasher, ByteRange, CAddr};

use super::support::random_blob;

crate::case::cases! { $ each_blob_performance_case, Blobs, Performance:
    /// B12: how long small puts, reads and looks take, alone and in batches; a look reads no body, so it
    /// takes no longer for large blobs.
    async fn small_blobs_are_timed(trial) {
        let store = trial.blobs().await?;
        let blobs: Vec<Blob> = (0..2000).map(|i| random_blob(i, 1024)).collect();
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        trial.time("put, 1000 blobs of 1 KiB in a batch", 1000, store.put(&blobs[1000..])).await?;
        trial.time("put, a blob of 1 KiB at a time", 50, async {
            for blob in &blobs[..50] {
                store.put(std::slice::from_ref(blob)).await?;
            }
            Ok(())
        }).await?;
        let read = trial.time("get_many, 1000 blobs", 1000, store.get_many(&addrs[1000..])).await?;
        assert!(read.into_iter().flatten().eq(blobs[1000..].iter().cloned()));
        trial.time("get, one at a time", 1000, async {
            for addr in &addrs[1000..] {
                store.get(*addr).await?;
            }
            Ok(())
        }).await?;
        let large = random_blob(1, 8 << 20);
        store.put(std::slice::from_ref(&large)).await?;
        trial.time("stat, a small blob", 1, store.stat(&addrs[1000..1001])).await?;
        let stat = trial.time("stat, a blob of 8 MiB", 1, store.stat(&[large.addr()])).await?;
        assert_eq!(stat, [Some(large.stat())]);
        Ok(())
    }

    /// B18: a blob of 256 MiB goes through a writer in pieces of a mebibyte; address and parts are right,
    /// and the time that it took is reported. Its memory is measured where it has a process of its own.
    async fn a_huge_blob_is_timed(trial) {
        const PIECES: u64 = 256;
        let store = trial.blobs().await?;
        let piece = random_blob(18, 1 << 20).into_bytes();
        let mut expected = BlobHasher::new();
        (0..PIECES).for_each(|_| expected.update(&piece));
        let stat = trial.time("write, a mebibyte", PIECES, async {
            let mut writer = store.writer(None).await?;
            for _ in 0..PIECES {
                writer.write(piece.clone()).await?;
            }
            writer.finish().await
        }).await?;
        assert_eq!(stat, expected.finish());
        let range = ByteRange::new((PIECES / 2) << 20, 1 << 20);
        let read = trial.time("get_range, the first mebibyte read", 1, store.get_range(stat.addr, range)).await?;
        assert!(read.is_some_and(|read| read == piece));
        store.remove(&[stat.addr]).await
    }
}
