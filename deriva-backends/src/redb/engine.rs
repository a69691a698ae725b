//! The verbs of an engine, on redb 4.
//!
//! All tables are one table of redb, told apart by the prefixes of their keys. Readers share a snapshot
//! that each commit replaces: a read of its own begins and ends no transaction.

use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use deriva_api::{DurabilityClass, Error, ErrorKind, Result};
use parking_lot::{Mutex, RwLock};
use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition, WriteTransaction,
};

use crate::folder::{at, locked, sync_folder};
use crate::kv::{self, DiskReserve, Engine, Failure, Place, Reopening, Write};

use super::pages::Pages;

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// The database, in a file whose pages are checked.
const FILE: &str = "pages";
/// A database that is being created. It gets its name when it is whole.
const NEW: &str = "pages.new";
/// A database that an older version of deriva created: redb's own file, with pages that nobody
/// checks.
const UNCHECKED: &str = "db";

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

#[derive(Debug)]
pub(super) struct RedbEngine {
    database: Reopening<Open>,
    checked: bool,
    folder: PathBuf,
    pending: Mutex<Pending>,
}

/// What the last commits left to do.
#[derive(Debug, Default)]
struct Pending {
    /// Writes that are not durable yet, made in the database that was opened as this one.
    unsynced: Option<u64>,
    /// Such writes were lost, and no `sync` has told.
    lost: bool,
    /// The last commit did not record what makes an opening after a kill quick.
    repair: bool,
}

impl RedbEngine {
    /// Commits what `change` does, and lets readers see it.
    fn commit(
        &self,
        change: impl FnOnce(&mut WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<()> {
        self.database.with(|open| {
            self.check_kept()?;
            let transaction = caught(|| {
                let mut transaction = open.database.begin_write()?;
                change(&mut transaction)?;
                Ok(transaction)
            })?;
            failpoint!(ENGINE_WRITTEN);
            let committed = caught(|| {
                transaction.commit()?;
                snapshot(&open.database)
            });
            // Redb refuses to write again after a commit that failed.
            *open.rows.write() = committed.map_err(|failure| Failure {
                fatal: true,
                ..failure
            })?;
            Ok(())
        })
    }

    /// Fails, once, where the database was opened again since a write that was not durable: what is to
    /// be committed was decided with that write in view. Called while it cannot be opened again.
    fn check_kept(&self) -> Result<()> {
        let mut pending = self.pending.lock();
        let opened = self.database.opened();
        if pending.unsynced.is_none_or(|made_in| made_in == opened) {
            return Ok(());
        }
        pending.unsynced = None;
        pending.lost = true;
        Err(lost())
    }

    fn read<T>(&self, read: impl FnOnce(&Rows) -> Result<T, redb::Error>) -> Result<T> {
        self.database.with(|open| {
            let rows = open.rows.read().clone();
            caught(|| read(&rows))
        })
    }

    /// Makes all that was committed durable, and the next opening quick also after a kill.
    fn checkpoint(&self) -> Result<()> {
        self.commit(|transaction| {
            transaction.set_quick_repair(true);
            Ok(())
        })?;
        self.pending.lock().repair = false;
        Ok(())
    }
}

impl Engine for RedbEngine {
    type Value = Bytes;

    const FORMS: &'static [&'static str] = &["redb-pages", super::SCHEME];

    /// Redb holds it in the memory of the process until a durable commit.
    const APPLIED: DurabilityClass = DurabilityClass::None;

    /// Redb refuses all further work when the disk is full, and to open it again takes room too.
    const RESERVE: DiskReserve = DiskReserve {
        bytes: 8 << 20,
        removals: 2 << 20,
        row: 16 << 10,
        amplification: 3,
    };

    fn open(place: &Place, cache: u64) -> Result<Self> {
        let folder = place.folder.clone();
        let checked = !folder.join(UNCHECKED).exists();
        let file = folder.join(if checked { FILE } else { UNCHECKED });
        if file.exists() {
            // A killed process may have left commits with the system alone. They count as stored now.
            let synced = File::open(&file).and_then(|file| file.sync_all());
            synced.map_err(|source| at(&file, Error::io(source)))?;
        } else if place.is_new {
            caught(|| create(&folder)).map_err(|failure| at(&folder, failure.error))?;
        }
        let open = move || {
            let opened = caught(|| Open::new(&file, checked, cache));
            opened.map_err(|failure| match failure.error.kind() {
                ErrorKind::Locked => locked(&file).caused_by(failure.error),
                ErrorKind::NotFound => at(&file, kv::gone()).caused_by(failure.error),
                _ => at(&file, failure.error),
            })
        };
        Ok(Self {
            database: Reopening::new(open)?,
            checked,
            folder,
            pending: Mutex::default(),
        })
    }

    fn form(&self) -> &'static str {
        Self::FORMS[usize::from(!self.checked)]
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.read(|rows| get(rows, key))
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
        self.read(|rows| keys.iter().map(|key| get(rows, key)).collect())
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        self.read(|rows| {
            let mut found = Vec::new();
            for row in rows.range::<&[u8]>((from, Bound::Unbounded))? {
                let (key, value) = row?;
                if found.len() == limit || !key.value().starts_with(prefix) {
                    break;
                }
                found.push((key.value().to_vec(), Bytes::copy_from_slice(value.value())));
            }
            Ok(found)
        })
    }

