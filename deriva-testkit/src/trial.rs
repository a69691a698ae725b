//! One run of one case: its fixture, and what the case has to say beside holding or not.

use std::path::PathBuf;
use std::sync::Arc;

use deriva_api::{BlobStore, Clock, DagStore, Error, ErrorKind, OpenedStore, Result, SystemClock};
use parking_lot::Mutex;

use crate::Fixture;
use crate::proof::{Program, Prover};

/// Makes fixtures, each with a store of its own.
pub(crate) type Fixtures<F> = Arc<dyn Fn() -> Arc<F> + Send + Sync>;

/// What a case works with.
pub(crate) struct Trial<F: ?Sized> {
    pub(crate) notes: Mutex<Notes>,
    pub(crate) fixture: Arc<F>,
    /// Processes that come to the same suite, if there are any.
    pub(crate) program: Option<Program>,
    fixtures: Fixtures<F>,
}

/// What a case has said.
#[derive(Default)]
pub(crate) struct Notes {
    /// The capability that the store does not have; that it is answered so was asserted.
    pub(crate) unsupported: bool,
    /// The fixture has no store of the case's subject.
    pub(crate) missing: bool,
    pub(crate) lines: Vec<String>,
}

impl<F: ?Sized> Trial<F> {
    pub(crate) fn new(fixtures: &Fixtures<F>) -> Self {
        Self {
            notes: Mutex::default(),
            fixture: fixtures(),
            program: None,
            fixtures: fixtures.clone(),
        }
    }

    /// Another fixture, for a case that needs several stores.
    pub(crate) fn another(&self) -> Arc<F> {
        (self.fixtures)()
    }

    /// Ends a case whose capability the store does not have, and which has asserted that calls answer so.
    pub(crate) fn unsupported(&self, capability: &str) -> Result<()> {
        let mut notes = self.notes.lock();
        notes.unsupported = true;
        notes.lines.push(format!("{capability}: not declared"));
        Ok(())
    }

    /// The error of a fixture without the store that a case needs.
    pub(crate) fn missing(&self, what: &'static str) -> Error {
        self.notes.lock().missing = true;
        Error::new(ErrorKind::Unsupported, "the fixture has no such store").with("wanted", what)
    }
}

impl<F: ?Sized> Trial<F> {
    /// Does `work`, and reports how long it took for each of its `count` parts.
    pub(crate) async fn time<T>(
        &self,
        what: &str,
        count: u64,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let clock = SystemClock::new();
        let done = work.await?;
        let micros = clock.now().as_secs_f64() * 1e6 / count.max(1) as f64;
        self.notes
            .lock()
            .lines
            .push(format!("{what}: {micros:.1} us each"));
        Ok(done)
    }
}

impl Trial<dyn Fixture> {
    pub(crate) async fn open(&self) -> Result<OpenedStore> {
        self.fixture.open().await
    }

    /// Opens the store and takes its blob store.
    pub(crate) async fn blobs(&self) -> Result<Arc<dyn BlobStore>> {
        let opened = self.open().await?;
        opened.blobs.ok_or_else(|| self.missing("blob"))
    }

    /// Opens the store and takes its DAG store.
    pub(crate) async fn dag(&self) -> Result<Arc<dyn DagStore>> {
        let opened = self.open().await?;
        opened.dag.ok_or_else(|| self.missing("DAG"))
    }

    pub(crate) fn persistent(&self) -> bool {
        self.fixture.persistent()
    }

    /// Lets the process "die"; false where the fixture cannot show that.
    pub(crate) async fn crash(&self) -> Result<bool> {
        match self.fixture.crash().await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where the files lie that may be damaged.
    pub(crate) fn damageable(&self) -> Option<PathBuf> {
        let declared = self.persistent() && self.fixture.notices_damage();
        self.fixture.folder().filter(|_| declared)
    }

    /// The store in processes of its own that can be killed, where the fixture opens it there.
    pub(crate) async fn prover(&self) -> Option<Prover> {
        let program = self.program.clone()?;
        let folder = tempfile::tempdir().ok()?;
        match self.fixture.open_in(folder.path()).await {
            Ok(OpenedStore { blobs: None, .. }) => None,
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            _ => Some(Prover::of_fixture(self.fixture.clone(), program)),
        }
    }
}
