//! A store for deriva on SQLite, written as somebody outside the project would: with `deriva-api` to
//! implement and `deriva-testkit` to be tested by.
//!
//! One database file holds blobs and recipes. It is simple before it is fast: calls run on the calling
//! thread after one mutex, and each write is a transaction of its own, synced before it is acknowledged.
//! Rows that do not hash to their own key carry a checksum, since a store must never serve wrong bytes
//! and SQLite does not check its pages.

mod blobs;
mod dag;

use std::fmt;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deriva_api::authors::pages;
use deriva_api::{BoxStream, CAddr, Capabilities, DurabilityClass, Error, ErrorKind, Result};
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, Transaction};

/// Rows that a stream reads at once.
const PAGE: i64 = 256;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS blobs (addr BLOB PRIMARY KEY, bytes BLOB NOT NULL, sum BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS recipes (addr BLOB PRIMARY KEY, canonical BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS edges (input BLOB, dependent BLOB, sum BLOB NOT NULL, PRIMARY KEY (input, dependent)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS outputs (addr BLOB PRIMARY KEY, output BLOB NOT NULL, sum BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS roots (name BLOB PRIMARY KEY, addr BLOB NOT NULL, sum BLOB NOT NULL);
    PRAGMA user_version = 1;
";

/// A commit waits until it is on the disk.
const SYNCED: &str = match cfg!(feature = "planted-no-sync") {
    false => "PRAGMA synchronous = FULL;",
    true => "PRAGMA synchronous = OFF;",
};

/// A blob store and a DAG store in one SQLite database. Clones share the connection.
#[derive(Clone)]
pub struct SqliteStore {
    path: Arc<PathBuf>,
    db: Arc<Mutex<Connection>>,
}

impl SqliteStore {
    /// Opens the database file `path`, created where it is not there.
    ///
    /// # Errors
    /// `Locked` while somebody has it open, `Corrupt` when it is damaged or no database, `Unsupported`
    /// when a newer version of this crate wrote it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let open = || {
            let db = Connection::open(&path).map_err(error)?;
            // Before anything is read: there is one process, which needs no memory shared with others.
            db.execute_batch("PRAGMA locking_mode = EXCLUSIVE;")
                .map_err(error)?;
            let version: i64 = db
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .map_err(error)?;
            if version > 1 {
                let message = "a newer version of this store wrote the database";
                return Err(Error::new(ErrorKind::Unsupported, message).with("version", version));
            }
            db.execute_batch(SYNCED)
                .and_then(|()| db.execute_batch(SCHEMA))
                .map_err(error)?;
            // In this locking mode the lock is taken by the first write and kept.
            db.execute_batch("BEGIN IMMEDIATE; COMMIT;")
                .map_err(error)?;
            Ok(db)
        };
        let db = open().map_err(|error| error.during("open").with("path", path.display()))?;
        Ok(Self {
            path: Arc::new(path),
            db: Arc::new(Mutex::new(db)),
        })
    }

    /// Counting rows is a scan in SQLite, so `usage` is not offered; all else is.
    fn declared() -> Capabilities {
        Capabilities::new(DurabilityClass::PowerLoss).usage(false)
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        read(&self.db.lock())
    }

    /// Runs `write` in a transaction: all of it happens, or none.
    fn write<T>(&self, write: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut db = self.db.lock();
        let transaction = db.transaction().map_err(error)?;
        let written = write(&transaction)?;
        transaction.commit().map_err(error)?;
        Ok(written)
    }

    /// A stream over a table in the order of its keys, a page at a time. `page` answers the rows after
    /// a key, each with its key.
    fn stream<'a, T: Send + 'a>(
        &'a self,
        after: Option<Vec<u8>>,
        page: impl Fn(&Connection, &[u8]) -> Result<Vec<(Vec<u8>, T)>> + Send + Sync + 'a,
    ) -> BoxStream<'a, Result<T>> {
        // No key is empty, so that all keys lie after the empty one.
        pages(after.unwrap_or_default(), move |after| {
            ready(self.read(|db| page(db, &after)))
        })
    }
}

/// Eight bytes that tell a damaged row from a good one.
fn checksum(key: &[u8], value: &[u8]) -> [u8; 8] {
    let hash = CAddr::of_blob(&[key, value].concat());
    std::array::from_fn(|i| hash.as_bytes()[i])
}

fn check(key: &[u8], value: &[u8], sum: &[u8]) -> Result<()> {
    match checksum(key, value) == sum {
        true => Ok(()),
        false => Err(damaged(key)),
    }
}

fn damaged(key: &[u8]) -> Error {
    Error::new(ErrorKind::Corrupt, "a row of the database is damaged")
        .with("key", key.escape_ascii())
}

fn addr(bytes: &[u8]) -> Result<CAddr> {
    CAddr::from_slice(bytes).map_err(|_| damaged(bytes))
}

fn error(source: rusqlite::Error) -> Error {
    let extended = source.sqlite_error().map(|error| error.extended_code);
    let (kind, message) = match source.sqlite_error_code() {
        // The file ends where a page should be.
        _ if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHORT_READ) => {
            (ErrorKind::Corrupt, "the database is cut off")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Locked, "somebody else has the database open")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (ErrorKind::Corrupt, "the database is damaged")
        }
        Some(ErrorCode::DiskFull) => (ErrorKind::Full, "the disk is full"),
        Some(ErrorCode::TooBig) => (ErrorKind::Invalid, "SQLite takes a gigabyte at the most"),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            ErrorKind::Invalid,
            "the database cannot be opened for writing",
        ),
        // A column of another type than was written, or a table that is gone.
        None => (ErrorKind::Corrupt, "the database holds something else"),
        Some(_) => (ErrorKind::Internal, "SQLite failed unexpectedly"),
    };
    Error::new(kind, message).caused_by(source)
}

impl fmt::Display for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.path.display())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteStore({})", self.path.display())
    }
}
