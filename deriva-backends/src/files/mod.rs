#![doc = include_str!("README.md")]

mod checked;
mod config;
pub(crate) mod disk;
mod doubt;
mod map;
pub(crate) mod spool;
mod store;
mod usage;

use async_trait::async_trait;
use deriva_api::{OpenedStore, Result, StoreFactory, StoreUri};

pub use config::FilesConfig;
pub use store::FileStore;

/// Opens `files:PATH`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FilesFactory;

#[async_trait]
impl StoreFactory for FilesFactory {
    fn scheme(&self) -> &str {
        crate::SCHEME_FILES
    }

    fn description(&self) -> &str {
        "blobs as files in a folder (no recipes)"
    }

    fn check(&self, uri: &StoreUri) -> Result<()> {
        FilesConfig::from_uri(uri).map(drop)
    }

    async fn open(&self, uri: &StoreUri) -> Result<OpenedStore> {
        FilesConfig::from_uri(uri)?.open().await
    }
}
