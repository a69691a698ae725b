//! How the cases open mutants.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use deriva_api::{BlobStore, ComputeFunction, Error, Executor, ExecutorLayer, OpenedStore, Result};
use deriva_testkit::{ExecutorFixture, Fixture};
use parking_lot::Mutex;
use tempfile::TempDir;

use super::disk::Disk;
use super::executor::Threads;
use super::executor_layer::Remember;
use super::layer;
use super::list::Break;
use super::store::Store;

/// The store in a folder of its own, with or without a break.
#[derive(Debug)]
pub(super) struct StoreFixture {
    broken: Option<Break>,
    folder: TempDir,
    /// What is open: a second opening shares it.
    open: Mutex<Weak<Mutex<Disk>>>,
}

impl StoreFixture {
    pub(super) fn new(broken: Option<Break>) -> Result<Self> {
        Ok(Self {
            broken,
            folder: tempfile::tempdir().map_err(Error::io)?,
            open: Mutex::default(),
        })
    }
}

#[async_trait]
impl Fixture for StoreFixture {
    async fn open(&self) -> Result<OpenedStore> {
        let mut open = self.open.lock();
        let disk = match open.upgrade() {
            Some(disk) => disk,
            None => Arc::new(Mutex::new(Disk::open(self.folder.path(), self.broken)?)),
        };
        *open = Arc::downgrade(&disk);
        let store = Arc::new(Store::new(disk, self.broken));
        Ok(OpenedStore {
            blobs: Some(store.clone()),
            dag: Some(store),
        })
    }

    fn persistent(&self) -> bool {
        true
    }

    async fn crash(&self) -> Result<()> {
        let killed = std::mem::take(&mut *self.open.lock());
        if let Some(disk) = killed.upgrade() {
            disk.lock().kill();
        }
        Ok(())
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.folder.path().to_owned())
    }
}

/// The layer, with or without a break, over a store that is whole.
#[derive(Debug)]
pub(super) struct LayerFixture {
    pub(super) store: StoreFixture,
    pub(super) broken: Option<Break>,
}

#[async_trait]
impl Fixture for LayerFixture {
    async fn open(&self) -> Result<OpenedStore> {
        Ok(layer::wrap(self.store.open().await?, self.broken))
    }

    fn persistent(&self) -> bool {
        self.store.persistent()
    }

    async fn crash(&self) -> Result<()> {
        self.store.crash().await
    }

    fn folder(&self) -> Option<PathBuf> {
        self.store.folder()
    }
}

/// The executor, with or without a break.
#[derive(Debug)]
pub(super) struct ThreadsFixture(pub(super) Option<Break>);

#[async_trait]
impl ExecutorFixture for ThreadsFixture {
    async fn open(
        &self,
        functions: Vec<Arc<dyn ComputeFunction>>,
        _: Arc<dyn BlobStore>,
    ) -> Result<Arc<dyn Executor>> {
        Ok(Arc::new(Threads::new(functions, self.0)))
    }
}

/// The layer, with or without a break, around an executor that is whole.
#[derive(Debug)]
pub(super) struct RememberingFixture(pub(super) Option<Break>);

#[async_trait]
impl ExecutorFixture for RememberingFixture {
    async fn open(
        &self,
        functions: Vec<Arc<dyn ComputeFunction>>,
        _: Arc<dyn BlobStore>,
    ) -> Result<Arc<dyn Executor>> {
        let whole = Arc::new(Threads::new(functions, None));
        Ok(Remember(self.0).wrap(whole))
    }
}
