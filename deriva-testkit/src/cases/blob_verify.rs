//! Cases for what a blob store says of the bytes that it holds.

use deriva_api::{Blob, BlobCheck, BlobStore, CAddr, Result};

use super::support::{SIZES, blobs_listed, check_blob_usage, random_blob, total};

/// What is told of each, without the evidence.
async fn told(store: &dyn BlobStore, addrs: &[CAddr]) -> Result<Vec<Told>> {
    let found = store.verify(addrs).await?;
    Ok(found.into_iter().map(Told::of).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Absent,
    Damaged,
    Right,
}

impl Told {
    fn of(check: BlobCheck) -> Self {
        match check {
            BlobCheck::Absent => Self::Absent,
            BlobCheck::Damaged => Self::Damaged,
            BlobCheck::Right(_) => Self::Right,
        }
    }
}

/// Every fiftieth is long.
fn blobs(count: u64) -> Vec<Blob> {
    let long = |i: u64| if i % 50 == 7 { 70_000 } else { 0 };
    (0..count)
        .map(|i| random_blob(i, (i + long(i)) as usize))
        .collect()
}

crate::case::cases! { $ each_blob_verify_case, Blobs, Core:
    /// B19: `verify` tells of each address, in the order asked, with duplicates and absentees, that the blob is there
    /// and right, or absent, however often it is asked; it changes nothing, and asked for nothing answers nothing.
    async fn verify_tells_what_is_there(trial) {
        let store = trial.blobs().await?;
        assert_eq!(store.verify(&[]).await?, []);
        let there = [random_blob(1, 0), random_blob(2, 90), random_blob(3, 20_000), random_blob(4, 3_000_000)];
        let empty = there[0].addr();
        assert_eq!(told(&*store, &[empty]).await?, [Told::Absent], "the empty blob");
        store.put(&there).await?;
        let absent = random_blob(5, 90).addr();
        let asked = [
            there[3].addr(), absent, there[1].addr(), there[1].addr(), empty, absent, absent, there[3].addr(),
            there[2].addr(),
        ];
        let expected = asked.map(|addr| match addr == absent {
            true => Told::Absent,
            false => Told::Right,
        });
        let listed = blobs_listed(&*store).await?;
        for round in 0..3 {
            assert_eq!(told(&*store, &asked).await?, expected, "time {round}");
        }
        assert_eq!(blobs_listed(&*store).await?, listed);
        check_blob_usage(&*store, 4, total(&there)).await?;
        assert_eq!(store.get_many(&[there[1].addr(), absent]).await?, [Some(there[1].clone()), None]);
        Ok(())
    }

    /// B19: batches of every size are verified whole, each answer for its own address: around 64, 256, 300 and 1,000,
    /// and ten thousand, most of which are not there.
    async fn batches_of_every_size_are_verified(trial) {
        let store = trial.blobs().await?;
        let all = blobs(400);
        store.put(&all).await?;
        // Every third is not there.
        let asked = |size: usize| (0..size).map(|i| match i % 3 {
            1 => (CAddr::of_blob(format!("absent {i}").as_bytes()), Told::Absent),
            _ => (all[i % all.len()].addr(), Told::Right),
        });
        for size in SIZES {
            let (addrs, expected): (Vec<CAddr>, Vec<Told>) = asked(size).unzip();
            assert_eq!(told(&*store, &addrs).await?, expected, "verify of {size}");
        }
        let rare = |i: u64| match i % 97 {
            13 => (all[i as usize % all.len()].addr(), Told::Right),
            _ => (CAddr::of_blob(&i.to_le_bytes()), Told::Absent),
        };
        let (addrs, expected): (Vec<CAddr>, Vec<Told>) = (0..10_000).map(rare).unzip();
        assert_eq!(told(&*store, &addrs).await?, expected, "verify of ten thousand");
        Ok(())
    }

    /// B19: `verify` follows what is put and removed, whatever it told before.
    async fn verify_follows_puts_and_removals(trial) {
        let store = trial.blobs().await?;
        for blob in [random_blob(10, 70), random_blob(11, 150_000)] {
            let addr = blob.addr();
            for round in 0..3 {
                assert_eq!(told(&*store, &[addr]).await?, [Told::Absent], "before put {round}");
                match round {
                    1 => {
                        let mut writer = store.writer(Some(blob.stat())).await?;
                        writer.write(blob.bytes().clone()).await?;
                        assert_eq!(told(&*store, &[addr]).await?, [Told::Absent], "half written");
                        writer.finish().await?;
                    }
                    _ => store.put(std::slice::from_ref(&blob)).await?,
                }
                assert_eq!(told(&*store, &[addr, addr]).await?, [Told::Right; 2], "after put {round}");
                store.remove(&[addr]).await?;
            }
        }
        Ok(())
    }
}
