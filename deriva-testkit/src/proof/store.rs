//! The store that is proved, and how processes open it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{BlobStore, DagStore, Error, ErrorKind, OpenedStore, Result};

use super::{Broken, Program};
use crate::Fixture;

/// A store that other processes open in a folder that they are told.
#[async_trait]
pub trait Provable: fmt::Debug + Send + Sync {
    /// How reports call it.
    fn name(&self) -> String;

    /// Opens the store that lies in `folder`: a new one the first time, later what another process left.
    async fn open(&self, folder: &Path) -> Result<OpenedStore>;

    /// Whether opening makes the folder. If not, the default, it is there and empty at first.
    fn makes_folder(&self) -> bool {
        false
    }

    /// Places on the way of a write where [`Provable::arm`] ends the process; first those that only a young
    /// store surely passes. The default is none.
    fn failpoints(&self) -> &'static [&'static str] {
        &[]
    }

    /// From now on `then` is called whenever this process passes the failpoint `name`.
    fn arm(&self, _name: &str, _then: Box<dyn Fn() + Send + Sync>) {}

    /// Files that need no sync; see [`Fixture::dispensable`].
    fn dispensable(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether damage is noticed; see [`Fixture::notices_damage`].
    fn notices_damage(&self) -> bool {
        true
    }

    /// Whether the lengths that a store lists are checked, so that damage cannot change them. A store that
    /// lists the lengths that its files have says no.
    fn checks_lengths(&self) -> bool {
        true
    }
}

/// A fixture is provable where it opens its store in a folder.
#[derive(Debug)]
struct OfFixture(Arc<dyn Fixture>);

#[async_trait]
impl Provable for OfFixture {
    fn name(&self) -> String {
        "the store".to_owned()
    }

    async fn open(&self, folder: &Path) -> Result<OpenedStore> {
        self.0.open_in(folder).await
    }

    fn dispensable(&self) -> &'static [&'static str] {
        self.0.dispensable()
    }

    fn notices_damage(&self) -> bool {
        self.0.notices_damage()
    }
}

/// A store, and the program whose processes open it, are killed, and read what is left.
#[derive(Clone, Debug)]
pub struct Prover {
    pub(crate) store: Arc<dyn Provable>,
    pub(crate) program: Program,
}

impl Prover {
    /// Proofs about `store`, in processes of `program`, each of which comes to [`super::serve`] with the same
    /// store.
    pub fn new(store: impl Provable + 'static, program: Program) -> Self {
        Self {
            store: Arc::new(store),
            program,
        }
    }

    /// Proofs about what [`Fixture::open_in`] opens.
    pub fn of_fixture(fixture: Arc<dyn Fixture>, program: Program) -> Self {
        Self::new(OfFixture(fixture), program)
    }

    /// Where the store lies in `folder`, made ready for its first opening.
    pub(crate) fn place(&self, folder: &Path) -> Result<PathBuf, Broken> {
        let place = folder.join("store");
        if !self.store.makes_folder() {
            std::fs::create_dir_all(&place)?;
        }
        Ok(place)
    }

    pub(crate) async fn open(&self, place: &Path) -> Result<Stores> {
        Stores::open(&*self.store, place).await
    }

    pub(crate) fn notices_damage(&self) -> bool {
        self.store.notices_damage()
    }
}

/// Runs the job that the process was started for on what `fixture` opens; see [`super::serve`].
pub fn serve_fixture(fixture: Arc<dyn Fixture>) {
    super::serve(&OfFixture(fixture));
}

/// An open store; some have no DAG.
pub(crate) struct Stores {
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) dag: Option<Arc<dyn DagStore>>,
}

impl Stores {
    pub(crate) async fn open(store: &dyn Provable, place: &Path) -> Result<Self> {
        let opened = store.open(place).await?;
        let blobs = opened.blobs.ok_or_else(|| {
            let message = "a store that is proved must hold blobs";
            let hint = "open a blob store that lies in the same folder beside it";
            Error::new(ErrorKind::Unsupported, message).hint(hint)
        })?;
        Ok(Self {
            blobs,
            dag: opened.dag,
        })
    }

    pub(crate) async fn flush(&self) -> Result<()> {
        self.blobs.flush().await?;
        match &self.dag {
            Some(dag) => dag.flush().await,
            None => Ok(()),
        }
    }
}
