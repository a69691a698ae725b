//! Settings of a redb store.

use super::engine::RedbEngine;
use crate::kv::{KvConfig, Limits, kv_config};

const LIMITS: Limits = Limits {
    scheme: super::SCHEME,
    cache: 256 << 20,
    min_cache: 1 << 20,
    blob_threshold: 16 << 10,
    max_blob_threshold: 1 << 20,
    why_max: "redb copies large values, and rounds them up to a power of two on the disk",
};

/// Settings of a redb store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedbConfig {
    kv: KvConfig,
}

kv_config!(
    RedbConfig, RedbEngine, LIMITS,
    cache: "Default: 256 MiB, at least 1 MiB and at most 16 TiB.",
    blob_threshold: "Default: 16 KiB, at most 1 MiB."
);
