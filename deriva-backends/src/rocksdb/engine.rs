//! The verbs of an engine, on RocksDB.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use deriva_api::{DurabilityClass, Error, ErrorKind, Result};
use rocksdb::{
    Cache, ColumnFamily, DB, Direction, FlushOptions, IteratorMode, ReadOptions, WriteBatch,
    WriteOptions,
};

use super::logs;
use super::tables::{self, EDGES, EDGES_PREFIX, TABLES, Table, table_of};
use crate::folder::{at, locked, sync_folder};
use crate::kv::{self, DiskReserve, Engine, Failure, Place, Reopening, Write};

/// Keys of one look-up: until it ends, a block of the database is held for each.
const AT_ONCE: usize = 256;

#[derive(Debug)]
pub(super) struct RocksDbEngine {
    database: Reopening<Open>,
    folder: PathBuf,
}

impl Engine for RocksDbEngine {
    type Value = Bytes;

    const FORMS: &'static [&'static str] = &[super::SCHEME];

    /// It is in the log, which the system has.
    const APPLIED: DurabilityClass = DurabilityClass::ProcessCrash;

    /// Room to sort into files what the log holds.
    const RESERVE: DiskReserve = DiskReserve {
        bytes: 64 << 20,
        removals: 4 << 20,
        row: 64,
        amplification: 3,
    };

    /// Tables are written once.
    fn is_final(name: &str) -> bool {
        name.ends_with(".sst")
    }

    fn open(place: &Place, cache: u64) -> Result<Self> {
        let folder = place.folder.clone();
        let create = place.is_new;
        Ok(Self {
            folder: folder.clone(),
            database: Reopening::new(move || Open::new(&folder, create, cache))?,
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.database.with(|open| {
            let table = table_of(key).ok_or_else(unknown_table)?;
            let value = open.db.get_pinned_cf(open.family(table)?, key);
            let value = value.map_err(read_failure)?;
            Ok(value.map(|value| Bytes::copy_from_slice(&value)))
        })
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
        let table = match keys {
            [] => return Ok(Vec::new()),
            [key] => return Ok(vec![self.get(key)?]),
            [key, ..] => table_of(key).ok_or_else(unknown_table)?,
        };
        debug_assert!(keys.iter().all(|key| key.first() == Some(&table.prefix)));
        // RocksDB would sort them at three times the cost.
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by_key(|at| &keys[*at]);
        self.database.with(|open| {
            let family = open.family(table)?;
            let mut found = vec![None; keys.len()];
            for order in order.chunks(AT_ONCE) {
                let sorted = order.iter().map(|at| &keys[*at]);
                let values = open.db.batched_multi_get_cf(family, sorted, true);
                for (at, value) in order.iter().zip(values) {
                    let value = value.map_err(read_failure)?;
                    found[*at] = value.map(|value| Bytes::copy_from_slice(&value));
                }
            }
            Ok(found)
        })
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>> {
        self.database.with(|open| {
            let mut rows = Vec::new();
            let wanted = |table: &&Table| prefix.first().is_none_or(|byte| *byte == table.prefix);
            for table in TABLES.iter().filter(wanted) {
                open.scan(table, prefix, after, limit, &mut rows)?;
            }
            Ok(rows)
        })
    }

    fn apply(&self, writes: &[Write], durable: bool) -> Result<()> {
        self.database.with(|open| {
            let mut batch = WriteBatch::default();
            for (key, value) in writes {
                let family = open.family(table_of(key).ok_or_else(unknown_table)?)?;
                match value {
                    Some(value) => batch.put_cf(family, key, value),
                    None => batch.delete_cf(family, key),
                }
            }
            let mut options = WriteOptions::default();
            options.set_sync(durable);
            open.db.write_opt(batch, &options).map_err(write_failure)
        })
    }

    fn sync(&self) -> Result<()> {
        self.database
            .with(|open| open.db.flush_wal(true).map_err(write_failure))
    }

    fn rest(&self) -> Result<()> {
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        sync_folder(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync_folder)
    }
}

/// An open database.
#[derive(Debug)]
struct Open {
    db: DB,
}

impl Open {
    fn new(folder: &Path, create: bool, cache: u64) -> Result<Self> {
        // Near the end of its range RocksDB's sizes wrap round to none.
        let cache = usize::try_from(cache)
            .unwrap_or(usize::MAX)
            .min(isize::MAX as usize);
        let cache = Cache::new_lru_cache(cache);
        logs::settle(folder)?;
        let options = tables::database_options(create);
        match DB::open_cf_descriptors(&options, folder, tables::families(&cache)) {
            Ok(db) => Ok(Self { db }),
            Err(source) => Err(open_error(folder, source)),
        }
    }

    fn family(&self, table: &Table) -> Result<&ColumnFamily, Failure> {
        let family = self.db.cf_handle(table.family);
        family.ok_or_else(|| unknown_table().into())
    }

    /// Adds rows of one table until there are `limit`.
    fn scan(
        &self,
        table: &Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        rows: &mut Vec<(Vec<u8>, Bytes)>,
    ) -> Result<(), Failure> {
        let mut options = ReadOptions::default();
        // The bloom filters of prefixes serve where one prefix is asked for, and lead astray elsewhere.
        if table.family == EDGES && prefix.len() >= EDGES_PREFIX {
            options.set_prefix_same_as_start(true);
        } else {
            options.set_total_order_seek(true);
        }
        let from = after.unwrap_or(prefix);
        let start = IteratorMode::From(from, Direction::Forward);
        let family = self.family(table)?;
        for row in self.db.iterator_cf_opt(family, options, start) {
            let (key, value) = row.map_err(read_failure)?;
            if after == Some(&*key) {
                continue;
            }
            if rows.len() == limit || !key.starts_with(prefix) {
                break;
            }
            rows.push((key.into_vec(), Bytes::from(value)));
        }
        Ok(())
    }
}

impl Drop for Open {
    /// Sorts what the log holds into files, or the next opening would have to.
    fn drop(&mut self) {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let families: Vec<_> = TABLES
            .iter()
            .filter_map(|table| self.db.cf_handle(table.family))
            .collect();
        // Where this fails, the log still has everything.
        self.db.flush_cfs_opt(&families, &options).ok();
    }
}

fn unknown_table() -> Error {
    Error::new(ErrorKind::Internal, "this key belongs to no table")
}

fn read_failure(source: rocksdb::Error) -> Failure {
    error(source).into()
}

/// RocksDB takes up writing by itself when space returns; after other failures it is opened again.
fn write_failure(source: rocksdb::Error) -> Failure {
    let error = error(source);
    let fatal = error.kind() != ErrorKind::Full;
    Failure { error, fatal }
}

fn open_error(folder: &Path, source: rocksdb::Error) -> Error {
    let text = source.as_ref();
    if text.contains("While lock file") || text.contains("lock hold by") {
        return locked(folder).caused_by(source);
    }
    if text.contains("create_if_missing is false") {
        return at(folder, kv::gone()).caused_by(source);
    }
    if text.contains("Column families not opened") {
        let message = "this database has tables that this deriva does not know";
        return at(folder, Error::new(ErrorKind::Unsupported, message)).caused_by(source);
    }
    at(folder, error(source))
}

/// RocksDB tells details in the text alone.
fn error(source: rocksdb::Error) -> Error {
    use rocksdb::ErrorKind as Rocks;
    let text = source.as_ref();
    let (kind, message) = match source.kind() {
        _ if text.contains("No space left on device") => (ErrorKind::Full, "no space is left"),
        Rocks::IOError if text.contains("Permission denied") => {
            (ErrorKind::Invalid, "permission denied")
        }
        Rocks::IOError if text.contains("No such file") => {
            (ErrorKind::Corrupt, "a file of RocksDB is missing")
        }
        Rocks::Corruption => (ErrorKind::Corrupt, "RocksDB found its files damaged"),
        Rocks::NotSupported => (ErrorKind::Unsupported, "RocksDB cannot do this"),
        Rocks::TimedOut | Rocks::Busy | Rocks::TryAgain => {
            (ErrorKind::Unavailable, "RocksDB is busy")
        }
        _ => (ErrorKind::Internal, "RocksDB failed unexpectedly"),
    };
    Error::new(kind, message).caused_by(source)
}
