//! Batches that are too large for one commit of sled.
//!
//! Sled writes a batch into segments of its log, in no order that a disk keeps, and its recovery after a
//! loss of power holds only while no more than about a segment was written since the last real sync (see
//! `docs/decisions/0015-sled-power-loss.md`). A larger batch is written to a file of its own first. Once that
//! file is on the disk the batch counts as applied: its rows go to sled in parts, with a sync after each,
//! and an opening that finds the file finishes the work. The last part says which file it came from, so that
//! a file is never applied a second time.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write as _};
use std::path::Path;

use bytes::Bytes;
use deriva_api::{BlobHasher, CAddr, Error, Result};

use crate::folder::{at, sync_folder};
use crate::kv::Write;

const FILE: &str = "large";
const MAGIC: &[u8; 8] = b"dvlarge1";
/// [`MAGIC`], the number of the batch, the length of its rows, and the hash of number and rows.
const HEAD: usize = 8 + 8 + 8 + CAddr::LEN;
/// The length of a value that is none: the key is to be deleted.
const NONE: u32 = u32::MAX;
/// A longer file is not kept for the next batch.
const KEEP: u64 = 8 << 20;

/// Writes a batch, durably. Where it fails the file does not read as a batch, unless the sync failed.
pub(super) fn write(folder: &Path, number: u64, writes: &[Write]) -> Result<(), Failed> {
    let path = folder.join(FILE);
    let fail = |synced: bool| {
        let path = path.clone();
        move |source| Failed {
            error: at(&path, Error::io(source)),
            may_be_there: synced,
        }
    };
    let is_new = !path.exists();
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    let file = options.open(&path).map_err(fail(false))?;
    let body = || {
        // What was there is none any more, before its rows are written over.
        file.set_len(0)?;
        let mut out = BufWriter::new(&file);
        out.seek(SeekFrom::Start(HEAD as u64))?;
        let mut hasher = BlobHasher::new();
        hasher.update(&number.to_le_bytes());
        let mut len: u64 = 0;
        for (key, value) in writes {
            let value_len = value.as_ref().map_or(NONE, |value| value.len() as u32);
            let lens = [(key.len() as u32).to_le_bytes(), value_len.to_le_bytes()].concat();
            for part in [&lens[..], key, value.as_deref().unwrap_or_default()] {
                hasher.update(part);
                out.write_all(part)?;
                len += part.len() as u64;
            }
        }
        let hash = hasher.finish().addr;
        out.seek(SeekFrom::Start(0))?;
        out.write_all(
            &[
                &MAGIC[..],
                &number.to_le_bytes(),
                &len.to_le_bytes(),
                hash.as_bytes(),
            ]
            .concat(),
        )?;
        out.flush()
    };
    body().map_err(fail(false))?;
    file.sync_all().map_err(fail(true))?;
    #[cfg(test)]
    super::replay::synced(folder);
    match is_new {
        true => sync_folder(folder).map_err(|error| Failed {
            error,
            may_be_there: true,
        }),
        false => Ok(()),
    }
}

/// Why a batch was not written.
pub(super) struct Failed {
    pub(super) error: Error,
    /// The next opening may find it.
    pub(super) may_be_there: bool,
}

/// The batch that was written last, and its number; `None` where there is none, or a part of one.
pub(super) fn read(folder: &Path) -> Result<Option<(u64, Vec<Write>)>> {
    let path = folder.join(FILE);
    match File::open(&path).and_then(parse) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        found => found.map_err(|source| at(&path, Error::io(source))),
    }
}

/// Called when a batch is applied to the end: its file is not read again. It stays, as writing it
/// again is cheaper than a new one.
pub(super) fn done(folder: &Path) {
    let path = folder.join(FILE);
    let is_long = std::fs::metadata(&path).is_ok_and(|found| found.len() > KEEP);
    if is_long && let Ok(file) = File::options().write(true).open(path) {
        // Where this fails it takes room.
        file.set_len(0).ok();
    }
}

fn parse(file: File) -> io::Result<Option<(u64, Vec<Write>)>> {
    let longest = file.metadata()?.len();
    let mut input = BufReader::new(file);
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic)?;
    let [number, len] = [word(&mut input)?, word(&mut input)?];
    let mut hash = [0; CAddr::LEN];
    input.read_exact(&mut hash)?;
    if magic != *MAGIC || len > longest {
        return Ok(None);
    }
    let mut rows = vec![0; len as usize];
    input.read_exact(&mut rows)?;
    let mut hasher = BlobHasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&rows);
    if hasher.finish().addr != CAddr::from_bytes(hash) {
        return Ok(None);
    }
    let rows = Bytes::from(rows);
    let mut writes = Vec::new();
    let mut next = 0;
    let mut take = |len: usize| {
        let part = rows.slice(next..next + len);
        next += len;
        part
    };
    let mut left = rows.len();
    while left > 0 {
        // It hashes to what was written, so it is what `write` wrote.
        let lens = take(8);
        let (lens, _) = lens.as_chunks::<4>();
        let [key_len, value_len] = [lens[0], lens[1]].map(u32::from_le_bytes);
        let key = take(key_len as usize).to_vec();
        let value = (value_len != NONE).then(|| take(value_len as usize));
        left -= 8 + key.len() + value.as_ref().map_or(0, Bytes::len);
        writes.push((key, value));
    }
    Ok(Some((number, writes)))
}

fn word(input: &mut impl Read) -> io::Result<u64> {
    let mut word = [0; 8];
    input.read_exact(&mut word)?;
    Ok(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let long = Bytes::from(vec![7; 100_000]);
        let first: Vec<Write> = vec![
            (b"a".to_vec(), Some(long)),
            (b"bb".to_vec(), None),
            (b"".to_vec(), Some(Bytes::new())),
        ];
        let second: Vec<Write> = vec![(b"c".to_vec(), Some("value".into()))];
        for (number, writes) in [(1, &first), (2, &second), (3, &first)] {
            assert!(write(dir.path(), number, writes).is_ok());
            assert_eq!(read(dir.path()).unwrap(), Some((number, writes.clone())));
        }
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 1, HEAD - 1, HEAD, HEAD + 1, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(read(dir.path()).unwrap(), None, "cut at {cut}");
        }
        for flip in [0, 9, 17, 30, HEAD, HEAD + 9, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[flip] ^= 1;
            std::fs::write(&path, flipped).unwrap();
            assert_eq!(read(dir.path()).unwrap(), None, "flipped at {flip}");
        }
        std::fs::write(&path, whole).unwrap();
        done(dir.path());
        assert!(read(dir.path()).unwrap().is_some(), "short enough to keep");
    }
}
