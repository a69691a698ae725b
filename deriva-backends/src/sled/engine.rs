//! The verbs of an engine, on sled 0.34.

use std::fs::{self, File};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use deriva_api::{DurabilityClass, Error, ErrorKind, Result};

use parking_lot::RwLock;

use super::{large, leftovers};
use crate::folder::{at, locked, sync_folder};
use crate::kv::{self, Engine, Place, Reserve, Write};

/// The file that all of sled's data goes to.
pub(super) const LOG: &str = "db";
/// Sled moves a leaf above a quarter of this to a file of its own, never syncs that file, and does not
/// open without it. A leaf has 20 rows at the most, and rows have 32 KiB: they stay in the log.
const SEGMENT: usize = 4 << 20;
/// Bytes of rows in one commit of sled, at the most; fewer where they make the log grow too much.
const MAX_COMMIT: usize = 512 << 10;
const MIN_COMMIT: usize = 16 << 10;
/// About how much longer than its rows a commit makes the log.
const AMPLIFICATION: usize = 4;
/// The number of the last [`large`] batch that was applied to the end. The key belongs to no table.
const LARGE_KEY: &[u8] = b"\0large";
/// Threads of a database that was just closed may hold its file for a moment.
const OPEN_ATTEMPTS: u32 = 50;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct SledEngine {
    db: sled::Db,
    /// Sled's own flush does not reach the disk.
    log: File,
    /// The log could not be synced. The system may call it clean all the same, so that another sync
    /// would promise what is not on the disk.
    unsynced: AtomicBool,
    folder: PathBuf,
    segment: i64,
    /// Where the log ended when it was last synced, about.
    synced: AtomicI64,
    /// Bytes of rows that were applied since, and not flushed.
    pending: AtomicUsize,
    max_commit: AtomicUsize,
    /// Held while a batch is applied in parts, so that nobody reads a part of it. `true` when one was not
    /// finished.
    parted: RwLock<bool>,
}

impl Engine for SledEngine {
    type Value = sled::IVec;

    const FORMS: &'static [&'static str] = &[super::SCHEME];

    /// Sled holds it in the memory of the process until it is flushed.
    const APPLIED: DurabilityClass = DurabilityClass::None;

    /// Sled does not live through a full disk: it refuses all further work, reads too.
    const RESERVE: Reserve = Reserve {
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
        leftovers::settle(folder)?;
        let segment = segment(folder);
        // The commit thread flushes.
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(cache)
            .segment_size(segment)
            .flush_every_ms(None);
        let db = match leftovers::Halt::set(folder)? {
            Some(halt) => match attempt(folder, &config) {
                // There was nothing to take a snapshot of.
                Ok(db) => db,
                Err(error) if error.kind() == ErrorKind::Locked => return Err(error),
                // Whatever else ails the database is said again.
                Err(_) => {
                    halt.lift()?;
                    attempt(folder, &config)?
                }
            },
            None => attempt(folder, &config)?,
        };
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
        if let Some((number, writes)) = large::read(folder)?
            && number > engine.last_large()?
        {
            engine.apply_parts(number, &writes)?;
        }
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
        self.apply_batch(writes, None)?;
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

    /// Applies a batch that is too large for one commit. It is durable.
    fn apply_large(&self, writes: &[Write]) -> Result<()> {
        // It must not come back without those before it.
        self.sync()?;
        let number = self.last_large()? + 1;
        large::write(&self.folder, number, writes).map_err(|failed| {
            if failed.may_be_there {
                // Nothing else may be written now: the next opening would apply it on top.
                self.unsynced.store(true, Ordering::Release);
            }
            failed.error
        })?;
        self.apply_parts(number, writes)?;
        large::done(&self.folder);
        Ok(())
    }

    fn last_large(&self) -> Result<u64> {
        let row = self.read(|| self.db.get(LARGE_KEY).map_err(error))?;
        let number = row.and_then(|row| row.as_ref().try_into().ok());
        Ok(number.map_or(0, u64::from_le_bytes))
    }

    fn apply_parts(&self, number: u64, writes: &[Write]) -> Result<()> {
        let mut parted = self.parted.write();
        let done = self.each_part(number, writes);
        if done.is_err() {
            *parted = true;
            self.unsynced.store(true, Ordering::Release);
        }
        done
    }

    fn each_part(&self, number: u64, mut writes: &[Write]) -> Result<()> {
        while !writes.is_empty() {
            let max = self.max_commit.load(Ordering::Acquire);
            let (mut count, mut bytes) = (0, 0);
            while count < writes.len() && (count == 0 || bytes + weight(&writes[count]) <= max) {
                bytes += weight(&writes[count]);
                count += 1;
            }
            let (part, rest) = writes.split_at(count);
            self.pending.store(bytes, Ordering::Release);
            self.apply_batch(part, rest.is_empty().then_some(number))?;
            failpoint!(ENGINE_WRITTEN);
            self.sync()?;
            writes = rest;
        }
        Ok(())
    }

    fn apply_batch(&self, writes: &[Write], large: Option<u64>) -> Result<()> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_ref()),
                None => batch.remove(key.as_slice()),
            }
        }
        if let Some(number) = large {
            batch.insert(LARGE_KEY, &number.to_le_bytes());
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

/// Opens the database once nobody else has it open.
fn attempt(folder: &Path, config: &sled::Config) -> Result<sled::Db> {
    let mut attempt = 1;
    loop {
        match caught(|| config.open())? {
            Err(error) if is_lock(&error) && attempt < OPEN_ATTEMPTS => {
                attempt += 1;
                std::thread::park_timeout(OPEN_PAUSE);
            }
            Err(error) if is_lock(&error) => return Err(locked(folder).caused_by(error)),
            opened => return opened.map_err(|source| at(folder, error(source))),
        }
    }
}

fn weight((key, value): &Write) -> usize {
    key.len() + value.as_ref().map_or(0, |value| value.len())
}

/// The size of the log's segments: an old database keeps what it was created with.
fn segment(folder: &Path) -> usize {
    let conf = fs::read(folder.join("conf")).unwrap_or_default();
    let conf = String::from_utf8_lossy(&conf);
    let line = conf
        .lines()
        .find_map(|line| line.strip_prefix("segment_size: "));
    let stated = line.and_then(|size| size.parse::<usize>().ok());
    stated
        .filter(|size| size.is_power_of_two())
        .unwrap_or(SEGMENT)
}

/// Turns a panic into an error: sled panics where it meets damage.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T> {
    kv::caught("sled found its files damaged", work)
}

fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"))
}

fn error(source: sled::Error) -> Error {
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
