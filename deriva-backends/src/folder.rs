//! The folder of a persistent store: whose it is, who holds it, and that it is there after a crash.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use deriva_api::{Error, ErrorKind, Result};

/// Names the store's scheme. A folder without it is nobody's, or somebody else's.
const MARKER: &str = "deriva-store";
/// Locked while a process has the store open.
const LOCK: &str = "lock";

/// A store's folder, held against other processes until this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    _lock: File,
}

/// Creates the folder where it is not there, checks that it is empty or holds a store of `scheme`,
/// and answers with its canonical path.
pub(crate) fn prepare(path: &Path, scheme: &str) -> Result<PathBuf> {
    let io = |source| at(path, Error::io(source));
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            let error = Error::new(
                ErrorKind::Invalid,
                "a store is a folder, and this is a file",
            );
            return Err(at(path, error).hint("choose another path"));
        }
        Ok(_) => check_owner(path, scheme)?,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            create(path).map_err(io)?;
        }
        Err(other) => return Err(io(other)),
    }
    path.canonicalize().map_err(io)
}

impl Folder {
    /// Locks a prepared folder, and marks it as a store of `scheme`.
    pub(crate) fn hold(path: &Path, scheme: &str) -> Result<Self> {
        let io = |source| at(path, Error::io(source));
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(path)),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        // Checked again: somebody may have made a store here before the lock was ours.
        check_owner(path, scheme)?;
        let marker = path.join(MARKER);
        if !marker.exists() {
            fs::write(&marker, format!("{scheme}\n")).map_err(io)?;
            File::open(&marker)
                .and_then(|file| file.sync_all())
                .map_err(io)?;
            sync_folder(path)?;
        }
        Ok(Self { _lock: lock })
    }
}

/// Creates a folder and those above it that are not there, each durable in the one above.
fn create(path: &Path) -> io::Result<()> {
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let created: Vec<&Path> = path.ancestors().take_while(missing).collect();
    fs::create_dir_all(path)?;
    for folder in created {
        if let Some(above) = folder.canonicalize()?.parent() {
            File::open(above)?.sync_all()?;
        }
    }
    Ok(())
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|source| at(path, Error::io(source)))
}

/// The error of a store that another process has open.
pub(crate) fn locked(path: &Path) -> Error {
    let error = Error::new(ErrorKind::Locked, "another process has this store open");
    at(path, error).hint("close the store in the other process, or choose another path")
}

/// Adds the path.
pub(crate) fn at(path: &Path, error: Error) -> Error {
    error.with("path", path.display())
}

fn check_owner(path: &Path, scheme: &str) -> Result<()> {
    let io = |source| at(path, Error::io(source));
    match fs::read_to_string(path.join(MARKER)) {
        // Empty: the first opening was cut off while it wrote the marker.
        Ok(found) if found.trim().is_empty() || found.trim() == scheme => Ok(()),
        Ok(found) => {
            let error = Error::new(
                ErrorKind::Invalid,
                "this folder holds another kind of store",
            );
            let hint = format!("open it as `{}:{}`", found.trim(), path.display());
            Err(at(path, error).with("found", found.trim()).hint(hint))
        }
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            for entry in fs::read_dir(path).map_err(io)? {
                if entry.map_err(io)?.file_name() != LOCK {
                    let error = Error::new(
                        ErrorKind::Invalid,
                        "this folder is not empty and not a store",
                    );
                    return Err(at(path, error).hint("choose an empty folder or a new path"));
                }
            }
            Ok(())
        }
        Err(other) => Err(io(other)),
    }
}
