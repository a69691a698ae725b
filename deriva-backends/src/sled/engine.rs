//! The verbs of an engine, on sled 0.34.

use std::fs::{self, File};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deriva_api::{DurabilityClass, Error, ErrorKind, Result};

use crate::folder::{at, locked, sync_folder};
use crate::kv::{self, Engine, Place, Reserve, Write};

/// The file that all of sled's data goes to.
const LOG: &str = "db";
/// Sled moves a leaf above a quarter of this to a file of its own, never syncs that file, and does not
/// open without it. A leaf has 20 rows at the most, and rows have 32 KiB: they stay in the log.
const SEGMENT: usize = 4 << 20;
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
        amplification: 8,
    };

    fn open(place: &Place, cache: u64) -> Result<Self> {
        let folder = place.folder.as_path();
        if !place.is_new && !folder.join(LOG).exists() {
            return Err(at(folder, kv::gone()));
        }
        // The commit thread flushes.
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(cache)
            .segment_size(segment(folder))
            .flush_every_ms(None);
        let mut attempt = 1;
        let db = loop {
            match caught(|| config.open())? {
                Err(error) if is_lock(&error) && attempt < OPEN_ATTEMPTS => {
                    attempt += 1;
                    std::thread::park_timeout(OPEN_PAUSE);
                }
                Err(error) if is_lock(&error) => return Err(locked(folder).caused_by(error)),
                opened => break opened.map_err(|source| at(folder, error(source)))?,
            }
        };
        let log = File::open(folder.join(LOG));
        Ok(Self {
            db,
            log: log.map_err(|source| at(folder, Error::io(source)))?,
            unsynced: AtomicBool::new(false),
            folder: folder.to_owned(),
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>> {
        caught(|| self.db.get(key))?.map_err(error)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, sled::IVec)>> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        caught(|| {
            let mut rows = Vec::new();
            for row in self.db.range::<&[u8], _>((from, Bound::Unbounded)) {
                let (key, value) = row.map_err(error)?;
                if rows.len() == limit || !key.starts_with(prefix) {
                    break;
                }
                rows.push((key.to_vec(), value));
            }
            Ok(rows)
        })?
    }

    fn apply(&self, writes: &[Write], durable: bool) -> Result<()> {
        self.check_synced()?;
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_ref()),
                None => batch.remove(key.as_slice()),
            }
        }
        caught(|| self.db.apply_batch(batch))?.map_err(error)?;
        failpoint!(ENGINE_WRITTEN);
        if durable { self.sync() } else { Ok(()) }
    }

    fn sync(&self) -> Result<()> {
        // The flush hands everything to the system (`sync_file_range`), the sync to the disk. A sync
        // acts on the file, whichever descriptor asks for it.
        self.check_synced()?;
        caught(|| self.db.flush())?.map_err(error)?;
        let synced = self.log.sync_data();
        synced.map_err(|source| {
            self.unsynced.store(true, Ordering::Release);
            at(&self.folder, Error::io(source))
        })
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
    fn check_synced(&self) -> Result<()> {
        if !self.unsynced.load(Ordering::Acquire) {
            return Ok(());
        }
        let message = "an earlier sync of the log failed, so nothing more can be made durable";
        let error = Error::new(ErrorKind::Internal, message);
        Err(at(&self.folder, error).hint("see what ails the disk, and open the store again"))
    }
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
