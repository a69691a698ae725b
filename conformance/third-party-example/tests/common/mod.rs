//! How the cases open the store.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use deriva_api::{Error, OpenedStore, Result};
use deriva_sqlite_example::SqliteStore;
use deriva_testkit::Fixture;
use tempfile::TempDir;

/// A database in a temporary folder, which goes with this value.
#[derive(Debug)]
pub struct Database {
    folder: TempDir,
    /// Each crash leaves a copy, which is what is opened from then on.
    crashes: AtomicU32,
}

impl Database {
    #[expect(clippy::expect_used, reason = "a test cannot go on without a folder")]
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            crashes: AtomicU32::new(0),
        }
    }

    fn now(&self) -> PathBuf {
        let crashes = self.crashes.load(Ordering::Relaxed);
        self.folder.path().join(crashes.to_string())
    }
}

#[async_trait]
impl Fixture for Database {
    async fn open(&self) -> Result<OpenedStore> {
        fs::create_dir_all(self.now()).map_err(Error::io)?;
        self.open_in(&self.now()).await
    }

    fn persistent(&self) -> bool {
        true
    }

    async fn crash(&self) -> Result<()> {
        let before = self.now();
        self.crashes.fetch_add(1, Ordering::Relaxed);
        fs::create_dir_all(self.now()).map_err(Error::io)?;
        for file in fs::read_dir(before).map_err(Error::io)? {
            let file = file.map_err(Error::io)?;
            fs::copy(file.path(), self.now().join(file.file_name())).map_err(Error::io)?;
        }
        Ok(())
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.now())
    }

    async fn open_in(&self, folder: &Path) -> Result<OpenedStore> {
        let store = Arc::new(SqliteStore::open(folder.join("db"))?);
        Ok(OpenedStore {
            blobs: Some(store.clone()),
            dag: Some(store),
        })
    }
}
