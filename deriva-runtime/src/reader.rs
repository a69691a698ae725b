//! Reading a blob piece by piece.

use std::sync::Arc;

use deriva_api::{Blob, BlobStat, ByteRange, Bytes, Error, ErrorKind, Result};

use crate::inner::Inner;
use crate::leases::Lease;

/// Bytes in a piece.
const PIECE: u64 = 1 << 20;

/// Reads the bytes of an address in pieces of 1 MiB; see [`crate::Deriva::open`]. Every piece comes
/// from a blob that the store has verified.
#[derive(Debug)]
pub struct BlobReader {
    inner: Arc<Inner>,
    stat: BlobStat,
    held: Option<Bytes>,
    offset: u64,
    /// Keeps the blob from collection while it is read.
    _lease: Lease,
}

impl BlobReader {
    pub(crate) fn new(inner: Arc<Inner>, stat: BlobStat, lease: Lease) -> Self {
        Self {
            inner,
            stat,
            held: None,
            offset: 0,
            _lease: lease,
        }
    }

    /// Of a blob that is in no store.
    pub(crate) fn held(inner: Arc<Inner>, blob: Blob, lease: Lease) -> Self {
        let mut reader = Self::new(inner, blob.stat(), lease);
        reader.held = Some(blob.into_bytes());
        reader
    }

    /// Address and length of the bytes.
    #[must_use]
    pub fn stat(&self) -> BlobStat {
        self.stat
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `Corrupt` when the blob is damaged, `NotFound` when it was removed meanwhile.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        if self.offset >= self.stat.len {
            return Ok(None);
        }
        let range = ByteRange::new(self.offset, PIECE);
        if let Some(held) = &self.held {
            let within = range.within(self.stat.len);
            self.offset = within.end;
            return Ok(Some(held.slice(within.start as usize..within.end as usize)));
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
        let expected = PIECE.min(self.stat.len - self.offset);
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
