//! How the cases come by what they check.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{BlobStore, ComputeFunction, Error, ErrorKind, Executor, OpenedStore, Result};

/// Opens the store that a case works on. Each case gets a fixture of its own.
#[async_trait]
pub trait Fixture: Debug + Send + Sync {
    /// Opens the store: empty the first time. Later, when all handles were dropped, it holds what was
    /// there before if [`Fixture::persistent`].
    async fn open(&self) -> Result<OpenedStore>;

    /// Whether contents survive closing.
    fn persistent(&self) -> bool;

    /// Called while handles are open and no call is under way: what [`Fixture::open`] opens next is
    /// what a killed process would have left at this moment. The handles are dropped afterwards.
    ///
    /// For a store that is files in a folder: copy the folder, and open the copy next.
    ///
    /// # Errors
    /// `Unsupported` where that cannot be shown; this is the default.
    async fn crash(&self) -> Result<()> {
        let message = "this fixture cannot show what a killed process leaves";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// The folder where the bytes of the store lie, for the cases that damage them while it is closed.
    /// The default is none.
    fn folder(&self) -> Option<PathBuf> {
        None
    }
}

#[async_trait]
impl<F: Fixture + ?Sized> Fixture for Arc<F> {
    async fn open(&self) -> Result<OpenedStore> {
        (**self).open().await
    }

    fn persistent(&self) -> bool {
        (**self).persistent()
    }

    async fn crash(&self) -> Result<()> {
        (**self).crash().await
    }

    fn folder(&self) -> Option<PathBuf> {
        (**self).folder()
    }
}

/// Opens the executor that a case works on.
#[async_trait]
pub trait ExecutorFixture: Debug + Send + Sync {
    /// An executor that knows these functions. An executor that wants its operands stored finds them in
    /// `blobs`, and puts its outputs there.
    async fn open(
        &self,
        functions: Vec<Arc<dyn ComputeFunction>>,
        blobs: Arc<dyn BlobStore>,
    ) -> Result<Arc<dyn Executor>>;
}

#[async_trait]
impl<F: ExecutorFixture + ?Sized> ExecutorFixture for Arc<F> {
    async fn open(
        &self,
        functions: Vec<Arc<dyn ComputeFunction>>,
        blobs: Arc<dyn BlobStore>,
    ) -> Result<Arc<dyn Executor>> {
        (**self).open(functions, blobs).await
    }
}