    fn apply(&self, writes: &[Write], durable: bool) -> Result<()> {
        self.commit(|transaction| {
            let mut pending = self.pending.lock();
            if !durable {
                pending.unsynced.get_or_insert(self.database.opened());
            }
            pending.repair = true;
            drop(pending);
            transaction.set_durability(match durable {
                true => Durability::Immediate,
                false => Durability::None,
            })?;
            let mut rows = transaction.open_table(ROWS)?;
            for (key, value) in writes {
                match value {
                    Some(value) => rows.insert(key.as_slice(), value.as_ref())?,
                    None => rows.remove(key.as_slice())?,
                };
            }
            Ok(())
        })
    }

    fn sync(&self) -> Result<()> {
        let synced = self.checkpoint();
        let mut pending = self.pending.lock();
        if std::mem::take(&mut pending.lost) {
            return Err(lost());
        }
        if synced.is_ok() {
            pending.unsynced = None;
        }
        synced
    }

    fn rest(&self) -> Result<()> {
        let wanted = self.pending.lock().repair;
        if wanted { self.checkpoint() } else { Ok(()) }
    }

    fn settle(&self) -> Result<()> {
        sync_folder(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync_folder)
    }
}

/// An open database, and the snapshot that readers share.
#[derive(Debug)]
struct Open {
    rows: RwLock<Arc<Rows>>,
    database: Database,
}

impl Open {
    fn new(file: &Path, checked: bool, cache: u64) -> Result<Self, redb::Error> {
        let mut builder = Database::builder();
        builder.set_cache_size(usize::try_from(cache).unwrap_or(usize::MAX));
        let database = match checked {
            true => builder.create_with_backend(Pages::open(file)?)?,
            false => builder.open(file)?,
        };
        let rows = match snapshot(&database) {
            Err(redb::Error::TableDoesNotExist(_)) => {
                let transaction = database.begin_write()?;
                transaction.open_table(ROWS)?;
                transaction.commit()?;
                snapshot(&database)?
            }
            found => found?,
        };
        let rows = RwLock::new(rows);
        Ok(Self { rows, database })
    }
}

fn get(rows: &Rows, key: &[u8]) -> Result<Option<Bytes>, redb::Error> {
    let value = rows.get(key)?;
    Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
}

/// What is committed so far.
fn snapshot(database: &Database) -> Result<Arc<Rows>, redb::Error> {
    let transaction = database.begin_read()?;
    Ok(Arc::new(transaction.open_table(ROWS)?))
}

/// Creates a database under another name first: one that a crash cut short would not open.
fn create(folder: &Path) -> Result<(), redb::Error> {
    let new = folder.join(NEW);
    fs::create_dir_all(folder)?;
    if new.exists() {
        fs::remove_file(&new)?;
    }
    let pages = Pages::create(&new)?;
    Database::builder().create_with_backend(pages)?.close()?;
    File::open(&new)?.sync_all()?;
    Ok(fs::rename(&new, folder.join(FILE))?)
}

/// Turns a panic into an error: redb panics where it meets a page that makes no sense.
fn caught<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Failure> {
    kv::caught("redb found its file damaged", work)?.map_err(failure)
}

fn lost() -> Error {
    let message = "writes that were not durable yet were lost with an error of redb";
    Error::new(ErrorKind::Internal, message).hint("write them again")
}

fn failure(source: redb::Error) -> Failure {
    use redb::Error as Redb;
    let fatal = matches!(
        source,
        Redb::Io(_)
            | Redb::Backend(_)
            | Redb::PreviousIo
            | Redb::DatabaseClosed
            | Redb::LockPoisoned(_)
    );
    let error = error(source);
    Failure { error, fatal }
}

