//! One open handle per path and process.
//!
//! Engines lock their folder, so a second opening in the same process must share the first. This is
//! the one table that a process has only one of: the lock that it mirrors is per process too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use deriva_api::Result;
use parking_lot::{Condvar, Mutex};

/// The handles of one kind of store, by canonical path.
pub(crate) struct Handles<T: 'static> {
    open: Mutex<BTreeMap<PathBuf, Weak<T>>>,
    changed: Condvar,
}

/// The place of an open handle. Dropped last by whatever holds it, it lets the path be opened anew.
pub(crate) struct Slot<T: 'static> {
    handles: &'static Handles<T>,
    path: PathBuf,
}

impl<T> Handles<T> {
    pub(crate) const fn new() -> Self {
        Self {
            open: Mutex::new(BTreeMap::new()),
            changed: Condvar::new(),
        }
    }

    /// The open handle of `path`, or the one that `make` makes. Waits while another thread is opening
    /// or closing the same path.
    pub(crate) fn open(
        &'static self,
        path: &Path,
        make: impl FnOnce(Slot<T>) -> Result<Arc<T>>,
    ) -> Result<Arc<T>> {
        let mut open = self.open.lock();
        while let Some(handle) = open.get(path) {
            if let Some(handle) = handle.upgrade() {
                return Ok(handle);
            }
            self.changed.wait(&mut open);
        }
        open.insert(path.to_owned(), Weak::new());
        drop(open);
        let slot = Slot {
            handles: self,
            path: path.to_owned(),
        };
        let made = make(slot)?;
        let mut open = self.open.lock();
        open.insert(path.to_owned(), Arc::downgrade(&made));
        drop(open);
        self.changed.notify_all();
        Ok(made)
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        self.handles.open.lock().remove(&self.path);
        self.handles.changed.notify_all();
    }
}
