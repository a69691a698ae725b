//! sled alone.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use deriva::prelude::*;

use super::{CACHE, Raw, Row, failed};

/// Threads of a database that was just closed hold its lock for a moment.
const ATTEMPTS: usize = 100;

/// As the store sets it, or sled would not open the store's database.
const SEGMENT: usize = 4 << 20;

pub(super) struct RawSled {
    db: sled::Db,
    /// Sled's flush does not reach the disk.
    log: File,
}

impl RawSled {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE)
            .segment_size(SEGMENT)
            .flush_every_ms(None);
        let mut opened = config.open();
        for _ in 0..ATTEMPTS {
            if opened.is_ok() {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(20));
            opened = config.open();
        }
        Ok(Self {
            db: opened.map_err(failed)?,
            log: File::open(folder.join("db")).map_err(Error::io)?,
        })
    }
}

impl Raw for RawSled {
    fn write(&self, rows: &[Row]) -> Result<()> {
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            batch.insert(key.as_slice(), value.as_slice());
        }
        self.db.apply_batch(batch).map_err(failed)?;
        self.db.flush().map_err(failed)?;
        self.log.sync_data().map_err(Error::io)
    }

    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.db.get(key).map_err(failed)? {
            read(&value);
        }
        Ok(())
    }

    fn scan(&self, prefix: &[u8], read: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for row in self.db.scan_prefix(prefix) {
            let (key, value) = row.map_err(failed)?;
            read(&key, &value);
        }
        Ok(())
    }
}
