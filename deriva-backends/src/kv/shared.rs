//! What the commit thread and readers share, and how blobs are found in it: a row in the engine, and for a large
//! one a file that the row names.

use std::path::PathBuf;
use std::sync::Arc;

use deriva_api::{Blob, BlobCheck, CAddr, Error, ErrorKind, Evidence, Result};
use parking_lot::Mutex;

use super::counted::Counted;
use super::engine::{Engine, into_bytes};
use super::layout::{self, Counters, Entry};
use super::watermark::Watermark;
use crate::files::disk::Disk;

/// Rows that are looked up at once.
const AT_ONCE: usize = 256;
/// How often a file is looked for that a row names: a removal and another put may lie between.
const ATTEMPTS: usize = 4;

/// The open database and the files beside it.
pub(super) struct Shared<E> {
    pub(super) engine: E,
    pub(super) disk: Arc<Disk>,
    pub(super) counters: Mutex<Counters>,
    pub(super) watermark: Watermark,
    pub(super) folder: PathBuf,
    pub(super) counted: Counted,
}

/// The address of a blob, the key of its row, and the row.
pub(super) type BlobRow<V> = (CAddr, Vec<u8>, Option<V>);

impl<E: Engine> Shared<E> {
    /// What `read` makes of the row of each address; few are held at a time, as they may be long.
    pub(super) fn each_row<T>(
        &self,
        addrs: &[CAddr],
        read: impl Fn(BlobRow<E::Value>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::with_capacity(addrs.len());
        for addrs in addrs.chunks(AT_ONCE) {
            let keys: Vec<_> = addrs.iter().map(layout::blob_key).collect();
            let rows = self.engine.get_many(&keys)?;
            for ((addr, key), row) in addrs.iter().zip(keys).zip(rows) {
                found.push(read((*addr, key, row))?);
            }
        }
        Ok(found)
    }

    pub(super) fn entry(&self, addr: &CAddr) -> Result<Option<Entry>> {
        let key = layout::blob_key(addr);
        let row = self.engine.get(&key)?.map(into_bytes);
        row.map(|row| layout::decode_blob(&key, row)).transpose()
    }

    fn entry_len(&self, addr: &CAddr) -> Result<Option<u64>> {
        let key = layout::blob_key(addr);
        let row = self.engine.get(&key)?;
        row.map(|row| layout::blob_len(&key, row.as_ref()))
            .transpose()
    }

    /// Whether a blob is stored, and whole. May read all of it.
    pub(super) fn holds(&self, blob: &Blob) -> Result<bool> {
        match self.entry(&blob.addr()) {
            Ok(None) => Ok(false),
            Ok(Some(Entry::Inline(found))) => Ok(found == blob.bytes()),
            Ok(Some(Entry::File(len))) => Ok(len == blob.len() && self.disk.holds(blob.stat())?),
            // Its row is damaged.
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the rows of these blobs say of them; nothing of one whose bytes lie in a file.
    pub(super) fn check_rows(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobCheck>>> {
        let mut found = Vec::with_capacity(addrs.len());
        for addrs in addrs.chunks(AT_ONCE) {
            let keys: Vec<_> = addrs.iter().map(layout::blob_key).collect();
            match self.engine.get_many(&keys) {
                Ok(rows) => {
                    let rows = addrs.iter().zip(&keys).zip(rows);
                    found.extend(rows.map(|((addr, key), row)| check_row(*addr, key, row)));
                }
                // The engine met damage on the way to one of them: that is no answer for the others.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    for (addr, key) in addrs.iter().zip(&keys) {
                        found.push(match self.engine.get(key) {
                            Ok(row) => check_row(*addr, key, row),
                            Err(error) if error.kind() == ErrorKind::Corrupt => {
                                Some(BlobCheck::Damaged)
                            }
                            Err(error) => return Err(error),
                        });
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// What there is of a blob whose row names a file.
    pub(super) fn check_file(&self, addr: CAddr) -> Result<BlobCheck> {
        let found = self.beside_row(addr, |shared| match shared.disk.verify(addr)? {
            BlobCheck::Absent => Ok(None),
            found => Ok(Some(found)),
        });
        match found {
            Ok(found) => Ok(found.unwrap_or(BlobCheck::Absent)),
            // Its file is missing.
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(BlobCheck::Damaged),
            Err(error) => Err(error),
        }
    }

    pub(super) fn blob(&self, addr: CAddr) -> Result<Option<Blob>> {
        self.beside_row(addr, |shared| match shared.entry(&addr)? {
            Some(Entry::Inline(bytes)) => Blob::verify(addr, bytes).map(Some),
            _ => shared.disk.read(addr),
        })
    }

    /// What `read` finds. A file goes after its row, so where it finds nothing the row decides
    /// whether the blob is absent or its file lost.
    pub(super) fn beside_row<T>(
        &self,
        addr: CAddr,
        read: impl Fn(&Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        for _ in 0..ATTEMPTS {
            if let Some(found) = read(self)? {
                return Ok(Some(found));
            }
            if self.entry_len(&addr)?.is_none() {
                return Ok(None);
            }
        }
        Err(
            Error::new(ErrorKind::Corrupt, "the file of a large blob is missing")
                .with("addr", addr)
                .hint("put the blob again, or let it be recomputed"),
        )
    }
}

fn check_row(
    addr: CAddr,
    key: &[u8],
    row: Option<impl AsRef<[u8]> + Send + Sync + 'static>,
) -> Option<BlobCheck> {
    let Some(row) = row else {
        return Some(BlobCheck::Absent);
    };
    match layout::decode_blob(key, into_bytes(row)) {
        Ok(Entry::Inline(bytes)) if CAddr::of_blob(&bytes) == addr => {
            Some(BlobCheck::Right(Evidence::Read))
        }
        Ok(Entry::File(_)) => None,
        Ok(Entry::Inline(_)) | Err(_) => Some(BlobCheck::Damaged),
    }
}
