//! Blobs in memory: rows in insertion order, found through a table of row numbers.

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::authors::check_expected;
use deriva_api::{
    AddrTable, Blob, BlobBuilder, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, BoxStream,
    ByteRange, CAddr, Capabilities, DurabilityClass, Evidence, Result, StoreCounters,
};

use super::MemoryStore;
use super::snapshot::snapshot;

/// Bytes for which room is made before they are there, because somebody says that they will come.
const BELIEVED: u64 = 4 << 20;

#[derive(Default)]
pub(super) struct Blobs {
    rows: Vec<Blob>,
    table: AddrTable,
    bytes: u64,
}

impl Blobs {
    pub(super) fn usage(&self) -> BlobUsage {
        BlobUsage {
            blobs: self.rows.len() as u64,
            bytes: self.bytes,
        }
    }

    fn find(&self, addr: &CAddr) -> Option<&Blob> {
        let row = (self.table).find(addr, |row| self.rows[row as usize].addr())?;
        Some(&self.rows[row as usize])
    }

    fn reserve(&mut self, more: usize) {
        self.table.reserve(more);
        self.rows.reserve(more);
    }

    fn insert(&mut self, blob: &Blob) {
        let rows = &mut self.rows;
        let next = rows.len() as u32;
        let addr_of = |row: u32| rows[row as usize].addr();
        if self.table.find_or_add(blob.addr(), next, addr_of).1 {
            rows.push(blob.clone());
            self.bytes += blob.len();
        }
    }

    fn remove(&mut self, addr: &CAddr) {
        let rows = &mut self.rows;
        let Some(row) = self.table.find(addr, |row| rows[row as usize].addr()) else {
            return;
        };
        self.table.remove(addr, row);
        // The last row moves into the gap, so that rows stay dense.
        let last = rows.len() as u32 - 1;
        self.table.renumber(&rows[last as usize].addr(), last, row);
        self.bytes -= rows.swap_remove(row as usize).len();
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DurabilityClass::None).identity(self.identity())
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        let mut table = self.blobs.write();
        table.reserve(blobs.len());
        blobs.iter().for_each(|blob| table.insert(blob));
        Ok(())
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        let room = expect.map_or(0, |stat| stat.len.min(BELIEVED));
        Ok(Box::new(Writer {
            store: self.clone(),
            expect,
            blob: BlobBuilder::with_capacity(room as usize),
        }))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        Ok(self.blobs.read().find(&addr).cloned())
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        let table = self.blobs.read();
        Ok(addrs.iter().map(|addr| table.find(addr).cloned()).collect())
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        let blob = self.blobs.read().find(&addr).cloned();
        Ok(blob.map(|blob| {
            let within = range.within(blob.len());
            blob.bytes()
                .slice(within.start as usize..within.end as usize)
        }))
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        let table = self.blobs.read();
        let stats = addrs.iter().map(|addr| table.find(addr).map(Blob::stat));
        Ok(stats.collect())
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        let table = self.blobs.read();
        let check = |addr| match table.find(addr) {
            // A `Blob` was hashed when it was made, and is never changed.
            Some(_) => BlobCheck::Right(Evidence::Remembered),
            None => BlobCheck::Absent,
        };
        Ok(addrs.iter().map(check).collect())
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        let mut table = self.blobs.write();
        addrs.iter().for_each(|addr| table.remove(addr));
        Ok(())
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        let keys = move || {
            let table = self.blobs.read();
            let addrs = table.rows.iter().map(Blob::addr);
            let mut addrs: Vec<CAddr> = addrs.filter(|addr| Some(*addr) > after).collect();
            drop(table);
            addrs.sort_unstable();
            addrs
        };
        snapshot(keys, |addr| self.blobs.read().find(&addr).map(Blob::stat))
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        Ok(Some(self.blobs.read().usage()))
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// It has nothing to tell.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }
}

#[derive(Debug)]
struct Writer {
    store: MemoryStore,
    expect: Option<BlobStat>,
    blob: BlobBuilder,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobWriter for Writer {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.blob.extend(&chunk);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        let blob = self.blob.finish();
        check_expected(self.expect, blob.stat())?;
        self.store.blobs.write().insert(&blob);
        Ok(blob.stat())
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
