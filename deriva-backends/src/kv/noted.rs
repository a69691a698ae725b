//! The number of the last durable commit, noted beside the database.
//!
//! Some engines take damage in the middle of their log for its end, and come up with an earlier state as
//! if nothing had happened. The note tells: it is written only after a commit is durable, and never
//! synced, so the database is behind it only if it lost what it had. A note that is missing or damaged
//! says nothing.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use deriva_api::{Error, ErrorKind, Result};

use super::layout;
use crate::folder::at;

const FILE: &str = "commits";

#[derive(Debug)]
pub(super) struct Noted(File);

impl Noted {
    /// Opens the note in a store's folder. Fails with `Corrupt` when `found`, the last commit in the
    /// database, is an earlier one than was noted.
    pub(super) fn open(folder: &Path, found: u64) -> Result<Self> {
        let path = folder.join(FILE);
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        let file = options.open(&path);
        let file = file.map_err(|source| at(&path, Error::io(source)))?;
        let mut row = [0; layout::COMMIT_LEN];
        let noted = file.read_exact_at(&mut row, 0).ok();
        match noted.and_then(|()| layout::decode_commit(&row).ok()) {
            Some(noted) if noted > found => {
                let message = "the database has lost its last commits";
                let hint = "restore the folder from a copy, or delete the file `commits` in it to go \
                            on with the earlier state";
                Err(Error::new(ErrorKind::Corrupt, message)
                    .with("commits", noted)
                    .with("found", found)
                    .hint(hint))
            }
            _ => Ok(Self(file)),
        }
    }

    /// Notes a commit that is durable.
    pub(super) fn note(&self, commit: u64) {
        // Where this fails less damage is noticed.
        self.0.write_all_at(&layout::encode_commit(commit), 0).ok();
    }
}
