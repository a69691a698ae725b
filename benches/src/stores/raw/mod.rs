//! The engines alone, set as the stores set them.

mod group;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sled;

use std::path::Path;

use deriva::prelude::*;

pub(super) use group::GroupCommit;

/// A key and its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Memory for an engine's cache, as in the stores.
const CACHE: u64 = 256 << 20;

/// An engine without deriva.
pub(crate) trait Raw: Send + Sync {
    /// Writes the rows in one batch, durable when it returns.
    fn write(&self, rows: &[Row]) -> Result<()>;

    /// Reads a value where it lies.
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<()>;

    /// Reads the rows whose keys begin with `prefix`; answers how many.
    fn scan(&self, prefix: &[u8], read: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sled,
    Redb,
    #[cfg(feature = "rocksdb")]
    RocksDb,
}

impl Engine {
    pub(crate) const ALL: &[Self] = &[
        Self::Sled,
        Self::Redb,
        #[cfg(feature = "rocksdb")]
        Self::RocksDb,
    ];

    /// The scheme of its stores.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Redb => "redb",
            #[cfg(feature = "rocksdb")]
            Self::RocksDb => "rocksdb",
        }
    }

    /// Opens the database in this folder, or a new one.
    pub(super) fn open(self, folder: &Path) -> Result<Box<dyn Raw>> {
        std::fs::create_dir_all(folder).map_err(Error::io)?;
        Ok(match self {
            Self::Sled => Box::new(sled::RawSled::open(folder)?),
            Self::Redb => Box::new(redb::RawRedb::open(folder)?),
            #[cfg(feature = "rocksdb")]
            Self::RocksDb => Box::new(rocksdb::RawRocksDb::open(folder)?),
        })
    }
}

fn failed(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, "the engine alone failed").caused_by(source)
}
