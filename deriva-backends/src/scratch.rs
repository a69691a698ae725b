//! A copy of a database that may only be read.
//!
//! A database puts itself in order when it is opened: it replays its log and writes anew what it keeps about itself. Where a
//! store lies on a medium that cannot be written, that is done to a copy, in the folder for temporary files. Blobs that are
//! files are not copied.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use deriva_api::{Error, ErrorKind, Result};
use tempfile::TempDir;

use crate::folder::at;

/// Copies these files and folders of a store's folder, as far as they are there, into a new folder that goes when it is
/// dropped. The folder is held, so nothing changes meanwhile.
pub(crate) fn copy_of(store: &Path, names: &[&str]) -> Result<TempDir> {
    let scratch = tempfile::Builder::new().prefix("deriva-").tempdir();
    let scratch = scratch.map_err(|source| refused(&std::env::temp_dir(), source))?;
    for name in names {
        copy(&store.join(name), &scratch.path().join(name))?;
    }
    Ok(scratch)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let unread = |source| at(from, Error::io(source));
    let found = match fs::metadata(from) {
        Ok(found) => found,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(other) => return Err(unread(other)),
    };
    if found.is_dir() {
        fs::create_dir(to).map_err(|source| refused(to, source))?;
        for entry in fs::read_dir(from).map_err(unread)? {
            let name = entry.map_err(unread)?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    // RocksDB's tables, most of what it has, are never written again.
    let is_table = from.extension().is_some_and(|extension| extension == "sst");
    let copied = match is_table {
        true => symlink(from, to),
        false => {
            fs::copy(from, to).and_then(|_| fs::set_permissions(to, Permissions::from_mode(0o600)))
        }
    };
    copied.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => unread(source),
        _ => refused(to, source),
    })
}

fn refused(path: &Path, source: io::Error) -> Error {
    let error = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let message = "no room for a copy of a database that may only be read";
            Error::new(ErrorKind::Full, message).caused_by(source)
        }
        _ => Error::io(source),
    };
    at(path, error).hint("set TMPDIR to a folder that may be written, with room for the database")
}
