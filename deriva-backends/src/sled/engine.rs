//! The verbs of an engine, on sled 0.34.

use std::fs::File;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use deriva_api::{DurabilityClass, Error, ErrorKind, Result};
use parking_lot::RwLock;

use super::open;
use crate::folder::{at, sync_folder};
use crate::kv::{self, DiskReserve, Engine, Place, Write};

/// The file that all of sled's data goes to.
pub(super) const LOG: &str = "db";
/// Bytes of rows in one commit of sled, at the most; fewer where they make the log grow too much.
const MAX_COMMIT: usize = 512 << 10;
const MIN_COMMIT: usize = 16 << 10;
/// About how much longer than its rows a commit makes the log.
const AMPLIFICATION: usize = 4;
#[derive(Debug)]
pub(super) struct SledEngine {
    db: sled::Db,
    /// Sled's own flush does not reach the disk.
    log: File,
    /// The log could not be synced. The system may call it clean all the same, so that another sync
    /// would promise what is not on the disk.
    pub(super) unsynced: AtomicBool,
    pub(super) folder: PathBuf,
    segment: i64,
    /// Where the log ended when it was last synced, about.
    synced: AtomicI64,
    /// Bytes of rows that were applied since, and not flushed.
    pub(super) pending: AtomicUsize,
    pub(super) max_commit: AtomicUsize,
    /// Held while a batch is applied in parts, so that nobody reads a part of it. `true` when one was not
    /// finished.
    pub(super) parted: RwLock<bool>,
}

impl Engine for SledEngine {
    type Value = sled::IVec;

    const FORMS: &'static [&'static str] = &[super::SCHEME];

    /// Sled holds it in the memory of the process until it is flushed.
    const APPLIED: DurabilityClass = DurabilityClass::None;

    /// Sled does not live through a full disk: it refuses all further work, reads too.
    const RESERVE: DiskReserve = DiskReserve {
        bytes: 16 << 20,
        removals: 4 << 20,
        row: 0,
        // The log, and the file of a large batch.
        amplification: 9,
    };

    const MAX_COMMIT: usize = MAX_COMMIT;

    fn open(place: &Place, cache: u64) -> Result<Self> {
        let folder = place.folder.as_path();
        if !place.is_new && !folder.join(LOG).exists() {
            return Err(at(folder, kv::gone()));
        }
        let (db, segment) = open::database(folder, cache)?;
        let log = File::open(folder.join(LOG));
        let engine = Self {
            db,
            log: log.map_err(|source| at(folder, Error::io(source)))?,
            unsynced: AtomicBool::new(false),
            folder: folder.to_owned(),
            segment: segment as i64,
            synced: AtomicI64::new(0),
            pending: AtomicUsize::new(0),
            max_commit: AtomicUsize::new(MAX_COMMIT.min(segment / 8)),
            parted: RwLock::new(false),
        };
        // What the opening wrote, above all sled's snapshot and its name.
        sync_folder(folder)?;
        engine.sync()?;
        engine.finish_large()?;
        Ok(engine)
    }

    fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>> {
        self.read(|| self.db.get(key).map_err(error))
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, sled::IVec)>> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        self.read(|| {
            let mut rows = Vec::new();
            for row in self.db.range::<&[u8], _>((from, Bound::Unbounded)) {
                let (key, value) = row.map_err(error)?;
                if rows.len() == limit || !key.starts_with(prefix) {
                    break;
                }
                rows.push((key.to_vec(), value));
            }
            Ok(rows)
        })
    }

    fn apply(&self, writes: &[Write], durable: bool) -> Result<()> {
        self.check_synced()?;
        let bytes: usize = writes.iter().map(weight).sum();
        if bytes > self.max_commit.load(Ordering::Acquire) {
            return self.apply_large(writes);
        }
        // Reads write too: sled splits a page when it next comes by.
        let unsynced = self.pending.load(Ordering::Acquire) + bytes;
        let unsynced = self.written() + (unsynced * AMPLIFICATION) as i64;
        if unsynced > self.segment / 2 {
            self.sync()?;
        }
        self.pending.fetch_add(bytes, Ordering::AcqRel);
        self.apply_batch(writes, std::iter::empty())?;
        failpoint!(ENGINE_WRITTEN);
        if durable { self.sync() } else { Ok(()) }
    }

    fn sync(&self) -> Result<()> {
        // The flush hands everything to the system (`sync_file_range`), the sync to the disk. A sync
        // acts on the file, whichever descriptor asks for it.
        self.check_synced()?;
        caught(|| self.db.flush())?.map_err(error)?;
        let end = self.end();
        let synced = self.log.sync_data();
        synced.map_err(|source| {
            self.unsynced.store(true, Ordering::Release);
            at(&self.folder, Error::io(source))
        })?;
        #[cfg(test)]
        super::replay::synced(&self.folder);
        self.learn(self.pending.swap(0, Ordering::AcqRel), end);
        self.synced.store(end, Ordering::Release);
        Ok(())
    }

    fn rest(&self) -> Result<()> {
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        let conf = self.folder.join("conf");
        let synced = File::open(&conf).and_then(|file| file.sync_all());
        synced.map_err(|source| at(&conf, Error::io(source)))?;
        sync_folder(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync_folder)
    }
}

