//! Settings of a RocksDB store.

use super::engine::RocksDbEngine;
use crate::kv::{KvConfig, Limits, kv_config};

const LIMITS: Limits = Limits {
    scheme: super::SCHEME,
    cache: 256 << 20,
    min_cache: 1 << 20,
    blob_threshold: 32 << 10,
    max_blob_threshold: 1 << 20,
    why_max: "RocksDB writes a value again with each compaction that meets it",
};

/// Settings of a RocksDB store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocksDbConfig {
    kv: KvConfig,
}

kv_config!(
    RocksDbConfig, RocksDbEngine, LIMITS,
    cache: "Up to 64 MiB of writes that are not sorted into files yet come on top. \
            Default: 256 MiB, at least 1 MiB and at most 16 TiB.",
    blob_threshold: "Default: 32 KiB, at most 1 MiB."
);