fn error(source: redb::Error) -> Error {
    use redb::Error as Redb;
    let (kind, message) = match source {
        Redb::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
            let message = "this file is not a redb database";
            return Error::new(ErrorKind::Corrupt, message).caused_by(source);
        }
        Redb::Io(source) => return Error::io(source),
        Redb::DatabaseAlreadyOpen => (ErrorKind::Locked, "the file is open elsewhere"),
        Redb::Corrupted(_) | Redb::RepairAborted => {
            (ErrorKind::Corrupt, "redb found its file damaged")
        }
        Redb::TableTypeMismatch { .. }
        | Redb::TableIsMultimap(_)
        | Redb::TypeDefinitionChanged { .. } => {
            (ErrorKind::Invalid, "the table is not one of deriva")
        }
        Redb::UpgradeRequired(_) => (
            ErrorKind::Unsupported,
            "the file has a format that this redb does not read",
        ),
        _ => (ErrorKind::Internal, "redb failed unexpectedly"),
    };
    Error::new(kind, message).caused_by(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str) -> Write {
        (key.as_bytes().to_vec(), Some(Bytes::from_static(b"value")))
    }

    /// As a read that fails leaves it: opened again before the next call. (Here the file is sound and
    /// closes with all that was written, so nothing is lost in truth.)
    fn open_again(engine: &RedbEngine) {
        let failed = engine.database.with(|_| {
            let error = Error::new(ErrorKind::Internal, "told to fail");
            Err::<(), _>(Failure { error, fatal: true })
        });
        assert!(failed.is_err());
    }

    #[test]
    fn a_batch_that_was_decided_with_lost_writes_in_view_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place {
            folder: dir.path().join("redb"),
            is_new: true,
        };
        let engine = RedbEngine::open(&place, 1 << 20).unwrap();
        engine.apply(&[row("synced")], false).unwrap();
        engine.sync().unwrap();
        engine.apply(&[row("lost")], false).unwrap();
        open_again(&engine);
        assert!(engine.apply(&[row("refused")], false).is_err());
        engine.apply(&[row("kept")], false).unwrap();
        assert!(engine.sync().is_err(), "told once");
        engine.sync().unwrap();
        open_again(&engine);
        engine.apply(&[row("durable")], true).unwrap();
        assert!(engine.get(b"refused").unwrap().is_none());
        for key in ["synced", "kept", "durable"] {
            assert!(engine.get(key.as_bytes()).unwrap().is_some(), "{key}");
        }
    }

    /// Loss of power in the middle of a commit, with its header on the disk and one of its pages
    /// not, or in parts: redb comes up with the commit before.
    #[test]
    fn a_torn_commit_is_rolled_back() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place {
            folder: dir.path().join("redb"),
            is_new: true,
        };
        let file = place.folder.join(FILE);
        let engine = RedbEngine::open(&place, 1 << 20).unwrap();
        let many = |name: &str| -> Vec<Write> {
            (0..200).map(|n| row(&format!("{name}{n:03}"))).collect()
        };
        engine.apply(&many("first"), true).unwrap();
        let mut before = fs::read(&file).unwrap();
        engine.apply(&many("second"), true).unwrap();
        let after = fs::read(&file).unwrap();
        drop(engine);
        // Redb syncs a file that grew before it uses the room.
        before.resize(after.len(), 0);
        let place = Place {
            is_new: false,
            ..place
        };
        // The first two blocks hold the header, the third checksums.
        let changed = (2..after.len() / 4096)
            .map(|block| block * 4096..(block + 1) * 4096)
            .filter(|bytes| before[bytes.clone()] != after[bytes.clone()]);
        let mut torn = 0;
        for bytes in changed {
            for lost in [bytes.clone(), bytes.start..bytes.start + 2048] {
                let mut found = after.clone();
                found[lost.clone()].copy_from_slice(&before[lost]);
                if found == after {
                    continue;
                }
                fs::write(&file, &found).unwrap();
                let engine = RedbEngine::open(&place, 1 << 20).unwrap();
                assert!(engine.get(b"first199").unwrap().is_some());
                assert!(engine.get(b"second000").unwrap().is_none());
                engine.apply(&[row("third")], true).unwrap();
                drop(engine);
                torn += 1;
            }
        }
        assert!(torn > 4, "{torn}");
    }

    /// As versions of deriva before checked pages created it.
    #[test]
    fn an_unchecked_database_stays_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(UNCHECKED);
        Database::create(&file).unwrap();
        for is_new in [true, false] {
            let folder = dir.path().to_owned();
            let engine = RedbEngine::open(&Place { folder, is_new }, 1 << 20).unwrap();
            assert_eq!(engine.form(), "redb");
            assert_eq!(engine.get(b"kept").unwrap().is_some(), !is_new);
            engine.apply(&[row("kept")], true).unwrap();
        }
        assert!(!dir.path().join(FILE).exists());
    }
}
