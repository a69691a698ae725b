//! What a store says of the bytes that it holds.

use serde::{Deserialize, Serialize};

use crate::{BlobHasher, BlobStore, ByteRange, CAddr, Error, ErrorKind, Result};

/// What [`BlobStore::verify`] found under an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlobCheck {
    /// No such blob is there.
    Absent,
    /// The blob is there, but its bytes are not: they belong to another address, or cannot be made out any more.
    /// Reading it is [`ErrorKind::Corrupt`]; `remove` followed by `put` replaces it.
    Damaged,
    /// The blob is there, and its bytes are right.
    Right(Evidence),
}

impl BlobCheck {
    /// Whether the blob is there with the right bytes, whatever the evidence.
    #[must_use]
    pub fn is_right(self) -> bool {
        matches!(self, Self::Right(_))
    }
}

/// How a store knows that the bytes of a blob are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// They were read and hashed in this call.
    Read,
    /// They were read and hashed before, since this store was opened, and nothing that the store can see has
    /// changed since. A disk that loses bits without a word is not seen.
    Remembered,
    /// A service that keeps them for the store has checked them by a checksum of its own.
    Vouched,
}

/// Bytes that are read at once.
const PIECE: u64 = 8 << 20;

/// Verifies blobs by reading all of each: a [`BlobStore::verify`] for stores that have nothing better.
///
/// Needs memory for one piece of 8 MiB. Blobs up to this length are read by `get`, longer ones piece by piece by
/// `get_range`; a store that checks the whole blob for every range should do better by itself.
///
/// ```
/// # use deriva_api::{BlobCheck, BlobStore, CAddr, Result};
/// # async fn in_your_store(store: &dyn BlobStore, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
/// // async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
/// deriva_api::verify_by_reading(store, addrs).await
/// // }
/// # }
/// ```
///
/// # Errors
/// What the store says, except for damage.
pub async fn verify_by_reading<S: BlobStore + ?Sized>(
    store: &S,
    addrs: &[CAddr],
) -> Result<Vec<BlobCheck>> {
    let mut found = Vec::with_capacity(addrs.len());
    for addr in addrs {
        found.push(match read(store, *addr).await {
            Ok(true) => BlobCheck::Right(Evidence::Read),
            Ok(false) => BlobCheck::Absent,
            Err(error) if error.kind() == ErrorKind::Corrupt => BlobCheck::Damaged,
            Err(error) => return Err(error),
        });
    }
    Ok(found)
}

/// Reads and checks a blob; answers whether it is there.
async fn read<S: BlobStore + ?Sized>(store: &S, addr: CAddr) -> Result<bool> {
    let stat = store.stat(&[addr]).await?.first().copied().flatten();
    let Some(stat) = stat else {
        return Ok(false);
    };
    if stat.len <= PIECE {
        return Ok(store.get(addr).await?.is_some());
    }
    let mut hasher = BlobHasher::new();
    while hasher.len() < stat.len {
        let range = ByteRange::new(hasher.len(), PIECE);
        // Absent where it was removed meanwhile.
        let Some(piece) = store.get_range(addr, range).await? else {
            return Ok(false);
        };
        if piece.is_empty() {
            break;
        }
        hasher.update(&piece);
    }
    if hasher.finish() == stat {
        return Ok(true);
    }
    let message = "stored bytes do not hash to their address";
    Err(Error::new(ErrorKind::Corrupt, message).with("addr", addr))
}

#[cfg(test)]
mod tests;
