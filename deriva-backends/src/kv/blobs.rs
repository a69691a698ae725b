//! The blob store: small blobs in the engine, large ones in sibling files that the engine names.

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::authors::{check_expected, pages, until_damage};
use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, BoxStream, ByteRange, CAddr,
    Capabilities, Result, StoreCounters,
};

use super::engine::{Engine, into_bytes};
use super::layout::{self, Entry};
use super::ops::Op;
use super::shared::{BlobRow, Shared};
use super::store::KvStore;
use crate::files::spool::{Spool, Spooled};

/// Rows of one page of `list`.
const PAGE: usize = 512;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Engine> BlobStore for KvStore<E> {
    fn capabilities(&self) -> Capabilities {
        self.declared()
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        self.check_writable()?;
        let threshold = self.core.config.blob_threshold;
        let large = |blob: &&Blob| blob.len() >= threshold;
        let (large, small): (Vec<&Blob>, Vec<&Blob>) = blobs.iter().partition(large);
        let small: Vec<Blob> = small.into_iter().cloned().collect();
        let mut staged = Vec::new();
        if !large.is_empty() {
            let large: Vec<Blob> = large.into_iter().cloned().collect();
            let stage = move |shared: &Shared<E>| {
                let mut staged = Vec::new();
                for blob in &large {
                    // Only spares work: the commit decides whether it is there.
                    if !shared.holds(blob)? {
                        staged.push(shared.disk.stage(blob)?);
                    }
                }
                Ok(staged)
            };
            staged = self.block(stage).await?;
        }
        self.write(Op::PutBlobs(small, staged)).await?;
        Ok(())
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        self.check_writable()?;
        Ok(Box::new(Writer {
            spool: Spool::new(self.core.shared.disk.clone()),
            store: self.clone(),
            expect,
        }))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        match self.read(1, move |shared| shared.entry(&addr)).await? {
            None => Ok(None),
            Some(Entry::Inline(bytes)) => {
                let blob = Blob::verify(addr, bytes);
                blob.map(Some).map_err(|error| self.tell(error))
            }
            Some(Entry::File(_)) => self.block(move |shared| shared.blob(addr)).await,
        }
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        let wanted = addrs.to_vec();
        let inline = move |shared: &Shared<E>| {
            let read = |(addr, key, row): BlobRow<E::Value>| {
                let entry = row.map(|row| layout::decode_blob(&key, into_bytes(row)));
                Ok(match entry.transpose()? {
                    None => Found::Answer(None),
                    Some(Entry::Inline(bytes)) => Found::Answer(Some(Blob::verify(addr, bytes)?)),
                    Some(Entry::File(_)) => Found::File(addr),
                })
            };
            shared.each_row(&wanted, read)
        };
        let found = self.read(addrs.len(), inline).await?;
        if found.iter().any(|found| matches!(found, Found::File(_))) {
            let files = move |shared: &Shared<E>| {
                let read = |found| match found {
                    Found::Answer(answer) => Ok(answer),
                    Found::File(addr) => shared.blob(addr),
                };
                found.into_iter().map(read).collect()
            };
            return self.block(files).await;
        }
        let answer = |found| match found {
            Found::Answer(answer) => answer,
            Found::File(_) => None,
        };
        Ok(found.into_iter().map(answer).collect())
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        match self.read(1, move |shared| shared.entry(&addr)).await? {
            None => Ok(None),
            Some(Entry::Inline(bytes)) => {
                let blob = Blob::verify(addr, bytes).map_err(|error| self.tell(error))?;
                let within = range.within(blob.len());
                let part = within.start as usize..within.end as usize;
                Ok(Some(blob.bytes().slice(part)))
            }
            Some(Entry::File(_)) => {
                self.block(move |shared| {
                    shared.beside_row(addr, |shared| shared.disk.read_range(addr, range))
                })
                .await
            }
        }
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        let wanted = addrs.to_vec();
        let stat = move |shared: &Shared<E>| {
            let stat = |(addr, key, row): BlobRow<E::Value>| {
                let len = row.map(|row| layout::blob_len(&key, row.as_ref()));
                Ok(len.transpose()?.map(|len| BlobStat { addr, len }))
            };
            shared.each_row(&wanted, stat)
        };
        self.read(addrs.len(), stat).await
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        let wanted = addrs.to_vec();
        let rows = move |shared: &Shared<E>| shared.check_rows(&wanted);
        let found = self.read(addrs.len(), rows).await?;
        let found: Vec<BlobCheck> = if found.iter().all(Option::is_some) {
            found.into_iter().flatten().collect()
        } else {
            let wanted = addrs.to_vec();
            self.block(move |shared| {
                let each = wanted.iter().zip(found);
                each.map(|(addr, found)| found.map_or_else(|| shared.check_file(*addr), Ok))
                    .collect::<Result<_>>()
            })
            .await?
        };
        self.core.shared.counted.verified(&found);
        Ok(found)
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        self.write(Op::RemoveBlobs(addrs.to_vec())).await?;
        Ok(())
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        pages(after, move |after| {
            self.read(PAGE, move |shared| {
                let after = after.map(|addr| layout::blob_key(&addr));
                let rows = shared.engine.scan(layout::BLOBS, after.as_deref(), PAGE)?;
                let stat = |(key, row): (Vec<u8>, E::Value)| {
                    let addr = layout::addr_of(&key)?;
                    let len = layout::blob_len(&key, row.as_ref());
                    let len = len.map_err(|error| error.with("addr", addr))?;
                    Ok((Some(addr), BlobStat { addr, len }))
                };
                until_damage(rows.into_iter().map(stat))
            })
        })
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        self.look_at_the_disk().await;
        Ok(Some(self.core.shared.counters.lock().blobs))
    }

    async fn flush(&self) -> Result<()> {
        self.write(Op::Flush).await?;
        Ok(())
    }

    fn counters(&self) -> StoreCounters {
        self.told()
    }
}

/// What the engine said of an address.
enum Found {
    Answer(Option<Blob>),
    File(CAddr),
}

#[derive(Debug)]
struct Writer<E: Engine> {
    spool: Spool,
    store: KvStore<E>,
    expect: Option<BlobStat>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Engine> BlobWriter for Writer<E> {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let written = self.spool.write(chunk).await;
        written.map_err(|error| self.store.tell(error))
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        let Self {
            spool,
            store,
            expect,
        } = *self;
        let inline = store.core.config.blob_threshold.saturating_sub(1);
        let spooled = spool.finish(inline).await;
        let (stat, op) = match spooled.map_err(|error| store.tell(error))? {
            Spooled::Memory(blob) => (blob.stat(), Op::PutBlobs(vec![blob], Vec::new())),
            Spooled::File(staged) => (staged.stat, Op::PutBlobs(Vec::new(), vec![staged])),
        };
        check_expected(expect, stat)?;
        store.write(op).await?;
        Ok(stat)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
