//! Blobs: bytes together with the address that they are known to have.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{CAddr, Error, ErrorKind, Result};

/// Immutable bytes under their own address.
///
/// A `Blob` cannot be built with a wrong address: its constructors compute the address or check it.
/// So bytes are hashed once, where they enter, and never again on the way through layers and stores.
/// Cloning is cheap; the bytes are shared.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    addr: CAddr,
    bytes: Bytes,
}

impl Blob {
    /// Hashes `bytes` and takes them as a blob.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            addr: CAddr::of_blob(&bytes),
            bytes,
        }
    }

    /// Takes bytes that should have the address `addr`, as read from a disk or a peer, and checks.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the bytes hash to another address.
    pub fn verify(addr: CAddr, bytes: impl Into<Bytes>) -> Result<Self> {
        Self::new(bytes).expected(addr)
    }

    /// This blob, where it has the address `addr`, which what was read from a disk or a peer should have.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it has another one.
    pub fn expected(self, addr: CAddr) -> Result<Self> {
        if self.addr == addr {
            return Ok(self);
        }
        Err(Error::new(
            ErrorKind::Corrupt,
            "stored bytes do not hash to their address",
        )
        .with("addr", addr)
        .with("found", self.addr)
        .with("length", self.len()))
    }

    /// The address: the BLAKE3 hash of the bytes.
    #[must_use]
    pub fn addr(&self) -> CAddr {
        self.addr
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Gives up the address and keeps the bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The same blob at another place in memory: a copy of the bytes that begins `offset` bytes behind the beginning of what
    /// was allocated for it.
    #[must_use]
    pub fn copied(&self, offset: usize) -> Self {
        let mut bytes = Vec::with_capacity(offset + self.bytes.len());
        bytes.resize(offset, 0);
        bytes.extend_from_slice(&self.bytes);
        Self {
            addr: self.addr,
            bytes: Bytes::from(bytes).slice(offset..),
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether this is the empty blob (which is a blob like any other).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Address and length.
    #[must_use]
    pub fn stat(&self) -> BlobStat {
        BlobStat {
            addr: self.addr,
            len: self.len(),
        }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({:?}, {} B)", self.addr, self.len())
    }
}

/// What is known of a blob without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobStat {
    /// The blob's address.
    pub addr: CAddr,
    /// Its length in bytes.
    pub len: u64,
}

/// Hashes bytes that arrive in pieces. [`BlobHasher::finish`] gives what [`Blob::stat`] would have
/// given for all of them together, whatever the pieces were.
#[derive(Clone, Default)]
pub struct BlobHasher {
    hasher: blake3::Hasher,
}

impl BlobHasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn update(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
    }

    /// Bytes seen so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.hasher.count()
    }

    /// Whether nothing was seen so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Address and length of everything seen.
    #[must_use]
    pub fn finish(&self) -> BlobStat {
        BlobStat {
            addr: CAddr::from_bytes(*self.hasher.finalize().as_bytes()),
            len: self.len(),
        }
    }
}

/// A blob that is put together from pieces, and hashed while it grows: each piece is still in the cache of the processor, and most of
/// the work is done when the last one comes.
#[derive(Clone, Debug, Default)]
pub struct BlobBuilder {
    hasher: BlobHasher,
    bytes: Vec<u8>,
}

impl BlobBuilder {
    /// A blob without bytes so far, and room for that many.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            hasher: BlobHasher::new(),
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// Takes the next piece.
    pub fn extend(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.bytes.extend_from_slice(piece);
    }

    /// Length in bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.hasher.len()
    }

    /// Whether there are no bytes so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hasher.is_empty()
    }

    /// The blob.
    #[must_use]
    pub fn finish(self) -> Blob {
        Blob {
            addr: self.hasher.finish().addr,
            // What room is left over is given back.
            bytes: self.bytes.into_boxed_slice().into(),
        }
    }
}

impl fmt::Debug for BlobHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHasher({} B)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_with_a_wrong_address_cannot_be_built() {
        let addr = CAddr::of_blob(b"right");
        assert_eq!(Blob::verify(addr, "right").unwrap().addr(), addr);
        let error = Blob::verify(addr, "wrong").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(&addr.to_string()));
    }

    #[test]
    fn the_address_does_not_depend_on_the_pieces() {
        let bytes: Vec<u8> = (0..5000u32).map(|i| i as u8).collect();
        for size in [1, 7, 1024, 5000] {
            let mut hasher = BlobHasher::new();
            bytes.chunks(size).for_each(|chunk| hasher.update(chunk));
            assert_eq!(hasher.finish(), Blob::new(bytes.clone()).stat());
            let mut builder = BlobBuilder::with_capacity(size);
            bytes.chunks(size).for_each(|chunk| builder.extend(chunk));
            assert_eq!(builder.len(), 5000);
            assert_eq!(builder.finish(), Blob::new(bytes.clone()));
        }
        assert_eq!(BlobHasher::new().finish(), Blob::new("").stat());
        assert!(BlobBuilder::default().is_empty());
        assert_eq!(BlobBuilder::default().finish(), Blob::new(""));
    }

    #[test]
    fn a_copy_is_the_same_at_another_place() {
        let blob = Blob::new("some bytes");
        let copy = blob.copied(3);
        assert_eq!(copy, blob);
        assert_ne!(copy.bytes().as_ptr(), blob.bytes().as_ptr());
    }

    #[test]
    fn a_blob_fits_a_cache_line() {
        assert!(size_of::<Blob>() <= 64);
    }
}
