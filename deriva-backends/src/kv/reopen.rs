//! A database that is closed and opened again, in place, after an error that it does not live through.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use deriva_api::{Error, ErrorKind, Result};
use parking_lot::RwLock;

use super::panics::caught;

/// What went wrong in a database.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// The database refuses further work until it is opened again.
    pub(crate) fatal: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let fatal = false;
        Self { error, fatal }
    }
}

/// An open database of type `D`.
pub(crate) struct Reopening<D> {
    current: RwLock<Option<D>>,
    broken: AtomicBool,
    opened: AtomicU64,
    open: Box<dyn Fn() -> Result<D> + Send + Sync>,
}

impl<D> Reopening<D> {
    pub(crate) fn new(open: impl Fn() -> Result<D> + Send + Sync + 'static) -> Result<Self> {
        Ok(Self {
            current: RwLock::new(Some(open()?)),
            broken: AtomicBool::new(false),
            opened: AtomicU64::new(1),
            open: Box::new(open),
        })
    }

    /// Works on the database. After a fatal failure the next call opens it again first, and fails as
    /// long as that does.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&D) -> Result<T, Failure>) -> Result<T> {
        if self.broken.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let current = self.current.read();
        let Some(database) = &*current else {
            // Another thread failed to open it a moment ago.
            let error = Error::new(ErrorKind::Unavailable, "the database is being opened again");
            return Err(error.hint("try again"));
        };
        work(database).map_err(|failure| {
            if failure.fatal {
                self.broken.store(true, Ordering::Release);
            }
            failure.error
        })
    }

    /// How often it was opened.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Acquire)
    }

    fn reopen(&self) -> Result<()> {
        let mut current = self.current.write();
        if self.broken.load(Ordering::Acquire) {
            // Closed first: it locks its files.
            close(&mut current);
            *current = Some((self.open)().map_err(|error| error.during("reopen"))?);
            self.opened.fetch_add(1, Ordering::AcqRel);
            self.broken.store(false, Ordering::Release);
        }
        Ok(())
    }
}

impl<D> Drop for Reopening<D> {
    fn drop(&mut self) {
        close(self.current.get_mut());
    }
}

/// Closes a database, which may panic when it is damaged.
fn close<D>(current: &mut Option<D>) {
    let database = current.take();
    caught("", || drop(database)).ok();
}

impl<D> fmt::Debug for Reopening<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reopening(opened {} times)", self.opened())
    }
}
