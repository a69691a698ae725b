//! The store.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fmt, fs};

use deriva::authors::{BoxStream, verify_by_reading};
use deriva::prelude::*;
use deriva::stores::{BlobCheck, BlobUsage, BlobWriter, Capabilities, DurabilityClass, StoreUri};
use futures::stream::{StreamExt, iter};

#[derive(Debug)]
pub(crate) struct Folder {
    uri: StoreUri,
    files: BTreeMap<CAddr, (PathBuf, BlobStat)>,
}

impl Folder {
    /// Reads all files, for their addresses.
    pub(crate) fn open(uri: &StoreUri) -> Result<Self> {
        let mut files = BTreeMap::new();
        for file in fs::read_dir(uri.path()).map_err(Error::io)? {
            let path = file.map_err(Error::io)?.path();
            let stat = Blob::new(fs::read(&path).map_err(Error::io)?).stat();
            files.insert(stat.addr, (path, stat));
        }
        let uri = uri.clone();
        Ok(Self { uri, files })
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

fn read_only<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "a folder is only read"))
}

#[async_trait]
impl BlobStore for Folder {
    fn capabilities(&self) -> Capabilities {
        let all = Capabilities::new(DurabilityClass::PowerLoss);
        all.usage(false).writable(false)
    }
    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        let read = |(path, _): &(PathBuf, _)| fs::read(path).map_err(Error::io);
        let bytes = self.files.get(&addr).map(read).transpose()?;
        // `Corrupt` where the file has changed since the store was opened.
        bytes.map(|bytes| Blob::verify(addr, bytes)).transpose()
    }
    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        futures::future::try_join_all(addrs.iter().map(|addr| self.get(*addr))).await
    }
    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        Ok(self.get(addr).await?.map(|blob| {
            let part = range.within(blob.len());
            blob.bytes().slice(part.start as usize..part.end as usize)
        }))
    }
    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        Ok(addrs
            .iter()
            .map(|addr| Some(self.files.get(addr)?.1))
            .collect())
    }
    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        verify_by_reading(self, addrs).await
    }
    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        let stats = self.files.values().map(|(_, stat)| *stat);
        iter(stats.filter(move |stat| Some(stat.addr) > after).map(Ok)).boxed()
    }
    async fn usage(&self) -> Result<Option<BlobUsage>> {
        Ok(None)
    }
    async fn put(&self, _: &[Blob]) -> Result<()> {
        read_only()
    }
    async fn writer(&self, _: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        read_only()
    }
    async fn remove(&self, _: &[CAddr]) -> Result<()> {
        read_only()
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
}
