//! RocksDB's logs, before RocksDB reads them.
//!
//! Where a record says that it is of a *recycled* log, after one that does not, RocksDB's reader answers "bad record"
//! without stepping over it, and is asked for the same one for ever (`ReadPhysicalRecord` in `db/log_reader.cc`, as of
//! 11.8). Deriva recycles no logs: such a record is damage, or what a loss of power left of a write. Its type is made
//! one that no record has, so that RocksDB sees a wrong checksum, as with any other damage.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use deriva_api::{Error, ErrorKind, Result};

use crate::folder::at;

const BLOCK: usize = 32 << 10;
/// Checksum, length and type.
const HEADER: usize = 7;
/// Where the type is in it.
const TYPE: usize = 6;
const NO_TYPE: u8 = 0xff;

/// Makes the database in a folder one that RocksDB reads to its end. Nobody else has it open.
///
/// # Errors
/// [`ErrorKind::Corrupt`] where it is the list of files that cannot be read; what the file system says.
pub(super) fn settle(folder: &Path) -> Result<()> {
    let io = |source| at(folder, Error::io(source));
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    for entry in entries {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_log = name.ends_with(".log");
        if !is_log && !name.starts_with("MANIFEST-") {
            continue;
        }
        let endless = find(&entry.path()).map_err(io)?;
        if endless.is_empty() {
            continue;
        }
        if !is_log {
            let error = Error::new(ErrorKind::Corrupt, "RocksDB's list of its files is damaged");
            return Err(at(folder, error).with("file", name));
        }
        let file = OpenOptions::new().write(true).open(entry.path());
        let file = file.map_err(io)?;
        for place in endless {
            file.write_all_at(&[NO_TYPE], place).map_err(io)?;
        }
    }
    Ok(())
}

/// The places of types that RocksDB would not get past.
fn find(path: &Path) -> io::Result<Vec<u64>> {
    let mut file = File::open(path)?;
    let (mut found, mut begin) = (Vec::new(), 0);
    let mut block = Vec::with_capacity(BLOCK);
    loop {
        block.clear();
        (&mut file).take(BLOCK as u64).read_to_end(&mut block)?;
        found.extend(in_block(&block).map(|at| begin + at as u64));
        begin += block.len() as u64;
        if block.len() < BLOCK {
            return Ok(found);
        }
    }
}

/// Steps from record to record as RocksDB does, which skips the rest of a block after a bad one.
fn in_block(block: &[u8]) -> Option<usize> {
    let mut begin = 0;
    while let Some(header) = block.get(begin..begin + HEADER) {
        let len = usize::from(u16::from_le_bytes([header[4], header[5]]));
        match header[TYPE] {
            // What was laid out ahead, and what was settled before.
            0 if len == 0 => return None,
            NO_TYPE => return None,
            // Of recycled logs.
            5..=8 | 11 | 131 => return Some(begin + TYPE),
            _ => begin += HEADER + len,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, len: u16) -> Vec<u8> {
        let mut record = vec![9; HEADER + usize::from(len)];
        record[4..6].copy_from_slice(&len.to_le_bytes());
        record[TYPE] = kind;
        record
    }

    #[test]
    fn what_would_be_read_for_ever_is_found_in_each_block() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("000004.log");
        let whole = [record(1, 20), record(2, 30), record(4, 0)].concat();
        let mut bytes = [whole.clone(), record(5, 3), record(6, 3)].concat();
        let first = (whole.len() + TYPE) as u64;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(find(&path).unwrap(), [first]);
        // Behind a block's end, also where a record reaches beyond it.
        bytes.resize(BLOCK, 0);
        bytes.extend(record(131, 60_000));
        bytes.resize(2 * BLOCK, 0);
        bytes.extend([whole.as_slice(), &record(1, 60_000)[..HEADER]].concat());
        fs::write(&path, &bytes).unwrap();
        assert_eq!(find(&path).unwrap(), [first, (BLOCK + TYPE) as u64]);
        settle(dir.path()).unwrap();
        assert!(find(&path).unwrap().is_empty());
        let settled = fs::read(&path).unwrap();
        let changed = bytes.iter().zip(&settled).filter(|(old, new)| old != new);
        assert_eq!((settled.len(), changed.count()), (bytes.len(), 2));
        fs::rename(&path, dir.path().join("MANIFEST-000005")).unwrap();
        settle(dir.path()).unwrap();
        fs::write(dir.path().join("MANIFEST-000005"), &bytes).unwrap();
        assert_eq!(settle(dir.path()).unwrap_err().kind(), ErrorKind::Corrupt);
        settle(&dir.path().join("none")).unwrap();
    }
}
