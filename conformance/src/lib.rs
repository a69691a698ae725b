//! Fixtures for every store of deriva, shared by the tests of this crate.
//!
//! The tests hold each store to the cases of [`deriva_testkit`], to the model, and to what it has
//! acknowledged when its process is killed.

use std::fmt;

use async_trait::async_trait;
use deriva_api::{OpenedStore, Result};
use deriva_testkit::Fixture;
use tempfile::TempDir;

/// A store opened by URI, in a folder of its own that goes with this value.
pub struct UriFixture {
    uri: String,
    persistent: bool,
    // Kept until the last: dropping it deletes what is stored.
    _folder: TempDir,
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
        let folder = tempfile::tempdir().expect("a temporary folder");
        let persistent = scheme != "memory";
        let uri = match persistent {
            true => format!(
                "{scheme}:{}{options}",
                folder.path().join("store").display()
            ),
            false => format!("{scheme}:{options}"),
        };
        Self {
            uri,
            persistent,
            _folder: folder,
        }
    }

    /// The URI of the store.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

#[async_trait]
impl Fixture for UriFixture {
    async fn open(&self) -> Result<OpenedStore> {
        open(&self.uri).await
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

impl fmt::Debug for UriFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

/// Opens a store by URI, all schemes known.
///
/// # Errors
/// What parsing and the store say.
pub async fn open(uri: &str) -> Result<OpenedStore> {
    deriva_backends::registry().open(&uri.parse()?).await
}
