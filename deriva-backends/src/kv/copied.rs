//! A copy of a database that may only be read, in a temporary folder.
//!
//! Every database writes when it is opened, to put a crash in order. Where it may not, it is opened in a copy;
//! the files of large blobs are read where they are.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use deriva_api::{Error, ErrorKind, Result};
use tempfile::TempDir;

use super::engine::Engine;
use super::noted;
use crate::folder::at;

const PREFIX: &str = "deriva-read-";
const HINT: &str = "a database that may only be read is opened in a copy: make room for it, or name another folder \
                    with TMPDIR";

/// Copies the database of a store, and the note beside it. The copy is deleted when it is dropped.
///
/// # Errors
/// `Full` where the folder for temporary files has too little room; what the file system says.
pub(super) fn copy<E: Engine>(store: &Path, scheme: &str) -> Result<TempDir> {
    let room = std::env::temp_dir();
    let fails = |source| at(&room, Error::io(source)).hint(HINT);
    let mut files = Vec::new();
    for name in [scheme, noted::FILE] {
        let found = list(store, Path::new(name), &mut files);
        found.map_err(|source| at(&store.join(name), Error::io(source)))?;
    }
    let copied = |entry: &&Entry| !entry.is_linked::<E>();
    let needed: u64 = files.iter().filter(copied).map(|entry| entry.len).sum();
    let needed = needed + E::RESERVE.bytes;
    let free = rustix::fs::statvfs(&room).map_err(|source| fails(source.into()))?;
    let free = free.f_bavail.saturating_mul(free.f_frsize);
    if free < needed {
        let message = "too little space is left for temporary files";
        let full = at(&room, Error::new(ErrorKind::Full, message));
        return Err(full.with("free", free).with("needed", needed).hint(HINT));
    }
    let copy = tempfile::Builder::new().prefix(PREFIX).tempdir();
    let copy = copy.map_err(fails)?;
    for entry in &files {
        let (from, to) = (store.join(&entry.path), copy.path().join(&entry.path));
        if entry.is_folder {
            fs::create_dir(to).map_err(fails)?;
        } else if entry.is_linked::<E>() {
            symlink(from, to).map_err(fails)?;
        } else {
            // Not `fs::copy`: the copy has to be writable.
            let mut read = File::open(&from).map_err(|source| at(&from, Error::io(source)))?;
            let mut written = File::create(to).map_err(fails)?;
            io::copy(&mut read, &mut written).map_err(|source| match Error::io(source) {
                full if full.kind() == ErrorKind::Full => at(&room, full).hint(HINT),
                other => at(&from, other),
            })?;
        }
    }
    Ok(copy)
}

struct Entry {
    /// Below the store's folder.
    path: PathBuf,
    len: u64,
    is_folder: bool,
}

impl Entry {
    fn is_linked<E: Engine>(&self) -> bool {
        let name = self.path.file_name().unwrap_or_default();
        !self.is_folder && E::is_final(&name.to_string_lossy())
    }
}

/// Adds what is at `path`, if anything, and all below: a folder before what is in it.
fn list(store: &Path, path: &Path, found: &mut Vec<Entry>) -> io::Result<()> {
    let metadata = match fs::metadata(store.join(path)) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    let is_folder = metadata.is_dir();
    found.push(Entry {
        path: path.to_owned(),
        len: if is_folder { 0 } else { metadata.len() },
        is_folder,
    });
    if is_folder {
        for entry in fs::read_dir(store.join(path))? {
            list(store, &path.join(entry?.file_name()), found)?;
        }
    }
    Ok(())
}
