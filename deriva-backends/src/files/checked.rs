//! Checks that files have the bytes of their blobs, and remembers which did.

use std::fs::{File, Metadata};
use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;

use deriva_api::{BlobHasher, CAddr, Error, ErrorKind, Result};
use quick_cache::sync::Cache;

/// How much is read at once.
const PIECE: u64 = 1 << 20;
/// How many blobs are remembered (about 100 bytes each).
const REMEMBERED: usize = 65_536;

/// Changes whenever a file's bytes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Blobs whose files were read and found right.
#[derive(Debug)]
pub(super) struct Checked(Cache<CAddr, Identity>);

impl Checked {
    pub(super) fn new() -> Self {
        Self(Cache::new(REMEMBERED))
    }

    /// Whether this file of a blob is remembered as right.
    pub(super) fn has(&self, addr: CAddr, file: Identity) -> bool {
        self.0.get(&addr) == Some(file)
    }

    /// Reads the whole file of a blob, in pieces. Fails with `Corrupt` unless it is right.
    pub(super) fn check(&self, addr: CAddr, file: &mut File, identity: Identity) -> Result<()> {
        let checked = check(addr, file, identity.len);
        match checked {
            Ok(()) => self.0.insert(addr, identity),
            Err(_) => self.forget(addr),
        }
        checked
    }

    /// To be called where a blob goes, and where it turns out to be damaged: a disk may lose bits without a sign that
    /// the file changed.
    pub(super) fn forget(&self, addr: CAddr) {
        self.0.remove(&addr);
    }
}

fn check(addr: CAddr, file: &mut File, len: u64) -> Result<()> {
    let mut hasher = BlobHasher::new();
    // One byte at least, or the end would be met at once.
    let mut piece = vec![0; len.clamp(1, PIECE) as usize];
    file.rewind().map_err(Error::io)?;
    loop {
        match file.read(&mut piece).map_err(Error::io)? {
            0 => break,
            n => hasher.update(&piece[..n]),
        }
    }
    let found = hasher.finish();
    if found.addr == addr {
        return Ok(());
    }
    let message = "stored bytes do not hash to their address";
    Err(Error::new(ErrorKind::Corrupt, message)
        .with("addr", addr)
        .with("found", found.addr)
        .with("length", found.len))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use deriva_api::{Blob, BlobCheck, Evidence};

    use super::*;
    use crate::Durability;
    use crate::files::disk::Disk;

    /// As where a disk loses a bit, the file seems unchanged.
    #[test]
    fn a_read_that_meets_damage_is_believed_and_not_what_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), Durability::Sync).unwrap();
        let blob = Blob::new(vec![7; 100_000]);
        disk.place(disk.stage(&blob).unwrap()).unwrap();
        let name = blob.addr().to_string();
        let path = dir.path().join(&name[..2]).join(name);
        fs::write(&path, vec![8; 100_000]).unwrap();
        let damaged = Identity::of(&fs::metadata(&path).unwrap());
        disk.checked.0.insert(blob.addr(), damaged);
        let found = disk.verify(blob.addr()).unwrap();
        assert_eq!(found, BlobCheck::Right(Evidence::Remembered));
        disk.read(blob.addr()).unwrap_err();
        assert_eq!(disk.verify(blob.addr()).unwrap(), BlobCheck::Damaged);
    }
}
