//! Reading a blob piece by piece.

use std::sync::Arc;

use deriva_api::{Blob, BlobStat, ByteRange, Bytes, Error, ErrorKind, Result};

use crate::shared::Inner;
use crate::shared::leases::Lease;

/// Bytes in a piece, unless somebody says how many.
const PIECE: u64 = 1 << 20;

/// Reads the bytes of an address in pieces; see [`crate::Deriva::open`]. Every piece comes
/// from a blob that the store has verified, or from one that was just made and is not stored.
#[derive(Debug)]
pub struct BlobReader {
    inner: Arc<Inner>,
    stat: BlobStat,
    /// What the store does not have.
    held: Option<Blob>,
    offset: u64,
    /// Keeps the blob from collection while it is read.
    _lease: Lease,
}

impl BlobReader {
    pub(crate) fn new(inner: Arc<Inner>, stat: BlobStat, held: Option<Blob>, lease: Lease) -> Self {
        Self {
            inner,
            stat,
            held,
            offset: 0,
            _lease: lease,
        }
    }

    /// Address and length of the bytes.
    #[must_use]
    pub fn stat(&self) -> BlobStat {
        self.stat
    }

    /// The next piece, of 1 MiB but for the last; `None` at the end.
    ///
    /// # Errors
    /// `Corrupt` when the blob is damaged, `NotFound` when it was removed meanwhile.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        self.next_chunk_of(PIECE).await
    }

    /// The next piece, of this many bytes but for the last: 1 or more, and 0 counts as 1; `None` at the end.
    ///
    /// # Errors
    /// As [`BlobReader::next_chunk`].
    pub async fn next_chunk_of(&mut self, bytes: u64) -> Result<Option<Bytes>> {
        if self.offset >= self.stat.len {
            return Ok(None);
        }
        let bytes = bytes.max(1);
        let range = ByteRange::new(self.offset, bytes);
        if let Some(held) = &self.held {
            let within = range.within(self.stat.len);
            self.offset = within.end;
            let piece = within.start as usize..within.end as usize;
            return Ok(Some(held.bytes().slice(piece)));
        }
        let piece = self
            .inner
            .blobs
            .get_range(self.stat.addr, range)
            .await?
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    "the blob was removed while it was read",
                )
                .with("addr", self.stat.addr)
            })?;
        let expected = bytes.min(self.stat.len - self.offset);
        if piece.len() as u64 != expected {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "the store gave a piece of another length",
            )
            .with("addr", self.stat.addr)
            .with("expected", expected)
            .with("found", piece.len()));
        }
        self.offset += expected;
        Ok(Some(piece))
    }
}
