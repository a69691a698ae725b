//! Settings of a sled store.

use super::engine::SledEngine;
use crate::kv::{KvConfig, Limits, kv_config};

const LIMITS: Limits = Limits {
    scheme: super::SCHEME,
    cache: 256 << 20,
    min_cache: 1 << 20,
    blob_threshold: 32 << 10,
    max_blob_threshold: 32 << 10,
    why_max: "sled moves leaves with larger values to files that it never syncs",
};

/// Settings of a sled store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SledConfig {
    kv: KvConfig,
}

kv_config!(
    SledConfig, SledEngine, LIMITS,
    cache: "Default: 256 MiB, at least 1 MiB and at most 16 TiB.",
    blob_threshold: "Default: 32 KiB, which is also the most."
);
