//! A copy of a database that may only be read, in a temporary folder.
//!
//! Every database writes when it is opened, to put a crash in order. Where it may not, it is opened in a copy;
//! the files of large blobs are read where they are.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use deriva_api::{Error, ErrorKind, Result};
use tempfile::TempDir;

use super::engine::Engine;
use super::watermark;
use crate::folder::at;

const PREFIX: &str = "deriva-read-";
/// Locked while the copy is in use. A killed process leaves its copy, and the next one deletes it.
const HELD: &str = "held";
const MESSAGE: &str = "a database that may only be read is opened in a copy, and none can be made";
const HINT: &str = "make room for it, or name another folder for temporary files with TMPDIR";

/// A copy, deleted when it is dropped.
#[derive(Debug)]
pub(super) struct Copied {
    dir: TempDir,
    _held: File,
}

impl Copied {
    /// Begins an empty one; those that nobody uses any more go first.
    fn begin(room: &Path) -> io::Result<Self> {
        sweep(room)?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(room)?;
        // Never there without being locked.
        let new = dir.path().join("new");
        let held = File::create(&new)?;
        held.try_lock()?;
        fs::rename(new, dir.path().join(HELD))?;
        Ok(Self { dir, _held: held })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Deletes copies that nobody uses any more. Those of other users stay, and are not looked into.
fn sweep(room: &Path) -> io::Result<()> {
    let me = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(room)? {
        let entry = entry?;
        let left = || {
            let found = entry.metadata().ok()?;
            if !found.is_dir() || found.uid() != me {
                return None;
            }
            let held = File::open(entry.path().join(HELD)).ok()?;
            held.try_lock().ok().map(|()| held)
        };
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && left().is_some() {
            // Where this fails it takes room.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    Ok(())
}

/// Copies the database of a store, and the watermark beside it.
///
/// # Errors
/// `Full` where the folder for temporary files has too little room; what the file system says.
pub(super) fn copy<E: Engine>(store: &Path, scheme: &str) -> Result<Copied> {
    let room = std::env::temp_dir();
    let fails = |source| {
        let source = Error::io(source);
        at(&room, Error::new(source.kind(), MESSAGE).caused_by(source)).hint(HINT)
    };
    let mut files = Vec::new();
    for name in [scheme, watermark::FILE] {
        let found = list(store, Path::new(name), &mut files);
        found.map_err(|source| at(&store.join(name), Error::io(source)))?;
    }
    let copied = |entry: &&Entry| !entry.is_linked::<E>();
    let needed: u64 = files.iter().filter(copied).map(|entry| entry.len).sum();
    let needed = needed + E::RESERVE.bytes;
    let copy = Copied::begin(&room).map_err(fails)?;
    let free = rustix::fs::statvfs(&room).map_err(|source| fails(source.into()))?;
    let free = free.f_bavail.saturating_mul(free.f_frsize);
    if free < needed {
        let full = at(&room, Error::new(ErrorKind::Full, MESSAGE));
        return Err(full.with("free", free).with("needed", needed).hint(HINT));
    }
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
            io::copy(&mut read, &mut written).map_err(|source| match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => fails(source),
                _ => at(&from, Error::io(source)),
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
