#![doc = include_str!("README.md")]

mod config;
mod engine;
mod large;
mod open;
mod parts;
#[cfg(test)]
mod replay;

use async_trait::async_trait;
use deriva_api::{OpenedStore, Result, StoreFactory, StoreUri};

use crate::handles::Handles;
use crate::kv::Core;
use engine::SledEngine;

pub use config::SledConfig;

pub(crate) const SCHEME: &str = "sled";

static HANDLES: Handles<Core<SledEngine>> = Handles::new();

/// Opens `sled:PATH`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SledFactory;

#[async_trait]
impl StoreFactory for SledFactory {
    fn scheme(&self) -> &str {
        SCHEME
    }

    fn description(&self) -> &str {
        "embedded database in a folder, pure Rust (the default)"
    }

    fn check(&self, uri: &StoreUri) -> Result<()> {
        SledConfig::from_uri(uri).map(drop)
    }

    async fn open(&self, uri: &StoreUri) -> Result<OpenedStore> {
        SledConfig::from_uri(uri)?.open().await
    }
}
