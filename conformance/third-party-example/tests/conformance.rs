//! Every promise of the contracts, one test each.

use std::path::PathBuf;

use async_trait::async_trait;
use deriva_api::{OpenedStore, Result};
use deriva_sqlite_example::SqliteStore;
use deriva_testkit::{Fixture, blob_store_conformance, dag_store_conformance};
use std::sync::Arc;

#[derive(Debug)]
struct InFolder(tempfile::TempDir);
impl InFolder { fn new() -> Self { Self(tempfile::tempdir().unwrap()) } }
#[async_trait]
impl Fixture for InFolder {
    async fn open(&self) -> Result<OpenedStore> {
        let store = Arc::new(SqliteStore::open(self.0.path().join("db"))?);
        Ok(OpenedStore { blobs: Some(store.clone()), dag: Some(store) })
    }
    fn persistent(&self) -> bool { true }
}

blob_store_conformance!(sqlite, InFolder::new());
mod graph { use super::*;
dag_store_conformance!(sqlite, InFolder::new());
}