impl SledEngine {
    fn read<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        let parted = self.parted.read();
        if *parted {
            let message = "a large batch could not be finished";
            let error = Error::new(ErrorKind::Internal, message);
            return Err(
                at(&self.folder, error).hint("see what ails the disk, and open the store again")
            );
        }
        caught(read)?
    }

    pub(super) fn apply_batch(
        &self,
        writes: &[Write],
        numbers: impl Iterator<Item = (&'static [u8], u64)>,
    ) -> Result<()> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_ref()),
                None => batch.remove(key.as_slice()),
            }
        }
        for (key, number) in numbers {
            batch.insert(key, &number.to_le_bytes());
        }
        caught(|| self.db.apply_batch(batch))?.map_err(error)
    }

    /// Where the log ends that is written, counted from its beginning.
    fn end(&self) -> i64 {
        self.db.context.pagecache.log.stable_offset()
    }

    /// How much of the log was written since it was last synced.
    fn written(&self) -> i64 {
        self.end() - self.synced.load(Ordering::Acquire)
    }

    /// Commits are made smaller where they make the log grow by more than a quarter of a segment: where
    /// rows are long, sled writes much for a short one beside them.
    fn learn(&self, bytes: usize, end: i64) {
        let max = self.max_commit.load(Ordering::Acquire);
        let grown = end - self.synced.load(Ordering::Acquire);
        if bytes > 0 && grown > self.segment / 4 {
            self.max_commit
                .store((max / 2).max(MIN_COMMIT), Ordering::Release);
        } else if bytes > max / 2 && grown < self.segment / 16 {
            let most = MAX_COMMIT.min(self.segment as usize / 8);
            self.max_commit
                .store((max * 2).min(most), Ordering::Release);
        }
    }

    fn check_synced(&self) -> Result<()> {
        if !self.unsynced.load(Ordering::Acquire) {
            return Ok(());
        }
        let message = "an earlier sync of the log failed, so nothing more can be made durable";
        let error = Error::new(ErrorKind::Internal, message);
        Err(at(&self.folder, error).hint("see what ails the disk, and open the store again"))
    }
}

pub(super) fn weight((key, value): &Write) -> usize {
    key.len() + value.as_ref().map_or(0, |value| value.len())
}

/// Turns a panic into an error: sled panics where it meets damage.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T> {
    kv::caught("sled found its files damaged", work)
}

pub(super) fn error(source: sled::Error) -> Error {
    let (kind, message) = match &source {
        sled::Error::Io(io) => {
            let kind = io.kind();
            return Error::io(std::io::Error::new(kind, source));
        }
        sled::Error::Corruption { .. } => (ErrorKind::Corrupt, "sled found its files damaged"),
        sled::Error::Unsupported(_) => (ErrorKind::Unsupported, "sled cannot do this"),
        sled::Error::CollectionNotFound(_) => (ErrorKind::Corrupt, "sled lost a table"),
        sled::Error::ReportableBug(_) => (ErrorKind::Internal, "sled failed unexpectedly"),
    };
    Error::new(kind, message).caused_by(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_sync_that_failed_nothing_is_called_durable() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place {
            folder: dir.path().join("sled"),
            is_new: true,
        };
        let mut engine = SledEngine::open(&place, 1 << 20).unwrap();
        let row: Write = (b"key".to_vec(), Some("value".into()));
        // What is no file cannot be synced.
        let log = std::mem::replace(&mut engine.log, File::open("/dev/null").unwrap());
        assert!(engine.apply(std::slice::from_ref(&row), true).is_err());
        engine.log = log;
        assert!(engine.sync().is_err());
        assert!(engine.apply(&[row], true).is_err());
        assert!(engine.get(b"key").is_ok(), "reads go on");
    }
}
