#![doc = include_str!("README.md")]

mod config;
mod engine;
mod logs;
mod tables;

use async_trait::async_trait;
use deriva_api::{OpenedStore, Result, StoreFactory, StoreUri};

use crate::handles::Handles;
use crate::kv::Core;
use engine::RocksDbEngine;

pub use config::RocksDbConfig;

pub(crate) const SCHEME: &str = "rocksdb";

static HANDLES: Handles<Core<RocksDbEngine>> = Handles::new();

/// Opens `rocksdb:PATH`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RocksDbFactory;

#[async_trait]
impl StoreFactory for RocksDbFactory {
    fn scheme(&self) -> &str {
        SCHEME
    }

    fn description(&self) -> &str {
        "embedded log-structured database in a folder, in C++: large stores, fast writes"
    }

    fn check(&self, uri: &StoreUri) -> Result<()> {
        RocksDbConfig::from_uri(uri).map(drop)
    }

    async fn open(&self, uri: &StoreUri) -> Result<OpenedStore> {
        RocksDbConfig::from_uri(uri)?.open().await
    }
}
