//! Where the stores are made, and that nothing of them stays.

use std::path::{Path, PathBuf};

use deriva_api::{Error, ErrorKind, Result};
use tempfile::TempDir;

/// Exit code after an interruption by a signal.
const INTERRUPTED: i32 = 130;

/// A new folder; it is deleted with this value, and when a signal ends the process.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    /// Makes it in the folder for temporary files, or in `place`.
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("deriva-conformance-")
            .tempdir();
        let folder = folder
            .map_err(|source| Error::io(source).with("path", std::env::temp_dir().display()))?;
        let path = folder.path().to_owned();
        ctrlc::set_handler(move || {
            delete(&path);
            std::process::exit(INTERRUPTED);
        })
        .map_err(|source| {
            Error::new(ErrorKind::Internal, "signals cannot be handled").caused_by(source)
        })?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A store may be writing still, so a folder may fill while it is emptied.
fn delete(path: &PathBuf) {
    for _ in 0..20 {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {}
            _ => return,
        }
    }
}
