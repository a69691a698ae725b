#![doc = include_str!("README.md")]

mod config;
mod engine;
mod pages;

use async_trait::async_trait;
use deriva_api::{OpenedStore, Result, StoreFactory, StoreUri};

use crate::handles::Handles;
use crate::kv::Core;
use engine::RedbEngine;

pub use config::RedbConfig;

pub(crate) const SCHEME: &str = "redb";

static HANDLES: Handles<Core<RedbEngine>> = Handles::new();

/// Opens `redb:PATH`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedbFactory;

#[async_trait]
impl StoreFactory for RedbFactory {
    fn scheme(&self) -> &str {
        SCHEME
    }

    fn description(&self) -> &str {
        "embedded database in a file, pure Rust; fast reads, exact crash safety"
    }

    fn check(&self, uri: &StoreUri) -> Result<()> {
        RedbConfig::from_uri(uri).map(drop)
    }

    async fn open(&self, uri: &StoreUri) -> Result<OpenedStore> {
        RedbConfig::from_uri(uri)?.open().await
    }
}
