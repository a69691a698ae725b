//! Stores that may only be read: why, and what a write is told.

use std::io;
use std::path::Path;

use deriva_api::{Error, ErrorKind, Result};

use crate::folder::at;

/// Why a folder may not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwritable {
    /// Others may: the lock tells whether they do.
    Permission,
    /// The file system is read-only.
    Medium,
}

impl Unwritable {
    /// Whether an error says so.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Some(Self::Permission),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::Medium),
            _ => None,
        }
    }

    /// The answer to every write.
    pub(crate) fn refuse<T>(self, path: &Path) -> Result<T> {
        let message = match self {
            Self::Permission => "the store is open for reading only: permission denied",
            Self::Medium => "the store is open for reading only: the file system is read-only",
        };
        Err(at(path, Error::new(ErrorKind::Unsupported, message)).hint(
            "change the permissions and open it again, or copy the folder to where you may write",
        ))
    }
}

/// The error of a folder that may neither be written nor read.
pub(crate) fn refused(path: &Path, why: Unwritable, missing: &'static str) -> Error {
    let why = match why {
        Unwritable::Permission => "permission denied",
        Unwritable::Medium => "the file system is read-only",
    };
    at(
        path,
        Error::new(ErrorKind::Invalid, format!("{why}, and {missing}")),
    )
    .hint("change the permissions, or copy the folder to where you may write and open the copy")
}
