//! How the cases come by what they check.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
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

    /// Whether the store promises that damage to its files is noticed, and never answered with wrong bytes or the
    /// end of the process (X5). One that cannot, such as a database that maps its files and checks nothing, says no:
    /// reports then show the cases about damage as unsupported. The default is yes.
    fn notices_damage(&self) -> bool {
        true
    }

    /// Opens a store in a folder that is chosen by the caller, there, and empty the first time; later it holds
    /// what was left there, by this process or another. The proofs open stores like this ([`crate::proof`]).
    ///
    /// # Errors
    /// `Unsupported` where the store is not files in a folder; this is the default.
    async fn open_in(&self, folder: &Path) -> Result<OpenedStore> {
        let message = "this fixture opens no store in a folder that it is told";
        Err(Error::new(ErrorKind::Unsupported, message)
            .with("folder", folder.display())
            .hint("implement `Fixture::open_in`"))
    }

    /// Files, named by how their paths below that folder begin, that hold nothing an acknowledgement promises, such as
    /// a log for people: the proofs want no sync of them. The default is none.
    fn dispensable(&self) -> &'static [&'static str] {
        &[]
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

    fn notices_damage(&self) -> bool {
        (**self).notices_damage()
    }

    async fn open_in(&self, folder: &Path) -> Result<OpenedStore> {
        (**self).open_in(folder).await
    }

    fn dispensable(&self) -> &'static [&'static str] {
        (**self).dispensable()
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
