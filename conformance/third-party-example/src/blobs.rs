//! Blobs.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use deriva_api::authors::check_expected;
use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, ByteRange, CAddr, Capabilities,
    Error, ErrorKind, Result,
};
use futures::stream::BoxStream;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{PAGE, SqliteStore, addr, check, checksum, error};

/// A blob is a value of one row, which SQLite limits to a billion bytes.
const MAX_BLOB: usize = 1_000_000_000;

#[async_trait]
impl BlobStore for SqliteStore {
    fn capabilities(&self) -> Capabilities {
        Self::declared()
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        self.write(|db| {
            for blob in blobs {
                let insert = "INSERT OR IGNORE INTO blobs VALUES (?, ?, ?)";
                let addr = blob.addr();
                let sum = checksum(addr.as_bytes(), &blob.len().to_le_bytes());
                let row = params![addr.as_bytes(), &blob.bytes()[..], sum];
                db.prepare_cached(insert)
                    .and_then(|mut insert| insert.execute(row))
                    .map_err(error)?;
            }
            Ok(())
        })
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(SqliteWriter {
            store: self.clone(),
            expect,
            bytes: BytesMut::new(),
        }))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        self.read(|db| find(db, addr))
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        self.read(|db| addrs.iter().map(|addr| find(db, *addr)).collect())
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        // The whole blob is read: its bytes can be checked in no other way.
        let found = self.get(addr).await?;
        Ok(found.map(|blob| {
            let mut within = range.within(blob.len());
            if cfg!(feature = "planted-range") && within.end < blob.len() {
                within.end -= u64::from(within.end > within.start);
            }
            blob.bytes()
                .slice(within.start as usize..within.end as usize)
        }))
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        self.read(|db| {
            let stat = |addr: &CAddr| {
                let found: Option<(i64, Vec<u8>)> = db
                    .prepare_cached("SELECT length(bytes), sum FROM blobs WHERE addr = ?")
                    .and_then(|mut select| {
                        let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
                        select.query_row([addr.as_bytes()], columns).optional()
                    })
                    .map_err(error)?;
                found
                    .map(|(len, sum)| checked(addr.as_bytes(), len, &sum))
                    .transpose()
            };
            addrs.iter().map(stat).collect()
        })
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        deriva_api::verify_by_reading(self, addrs).await
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        self.write(|db| {
            for addr in addrs {
                db.execute("DELETE FROM blobs WHERE addr = ?", [addr.as_bytes()])
                    .map_err(error)?;
            }
            Ok(())
        })
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        let after = after.map(|addr| addr.as_bytes().to_vec());
        self.stream(after, |db, after| {
            let page =
                "SELECT addr, length(bytes), sum FROM blobs WHERE addr > ? ORDER BY addr LIMIT ?";
            let mut page = db.prepare_cached(page).map_err(error)?;
            let rows = page.query_map(params![after, PAGE], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            });
            let stat = |row: rusqlite::Result<(Vec<u8>, i64, Vec<u8>)>| {
                let (key, len, sum) = row.map_err(error)?;
                let stat = checked(&key, len, &sum)?;
                Ok((key, stat))
            };
            rows.map_err(error)?.map(stat).collect()
        })
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        Ok(None)
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }
}

/// What a row says without its bytes, which nothing else checks.
fn checked(key: &[u8], len: i64, sum: &[u8]) -> Result<BlobStat> {
    let len = len as u64;
    check(key, &len.to_le_bytes(), sum)?;
    let addr = addr(key)?;
    Ok(BlobStat { addr, len })
}

fn find(db: &Connection, addr: CAddr) -> Result<Option<Blob>> {
    let bytes: Option<Vec<u8>> = db
        .prepare_cached("SELECT bytes FROM blobs WHERE addr = ?")
        .and_then(|mut select| {
            select
                .query_row([addr.as_bytes()], |row| row.get(0))
                .optional()
        })
        .map_err(error)?;
    bytes.map(|bytes| Blob::verify(addr, bytes)).transpose()
}

#[derive(Debug)]
struct SqliteWriter {
    store: SqliteStore,
    expect: Option<BlobStat>,
    bytes: BytesMut,
}

#[async_trait]
impl BlobWriter for SqliteWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if self.bytes.len() + chunk.len() > MAX_BLOB {
            let message = "a blob in SQLite has a billion bytes at the most";
            return Err(Error::new(ErrorKind::Invalid, message).during("write"));
        }
        self.bytes.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        let blob = Blob::new(self.bytes.freeze());
        check_expected(self.expect, blob.stat())?;
        self.store.put(std::slice::from_ref(&blob)).await?;
        Ok(blob.stat())
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
