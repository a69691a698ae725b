//! The blob store over [`Disk`]: counts, the lock, and the way off the async threads.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::authors::{check_expected, pages};
use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, BoxStream, ByteRange, CAddr,
    Capabilities, Counter, DurabilityClass, Error, ErrorKind, OpenedStore, Result, StoreCounters,
    StoreIdentity, StoreUri,
};
use parking_lot::Mutex;

use super::config::FilesConfig;
use super::disk::{Disk, Staged};
use super::spool::{Spool, Spooled};
use super::usage::Usage;
use crate::folder::{self, Folder};
use crate::handles::{Handles, Slot};
use crate::{Durability, SCHEME_FILES, options};

static HANDLES: Handles<Inner> = Handles::new();

/// A blob store of files. Made by [`FilesConfig::open`].
#[derive(Clone)]
pub struct FileStore {
    inner: Arc<Inner>,
    /// As this handle was asked for.
    uri: StoreUri,
}

/// Fields are dropped in their order: the slot last, when all else is closed.
struct Inner {
    disk: Arc<Disk>,
    usage: Mutex<Usage>,
    durability: Durability,
    /// Damaged blobs that were met.
    damaged: Arc<Counter>,
    folder: Folder,
    _slot: Slot<Inner>,
}

pub(super) async fn open(config: FilesConfig) -> Result<OpenedStore> {
    let store = blocking::unblock(move || {
        let uri = options::uri(SCHEME_FILES, &config.path, config.durability)?;
        let canonical = folder::prepare(&config.path, &[SCHEME_FILES])?;
        let inner = HANDLES.open(&canonical, |slot| {
            let folder = Folder::hold(&canonical, &[SCHEME_FILES])?;
            failpoint!(OPEN_MARKED);
            let writable = folder.unwritable().is_none();
            let disk = Arc::new(match writable {
                true => Disk::open(&canonical, config.durability)?,
                false => Disk::open_to_read(&canonical, config.durability)?,
            });
            folder.complete(SCHEME_FILES)?;
            Ok(Arc::new(Inner {
                usage: Mutex::new(Usage::open(&canonical, &disk, writable)?),
                disk,
                durability: config.durability,
                damaged: Arc::default(),
                folder,
                _slot: slot,
            }))
        })?;
        options::check_shared(&config.path, inner.durability == config.durability)?;
        Ok::<_, Error>(FileStore { inner, uri })
    });
    Ok(OpenedStore {
        blobs: Some(Arc::new(store.await?)),
        dag: None,
    })
}

impl Inner {
    /// Moves staged files into place, counts them, and makes them durable.
    fn place(&self, staged: Vec<Staged>) -> Result<()> {
        let addrs: Vec<CAddr> = staged.iter().map(|staged| staged.stat.addr).collect();
        let mut usage = self.usage.lock();
        usage.begin_change()?;
        for staged in staged {
            let stat = staged.stat;
            if self.disk.vouches(stat)? {
                continue;
            }
            // What is there instead is no blob, or nobody knows.
            let replaced = self.disk.len(&stat.addr)?;
            self.disk.place(staged)?;
            if let Some(len) = replaced {
                usage.removed(len);
            }
            usage.added(stat.len);
        }
        drop(usage);
        // Also those that were there: another call may have placed them and not synced yet.
        self.disk.sync_shards(addrs.into_iter())
    }

    fn put(&self, blobs: &[Blob]) -> Result<()> {
        let mut staged = Vec::new();
        let mut present = Vec::new();
        for blob in blobs {
            match self.disk.holds(blob.stat())? {
                true => present.push(blob.addr()),
                false => staged.push(self.disk.stage(blob)?),
            }
        }
        self.disk.sync_shards(present.into_iter())?;
        match staged.is_empty() {
            true => Ok(()),
            false => self.place(staged),
        }
    }

    fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        let mut usage = self.usage.lock();
        usage.begin_change()?;
        for addr in addrs {
            if let Some(len) = self.disk.remove(addr)? {
                usage.removed(len);
            }
        }
        drop(usage);
        self.disk.sync_shards(addrs.iter().copied())
    }
}

impl FileStore {
    /// Files block, so all work on them is done on threads that may.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.inner.clone();
        let done = blocking::unblock(move || work(&inner)).await;
        done.map_err(|error| self.tell(error))
    }

    /// The same, for what changes files.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.check_writable()?;
        self.run(work).await
    }

    fn check_writable(&self) -> Result<()> {
        let checked = self.inner.folder.check_writable();
        checked.map_err(|error| self.tell(error))
    }

    /// An error as callers see it.
    fn tell(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Corrupt {
            self.inner.damaged.add(1);
        }
        error.with("store", self)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for FileStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(match self.inner.durability {
            Durability::Sync => DurabilityClass::PowerLoss,
            Durability::Buffered => DurabilityClass::ProcessCrash,
        })
        .identity(StoreIdentity::of(&self.inner))
        .writable(self.inner.folder.unwritable().is_none())
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        let blobs = blobs.to_vec();
        self.change(move |inner| inner.put(&blobs)).await
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        self.check_writable()?;
        Ok(Box::new(Writer {
            spool: Spool::new(self.inner.disk.clone()),
            store: self.clone(),
            expect,
        }))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        self.run(move |inner| inner.disk.read(addr)).await
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        let addrs = addrs.to_vec();
        self.run(move |inner| addrs.iter().map(|addr| inner.disk.read(*addr)).collect())
            .await
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        self.run(move |inner| inner.disk.read_range(addr, range))
            .await
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        let addrs = addrs.to_vec();
        self.run(move |inner| {
            let stat = |addr: &CAddr| {
                let (addr, len) = (*addr, inner.disk.len(addr)?);
                Ok(len.map(|len| BlobStat { addr, len }))
            };
            addrs.iter().map(stat).collect()
        })
        .await
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        let addrs = addrs.to_vec();
        let found: Vec<BlobCheck> = self
            .run(move |inner| addrs.iter().map(|addr| inner.disk.verify(*addr)).collect())
            .await?;
        let damaged = found.iter().filter(|found| **found == BlobCheck::Damaged);
        self.inner.damaged.add(damaged.count() as u64);
        Ok(found)
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        let addrs = addrs.to_vec();
        self.change(move |inner| inner.remove(&addrs)).await
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        pages(after, move |after| async move {
            let page = self.run(move |inner| inner.disk.list(after)).await?;
            Ok(page
                .into_iter()
                .map(|stat| (Some(stat.addr), stat))
                .collect())
        })
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        Ok(Some(self.inner.usage.lock().get()))
    }

    async fn flush(&self) -> Result<()> {
        self.run(|inner| inner.disk.sync_all()).await
    }

    fn counters(&self) -> StoreCounters {
        let mut counters = StoreCounters::default();
        counters.damaged = Some(Arc::clone(&self.inner.damaged));
        counters
    }
}

impl fmt::Display for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uri, f)
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileStore({self})")
    }
}

#[derive(Debug)]
struct Writer {
    spool: Spool,
    store: FileStore,
    expect: Option<BlobStat>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobWriter for Writer {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.spool.write(chunk).await
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        let Self {
            spool,
            store,
            expect,
        } = *self;
        // A short one is put, as that need not write what is there.
        let stat = match spool.finish(u64::MAX).await? {
            Spooled::Memory(blob) => {
                check_expected(expect, blob.stat())?;
                store.put(std::slice::from_ref(&blob)).await?;
                blob.stat()
            }
            Spooled::File(staged) => {
                let stat = staged.stat;
                check_expected(expect, stat)?;
                store.change(move |inner| inner.place(vec![staged])).await?;
                stat
            }
        };
        Ok(stat)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
