//! The number of the last durable commit, kept in a file beside the database.
//!
//! Some engines take damage in the middle of their log for its end, and come up with an earlier state as
//! if nothing had happened. The watermark tells: it is raised only after a commit is durable, and never
//! synced. So the database is below it only if it lost what it had. A file that is missing or damaged
//! says nothing.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva_api::{Error, ErrorKind, Result};

use super::layout;
use crate::folder::at;

pub(super) const FILE: &str = "commits";

#[derive(Debug)]
pub(super) struct Watermark {
    file: File,
    last: AtomicU64,
}

impl Watermark {
    /// Opens the file in a store's folder, and checks the watermark.
    pub(super) fn open(folder: &Path, found: u64) -> Result<Self> {
        let path = folder.join(FILE);
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        let file = options.open(&path);
        let file = file.map_err(|source| at(&path, Error::io(source)))?;
        let watermark = Self {
            last: AtomicU64::new(read(&file).unwrap_or(0)),
            file,
        };
        watermark.check(found)?;
        Ok(watermark)
    }

    /// Whether a store's folder has a watermark of any commit.
    pub(super) fn any(folder: &Path) -> bool {
        let file = File::open(folder.join(FILE));
        file.is_ok_and(|file| read(&file).is_some_and(|last| last > 0))
    }

    /// Fails with `Corrupt` when `found`, the last commit in the database, is below the watermark.
    pub(super) fn check(&self, found: u64) -> Result<()> {
        let last = self.last.load(Ordering::Acquire);
        if last <= found {
            return Ok(());
        }
        let message = "the database has lost its last commits";
        let hint = "restore the folder from a copy, or delete the file `commits` in it to go \
                    on with the earlier state";
        Err(Error::new(ErrorKind::Corrupt, message)
            .with("commits", last)
            .with("found", found)
            .hint(hint))
    }

    /// Raises it to a commit that is durable.
    pub(super) fn raise(&self, commit: u64) {
        self.last.store(commit, Ordering::Release);
        // Where this fails less damage is noticed.
        self.file
            .write_all_at(&layout::encode_commit(commit), 0)
            .ok();
    }
}

fn read(file: &File) -> Option<u64> {
    let mut row = [0; layout::COMMIT_LEN];
    file.read_exact_at(&mut row, 0).ok()?;
    layout::decode_commit(&row).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_below_its_watermark_is_corrupt_now_and_later() {
        let dir = tempfile::tempdir().unwrap();
        let watermark = Watermark::open(dir.path(), 0).unwrap();
        watermark.raise(5);
        watermark.check(5).unwrap();
        assert_eq!(watermark.check(4).unwrap_err().kind(), ErrorKind::Corrupt);
        drop(watermark);
        let error = Watermark::open(dir.path(), 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        Watermark::open(dir.path(), 5).unwrap();
    }
}
