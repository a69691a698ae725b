//! Cases for damage to the files of a closed blob store.

use deriva_api::{Blob, BlobCheck, CAddr, ErrorKind, Result};

use super::disk::{Disk, Harm};
use super::support::random_blob;
use crate::Fixture;
use crate::trial::Trial;

/// Small enough for a row, of middle size, and large enough for a file of its own.
const SIZES: [usize; 4] = [100, 5000, 20_000, 300_000];

/// A closed store with a blob of each size; none where it cannot be damaged.
async fn closed(trial: &Trial<dyn Fixture>) -> Result<Option<(Disk, Vec<Blob>)>> {
    let store = trial.blobs().await?;
    let Some(folder) = trial.damageable() else {
        return Ok(None);
    };
    let blobs: Vec<Blob> = (50..)
        .zip(SIZES)
        .map(|(seed, size)| random_blob(seed, size))
        .collect();
    store.put(&blobs).await?;
    store.flush().await?;
    drop(store);
    // What an opening tidies up is done before anything is damaged.
    trial.blobs().await?.flush().await?;
    Ok(Some((Disk::read(&folder)?, blobs)))
}

/// What a read of a damaged store came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Right,
    Absent,
    Refused(ErrorKind),
}

/// Opens the damaged store and reads a blob in every way. Panics when bytes are wrong.
async fn read(trial: &Trial<dyn Fixture>, blob: &Blob) -> Found {
    let refused = |error: deriva_api::Error| Found::Refused(error.kind());
    let store = match trial.blobs().await {
        Ok(store) => store,
        Err(error) => return refused(error),
    };
    for at in [0, blob.len() / 2, blob.len() - 1] {
        let range = store.get_range(blob.addr(), (at..at + 1).into()).await;
        if let Ok(Some(byte)) = range {
            assert_eq!(
                byte[..],
                blob.bytes()[at as usize..][..1],
                "a wrong byte was served"
            );
        }
    }
    match store.get(blob.addr()).await {
        Ok(Some(read)) => {
            assert!(read == *blob, "wrong bytes were served");
            Found::Right
        }
        Ok(None) => Found::Absent,
        Err(error) => refused(error),
    }
}

crate::case::cases! { $ each_blob_damage_case, Blobs, Durability, deadly:
    /// B15: where one bit of a stored blob is flipped on the disk, in any place where its bytes lie, reading
    /// it is `Corrupt`, or right where another copy is there; never wrong bytes, and never absent.
    async fn a_flipped_bit_is_corrupt(trial) {
        let Some((disk, blobs)) = closed(trial).await? else {
            return trial.unsupported("damage");
        };
        let mut met = 0;
        for blob in &blobs {
            // The ends and the middle: first and last bytes are where headers and padding begin.
            for part in [0, blob.bytes().len() / 2, blob.bytes().len() - 32] {
                for (file, at) in disk.find(&blob.bytes()[part..part + 32]) {
                    for bit in [at, at + 31] {
                        disk.harm(file, Harm::Flip(bit))?;
                        let found = read(trial, blob).await;
                        let kept = matches!(found, Found::Right | Found::Refused(ErrorKind::Corrupt));
                        let path = &disk.files[file].0;
                        assert!(kept, "{found:?}: {} bytes, byte {bit} of {}", blob.len(), path.display());
                        met += 1;
                    }
                }
            }
        }
        match met {
            // Encoded, so that the bytes of a blob are nowhere to be found.
            0 => trial.unsupported("finding the bytes of a blob"),
            _ => Ok(()),
        }
    }

    /// B19: damage is an answer of `verify`, and fails nothing: where one bit of a stored blob is flipped on the disk,
    /// it calls damaged what reading finds `Corrupt`, right what reading finds right, and changes nothing.
    async fn damage_is_an_answer_of_verify(trial) {
        let Some((disk, blobs)) = closed(trial).await? else {
            return trial.unsupported("damage");
        };
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        let mut met = 0;
        for blob in &blobs {
            for part in [0, blob.bytes().len() / 2, blob.bytes().len() - 32] {
                for (file, at) in disk.find(&blob.bytes()[part..part + 32]) {
                    disk.harm(file, Harm::Flip(at + part % 32))?;
                    // Where damage shows at the opening there is nobody to ask.
                    let Ok(store) = trial.blobs().await else { continue };
                    let path = disk.files[file].0.display();
                    for time in 0..2 {
                        let told = store.verify(&addrs).await?;
                        assert_eq!(told.len(), addrs.len());
                        for (blob, told) in blobs.iter().zip(told) {
                            let read = store.get(blob.addr()).await;
                            let agrees = match told {
                                BlobCheck::Absent => matches!(read, Ok(None)),
                                BlobCheck::Right(_) => read.as_ref().ok().is_some_and(|read| read.as_ref() == Some(blob)),
                                BlobCheck::Damaged => {
                                    met += 1;
                                    read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt)
                                }
                            };
                            assert!(agrees, "{told:?}, time {time}, and then {read:?}: {} bytes, of {path}", blob.len());
                        }
                    }
                }
            }
        }
        match met {
            0 => trial.unsupported("damage that shows when a blob is read"),
            _ => Ok(()),
        }
    }

    /// B16: where a file of the store is cut off or gone, reading is `Corrupt`, or absent, or right; opening
    /// may fail with a typed error; nothing panics, and no bytes are wrong.
    async fn a_lost_file_is_noticed(trial) {
        let Some((disk, blobs)) = closed(trial).await? else {
            return trial.unsupported("damage");
        };
        for file in 0..disk.files.len() {
            let len = disk.files[file].1.len();
            for harm in [Harm::Delete, Harm::Truncate(0), Harm::Truncate(len / 2), Harm::Truncate(len.max(1) - 1)] {
                disk.harm(file, harm)?;
                for blob in &blobs {
                    read(trial, blob).await;
                }
            }
        }
        Ok(())
    }

    /// X5: where pages of the store's files are zeroed, or bits flipped anywhere, it opens or fails with a
    /// typed error, and no bytes are wrong, in a batch neither.
    async fn a_damaged_blob_store_never_lies(trial) {
        let Some((disk, blobs)) = closed(trial).await? else {
            return trial.unsupported("damage");
        };
        let mut random = crate::SplitMix64::new(5);
        for round in 0..24 {
            let file = random.below(disk.files.len() as u64) as usize;
            let len = disk.files[file].1.len() as u64;
            if len == 0 {
                continue;
            }
            let at = random.below(len) as usize;
            let harm = if round % 2 == 0 { Harm::Zero(at) } else { Harm::Flip(at) };
            disk.harm(file, harm)?;
            for blob in &blobs {
                read(trial, blob).await;
            }
            let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
            if let Ok(store) = trial.blobs().await
                && let Ok(read) = store.get_many(&addrs).await
            {
                for (read, blob) in read.iter().zip(&blobs) {
                    assert!(read.as_ref().is_none_or(|read| read == blob), "wrong bytes were served");
                }
            }
        }
        Ok(())
    }
}
