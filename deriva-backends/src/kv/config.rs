//! Settings of a store on an engine: the same options for all, each engine with its own defaults and
//! ranges.

use std::path::PathBuf;

use bytesize::ByteSize;
use deriva_api::{Error, ErrorKind, Result, StoreUri};

use super::read::ReadPolicy;
use crate::{Durability, options};

const OPTIONS: [&str; 3] = ["durability", "cache", "blob_threshold"];

/// More than any machine has; engines add to the number that they are given.
const MAX_CACHE: u64 = 16 << 40;

/// The settings. They are compared when one path is opened twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KvConfig {
    pub(crate) limits: &'static Limits,
    pub(crate) path: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) cache: u64,
    pub(crate) blob_threshold: u64,
    pub(crate) reads: ReadPolicy,
}

/// Defaults and ranges of an engine's settings, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) scheme: &'static str,
    pub(crate) cache: u64,
    pub(crate) min_cache: u64,
    pub(crate) blob_threshold: u64,
    pub(crate) max_blob_threshold: u64,
    /// Why larger blobs do not belong in the engine.
    pub(crate) why_max: &'static str,
}

impl KvConfig {
    pub(crate) fn new(path: PathBuf, limits: &'static Limits) -> Self {
        Self {
            limits,
            path,
            durability: Durability::default(),
            cache: limits.cache,
            blob_threshold: limits.blob_threshold,
            reads: ReadPolicy::default(),
        }
    }

    /// Reads and checks the options.
    pub(crate) fn from_uri(uri: &StoreUri, limits: &'static Limits) -> Result<Self> {
        uri.allow_options(&OPTIONS)?;
        let defaults = Self::new(options::path(uri)?, limits);
        let config = Self {
            durability: options::durability(uri)?.unwrap_or_default(),
            cache: options::bytes(uri, "cache")?.unwrap_or(limits.cache),
            blob_threshold: options::bytes(uri, "blob_threshold")?.unwrap_or(limits.blob_threshold),
            ..defaults
        };
        config.check()?;
        Ok(config)
    }

    /// The URI that opens a store with these settings.
    pub(crate) fn uri(&self) -> Result<StoreUri> {
        let limits = self.limits;
        let mut uri = options::uri(limits.scheme, &self.path, self.durability)?;
        if self.cache != limits.cache {
            uri = uri.with_option("cache", self.cache)?;
        }
        if self.blob_threshold != limits.blob_threshold {
            uri = uri.with_option("blob_threshold", self.blob_threshold)?;
        }
        Ok(uri)
    }

    /// Fails with `Invalid` where a setting is out of range.
    pub(crate) fn check(&self) -> Result<()> {
        let limits = self.limits;
        if self.cache < limits.min_cache {
            let range = format!("at least {}", ByteSize(limits.min_cache));
            return Err(out_of_range("cache", self.cache, range));
        }
        if self.cache > MAX_CACHE {
            let range = format!("at most {}", ByteSize(MAX_CACHE));
            return Err(out_of_range("cache", self.cache, range));
        }
        if self.blob_threshold > limits.max_blob_threshold {
            let range = format!("at most {}", ByteSize(limits.max_blob_threshold));
            let error = out_of_range("blob_threshold", self.blob_threshold, range);
            return Err(error.hint(limits.why_max));
        }
        Ok(())
    }
}

fn out_of_range(option: &'static str, given: u64, range: String) -> Error {
    Error::new(ErrorKind::Invalid, "a setting is out of range")
        .with("option", option)
        .with("given", given)
        .with("range", range)
}

/// The constructor, the setters and `open` of `$Config { kv: KvConfig }`, the settings of `$Engine` within
/// `$LIMITS`; open handles are in `super::HANDLES`. The literals say defaults and ranges in the documentation.
macro_rules! kv_config {
    ($Config:ident, $Engine:ident, $LIMITS:ident, cache: $cache:literal, blob_threshold: $threshold:literal) => {
        impl $Config {
            /// A store in the folder `path`, created where it is not there.
            #[must_use]
            pub fn new(path: impl Into<std::path::PathBuf>) -> Self {
                let kv = $crate::kv::KvConfig::new(path.into(), &$LIMITS);
                Self { kv }
            }

            /// When writes are acknowledged. Default: [`Durability::Sync`](crate::Durability::Sync).
            #[must_use]
            pub fn durability(mut self, durability: $crate::Durability) -> Self {
                self.kv.durability = durability;
                self
            }

            #[doc = concat!("Memory for the database's cache, in bytes, about. ", $cache)]
            #[must_use]
            pub fn cache(mut self, bytes: u64) -> Self {
                self.kv.cache = bytes;
                self
            }

            /// Blobs of this many bytes and more are kept as files beside the database; 0 keeps every
            /// blob as a file. It may differ from one opening to the next.
            #[doc = $threshold]
            #[must_use]
            pub fn blob_threshold(mut self, bytes: u64) -> Self {
                self.kv.blob_threshold = bytes;
                self
            }

            /// Where the database is read. Default: [`ReadPolicy::Inline`](crate::ReadPolicy::Inline).
            #[must_use]
            pub fn reads(mut self, policy: $crate::ReadPolicy) -> Self {
                self.kv.reads = policy;
                self
            }

            /// Opens the store: a blob store and a DAG store in one. Where it may not be written it is opened for
            /// reading, in a temporary copy of the database.
            ///
            /// # Errors
            /// [`ErrorKind`](deriva_api::ErrorKind)`::Locked` while another process has it open,
            /// `Conflict` when this process has it open with other settings, `Unsupported` when a newer
            /// deriva wrote it, `Invalid` when the path is no folder, holds something else, or may not be
            /// written and holds no store that was created to the end, or a setting is out of range,
            /// `Corrupt` when the database is damaged, `Full` when there is no room for a copy.
            pub async fn open(self) -> deriva_api::Result<deriva_api::OpenedStore> {
                self.kv.check()?;
                $crate::kv::KvStore::<$Engine>::open(&super::HANDLES, self.kv).await
            }

            pub(super) fn from_uri(uri: &deriva_api::StoreUri) -> deriva_api::Result<Self> {
                let kv = $crate::kv::KvConfig::from_uri(uri, &$LIMITS)?;
                Ok(Self { kv })
            }
        }
    };
}
pub(crate) use kv_config;
