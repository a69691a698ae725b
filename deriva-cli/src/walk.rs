//! Walks over folders, past what deriva keeps in them.

use std::ffi::OsStr;
use std::path::Path;

use deriva::{Error, ErrorKind, Result};
use ignore::{DirEntry, Walk, WalkBuilder};

use crate::files;

/// The folder of the lists of what runs have written, in an output folder.
pub(crate) const LISTS: &str = ".deriva-outputs";

/// Walks the folder `root`, without stores, lists of outputs, and folders for which `enter` says no.
/// Links to folders are not followed.
///
/// # Errors
/// A root that is a store.
pub(crate) fn walk(
    root: &Path,
    enter: impl Fn(&Path) -> bool + Send + Sync + 'static,
) -> Result<Walk> {
    if is_store(root) {
        return Err(Error::new(ErrorKind::Invalid, "this folder is a store")
            .with("path", root.display())
            .hint("name a folder of files; what a store holds is read with `deriva get`"));
    }
    let keep = move |entry: &DirEntry| {
        if entry.depth() == 0 {
            return true;
        }
        match entry.file_type() {
            Some(kind) if kind.is_dir() => {
                entry.file_name() != OsStr::new(LISTS)
                    && enter(entry.path())
                    && !is_store(entry.path())
            }
            _ => !files::is_temporary(entry.file_name()),
        }
    };
    Ok(WalkBuilder::new(root)
        .standard_filters(false)
        .follow_links(false)
        .filter_entry(keep)
        .build())
}

/// Whether a folder is a store, by the marker that every store leaves.
pub(crate) fn is_store(folder: &Path) -> bool {
    folder.join("deriva-store").is_file() && folder.join("lock").is_file()
}
