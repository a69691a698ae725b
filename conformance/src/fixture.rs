//! A store in a folder of its own, as the cases want it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use deriva_api::{Error, ErrorKind, OpenedStore, Result};
use deriva_testkit::Fixture;
use tempfile::TempDir;

use crate::stacks::Stack;
use crate::stores::Store;

/// A store under a stack of layers, in a new folder that goes with this value.
pub struct UriFixture {
    store: Store,
    stack: Stack,
    /// How often a process "died": each left a copy of the store, and the last is the one to open.
    crashes: AtomicUsize,
    /// How often it was opened.
    openings: AtomicUsize,
    // Dropping it deletes what is stored.
    folder: TempDir,
}

impl UriFixture {
    /// A store of `scheme` with `options` after it (`?durability=buffered`, or empty), without layers.
    ///
    /// # Panics
    /// When there is no such store, or no folder can be made.
    #[must_use]
    pub fn new(scheme: &str, options: &str) -> Self {
        Self::of(&format!("{scheme}{options}"), "none")
    }

    /// The store of this name ([`crate::stores`]) under the stack of this name ([`crate::stacks`]).
    ///
    /// # Panics
    /// When there is no such store or stack, or no folder can be made.
    #[must_use]
    #[allow(
        clippy::expect_used,
        reason = "a fixture that cannot be made fails its case"
    )]
    pub fn of(store: &str, stack: &str) -> Self {
        let store = store.parse().expect("a store");
        let stack = Stack::named(stack).expect("a stack of layers");
        Self::within(&store, stack, &std::env::temp_dir())
    }

    /// A store whose folder is made in `place`, or where the store's name says.
    ///
    /// # Panics
    /// When no folder can be made.
    #[must_use]
    #[allow(
        clippy::expect_used,
        reason = "a fixture that cannot be made fails its case"
    )]
    pub fn within(store: &Store, stack: Stack, place: &Path) -> Self {
        let folder = tempfile::tempdir_in(place).expect("a temporary folder");
        Self {
            store: store.clone(),
            stack,
            crashes: AtomicUsize::new(0),
            openings: AtomicUsize::new(0),
            folder,
        }
    }

    /// The URI of the store; of a split one, that of its DAG.
    #[must_use]
    pub fn uri(&self) -> String {
        let mut uris = self.store.uris_in(&self.place());
        uris.swap_remove(0)
    }

    /// Where the store lies now.
    fn place(&self) -> PathBuf {
        let crashes = self.crashes.load(Ordering::Relaxed);
        self.folder.path().join(format!("store{crashes}"))
    }
}

#[async_trait]
impl Fixture for UriFixture {
    async fn open(&self) -> Result<OpenedStore> {
        let mut place = self.place();
        // The half of a split store that would be there still begins anew, as the one in memory does.
        if !self.persistent() {
            let opening = self.openings.fetch_add(1, Ordering::Relaxed);
            place = place.join(opening.to_string());
        }
        let opened = self.store.open(&place).await?;
        self.stack.wrap(opened)
    }

    fn persistent(&self) -> bool {
        self.store.persistent()
    }

    async fn crash(&self) -> Result<()> {
        let Some(before) = self.folder() else {
            let message = "a store in memory leaves nothing";
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        // What lies in the files now is what a killed process would have left.
        self.crashes.fetch_add(1, Ordering::Relaxed);
        copy(&before, &self.place()).map_err(Error::io)
    }

    fn folder(&self) -> Option<PathBuf> {
        self.persistent().then(|| self.place())
    }

    async fn open_in(&self, folder: &Path) -> Result<OpenedStore> {
        if !self.persistent() {
            let message = "a store in memory leaves nothing";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let opened = self.store.open(&folder.join("store")).await?;
        self.stack.wrap(opened)
    }

    fn dispensable(&self) -> &'static [&'static str] {
        &["store/rocksdb/LOG", "store/commits"]
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
        write!(f, "{} in {}", self.store, self.place().display())
    }
}
