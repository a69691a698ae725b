//! Folders that are not opened as they are named, and what to do instead.

use std::io;
use std::path::{Component, Path};

use deriva_api::{Error, ErrorKind, Result};

use crate::folder::{LOCK, at};

/// Refuses to begin a store in a folder that is called `~`: a shell does not expand what follows `sled:`.
pub(crate) fn refuse_home(path: &Path) -> Result<()> {
    let Some(Component::Normal(first)) = path.components().next() else {
        return Ok(());
    };
    if !first.as_encoded_bytes().starts_with(b"~") {
        return Ok(());
    }
    let message = "`~` is a home folder to shells only, and not within a store's URI";
    let error = Error::new(ErrorKind::Invalid, message);
    let hint = "write `$HOME` in its place, or `./~` for a folder of that name";
    Err(at(path, error).hint(hint))
}

/// The lock cannot be taken. Every store writes when it is opened: the lock, and what puts a crash in order. So one that
/// cannot be written cannot be opened either.
pub(crate) fn lock_refused(path: &Path, source: io::Error) -> Error {
    let message = match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "permission denied: a store is locked and put in order when it is opened"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only, and a store is locked and put in order when it is opened"
        }
        _ => return at(path, Error::io(source)).with("file", LOCK),
    };
    at(
        path,
        Error::new(ErrorKind::Invalid, message).caused_by(source),
    )
    .with("file", LOCK)
    .hint("change the permissions, or copy the folder to where you may write and open the copy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_folder_is_refused_by_name_only_where_it_comes_first() {
        for path in ["~", "~/x", "~me/x"] {
            let error = refuse_home(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.advice().unwrap().contains("$HOME"), "{error:?}");
        }
        for path in ["x", "./~/x", "/~/x", "x/~", ".", ""] {
            assert!(refuse_home(Path::new(path)).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_cannot_be_written_says_what_to_do() {
        for kind in [
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::PermissionDenied,
        ] {
            let error = lock_refused(Path::new("x"), kind.into());
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(
                error.advice().unwrap().contains("open the copy"),
                "{error:?}"
            );
        }
        let other = lock_refused(Path::new("x"), io::ErrorKind::StorageFull.into());
        assert_eq!(other.kind(), ErrorKind::Full);
    }
}
