//! redb alone.

use std::path::Path;

use deriva::prelude::*;
use parking_lot::RwLock;
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::{CACHE, Raw, Row, failed};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

pub(super) struct RawRedb {
    db: Database,
    /// A snapshot held halves the cost of a read.
    snapshot: RwLock<ReadOnlyTable<&'static [u8], &'static [u8]>>,
}

impl RawRedb {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let file = folder.join("db");
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE as usize);
        let db = if file.exists() {
            builder.open(&file).map_err(failed)?
        } else {
            let db = builder.create(&file).map_err(failed)?;
            let transaction = db.begin_write().map_err(failed)?;
            transaction.open_table(ROWS).map_err(failed)?;
            transaction.commit().map_err(failed)?;
            db
        };
        let snapshot = RwLock::new(snapshot(&db)?);
        Ok(Self { db, snapshot })
    }
}

fn snapshot(db: &Database) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>> {
    let transaction = db.begin_read().map_err(failed)?;
    transaction.open_table(ROWS).map_err(failed)
}

impl Raw for RawRedb {
    fn write(&self, rows: &[Row]) -> Result<()> {
        let transaction = self.db.begin_write().map_err(failed)?;
        {
            let mut table = transaction.open_table(ROWS).map_err(failed)?;
            for (key, value) in rows {
                table
                    .insert(key.as_slice(), value.as_slice())
                    .map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)?;
        *self.snapshot.write() = snapshot(&self.db)?;
        Ok(())
    }

    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.snapshot.read().get(key).map_err(failed)? {
            read(value.value());
        }
        Ok(())
    }

    fn scan(&self, prefix: &[u8], read: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for row in self.snapshot.read().range(prefix..).map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            if !key.value().starts_with(prefix) {
                break;
            }
            read(key.value(), value.value());
        }
        Ok(())
    }
}
