//! Settings of a sled store.

use std::path::PathBuf;

use deriva_api::{Error, ErrorKind, OpenedStore, Result, StoreUri};

use crate::kv::{KvConfig, ReadPolicy};
use crate::{Durability, options};

const DEFAULT_CACHE: u64 = 256 << 20;
const MIN_CACHE: u64 = 1 << 20;
const DEFAULT_BLOB_THRESHOLD: u64 = 32 << 10;
const MAX_BLOB_THRESHOLD: u64 = 64 << 10;

/// Settings of a sled store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SledConfig {
    pub(super) kv: KvConfig,
    pub(super) cache: u64,
}

impl SledConfig {
    /// A store in the folder `path`, created where it is not there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            kv: KvConfig {
                scheme: super::SCHEME,
                path: path.into(),
                durability: Durability::default(),
                blob_threshold: DEFAULT_BLOB_THRESHOLD,
                reads: ReadPolicy::default(),
                engine: DEFAULT_CACHE,
            },
            cache: DEFAULT_CACHE,
        }
    }

    /// When writes are acknowledged. Default: [`Durability::Sync`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.kv.durability = durability;
        self
    }

    /// Memory for sled's page cache, in bytes, about. Default: 256 MiB. At least 1 MiB is used.
    #[must_use]
    pub fn cache(mut self, bytes: u64) -> Self {
        self.cache = bytes.max(MIN_CACHE);
        self.kv.engine = self.cache;
        self
    }

    /// Blobs of this many bytes and more are kept as files beside the database. Default: 32 KiB, at
    /// most 64 KiB; 0 keeps every blob as a file. It may differ from one opening to the next.
    #[must_use]
    pub fn blob_threshold(mut self, bytes: u64) -> Self {
        self.kv.blob_threshold = bytes;
        self
    }

    /// Where the database is read. Default: [`ReadPolicy::Inline`].
    #[must_use]
    pub fn reads(mut self, policy: ReadPolicy) -> Self {
        self.kv.reads = policy;
        self
    }

    /// Opens the store: a blob store and a DAG store in one.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] while another process has it open, `Conflict` when this process has it
    /// open with other settings, `Unsupported` when a newer deriva wrote it, `Invalid` when the path
    /// is no folder, holds something else or may not be written, or the threshold is too large.
    pub async fn open(self) -> Result<OpenedStore> {
        if self.kv.blob_threshold > MAX_BLOB_THRESHOLD {
            let message = "the blob threshold of sled is 64 KiB at the most";
            return Err(Error::new(ErrorKind::Invalid, message)
                .with("blob_threshold", self.kv.blob_threshold)
                .hint("sled moves larger values to files that it never syncs"));
        }
        super::open(self).await
    }

    pub(super) fn from_uri(uri: &StoreUri) -> Result<Self> {
        uri.allow_options(&["durability", "cache", "blob_threshold"])?;
        let mut config = Self::new(options::path(uri)?);
        if let Some(durability) = options::durability(uri)? {
            config = config.durability(durability);
        }
        if let Some(bytes) = options::bytes(uri, "cache")? {
            if bytes < MIN_CACHE {
                return Err(uri
                    .invalid("the cache is too small")
                    .with("option", "cache")
                    .with("at_least", "1MiB"));
            }
            config = config.cache(bytes);
        }
        if let Some(bytes) = options::bytes(uri, "blob_threshold")? {
            config = config.blob_threshold(bytes);
        }
        Ok(config)
    }
}
