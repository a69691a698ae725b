//! Fixtures for every store of deriva, shared by the tests of this crate.
//!
//! The tests hold each store to the cases of [`deriva_testkit`], to the model, and to what it has
//! acknowledged when its process is killed.

pub mod mutants;
pub mod proof;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use deriva_api::{Error, ErrorKind, OpenedStore, Result};
use deriva_testkit::Fixture;
use tempfile::TempDir;

/// A store opened by URI, in a folder of its own that goes with this value.
pub struct UriFixture {
    scheme: String,
    options: String,
    /// How often a process "died": each left a copy of the store, and the last is the one to open.
    crashes: AtomicUsize,
    // Dropping it deletes what is stored.
    folder: TempDir,
}

impl UriFixture {
    /// A store of `scheme`, its path inside a new folder, with `options` behind it
    /// (`?durability=buffered`, or empty).
    ///
    /// # Panics
    /// When no folder can be made.
    #[must_use]
    #[allow(clippy::expect_used, reason = "fixtures serve tests alone")]
    pub fn new(scheme: &str, options: &str) -> Self {
        Self {
            scheme: scheme.to_owned(),
            options: options.to_owned(),
            crashes: AtomicUsize::new(0),
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// The URI of the store.
    #[must_use]
    pub fn uri(&self) -> String {
        let path = self.folder().unwrap_or_default();
        format!("{}:{}{}", self.scheme, path.display(), self.options)
    }
}

#[async_trait]
impl Fixture for UriFixture {
    async fn open(&self) -> Result<OpenedStore> {
        open(&self.uri()).await
    }

    fn persistent(&self) -> bool {
        self.scheme != "memory"
    }

    async fn crash(&self) -> Result<()> {
        let Some(before) = self.folder() else {
            let message = "a store in memory leaves nothing";
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        // What lies in the files now is what a killed process would have left.
        self.crashes.fetch_add(1, Ordering::Relaxed);
        copy(&before, &self.folder().unwrap_or_default()).map_err(Error::io)
    }

    fn folder(&self) -> Option<PathBuf> {
        let crashes = self.crashes.load(Ordering::Relaxed);
        let name = format!("store{crashes}");
        self.persistent().then(|| self.folder.path().join(name))
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else {
            std::fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

impl fmt::Debug for UriFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri())
    }
}

/// Opens a store by URI, all schemes known.
///
/// # Errors
/// What parsing and the store say.
pub async fn open(uri: &str) -> Result<OpenedStore> {
    deriva_backends::registry().open(&uri.parse()?).await
}
