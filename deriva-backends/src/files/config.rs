//! Settings of a file store.

use std::path::PathBuf;

use deriva_api::{OpenedStore, Result, StoreUri};

use crate::{Durability, options};

/// Settings of a [`super::FileStore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesConfig {
    pub(super) path: PathBuf,
    pub(super) durability: Durability,
}

impl FilesConfig {
    /// A store in the folder `path`, created where it is not there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::default(),
        }
    }

    /// When writes are acknowledged. Default: [`Durability::Sync`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Opens the store; for reading, where it may not be written.
    ///
    /// # Errors
    /// [`deriva_api::ErrorKind::Locked`] while another process has it open, `Conflict` when this
    /// process has it open with other settings, `Invalid` when the path is no folder, holds
    /// something else, or may not be written and holds no store that was created to the end.
    pub async fn open(self) -> Result<OpenedStore> {
        super::store::open(self).await
    }

    pub(super) fn from_uri(uri: &StoreUri) -> Result<Self> {
        uri.allow_options(&["durability"])?;
        let config = Self::new(options::path(uri)?);
        Ok(config.durability(options::durability(uri)?.unwrap_or_default()))
    }
}
