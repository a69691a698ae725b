//! Blobs in two tiers.

use std::fmt;
use std::slice;
use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, BlobUsage, BlobWriter, BoxStream, ByteRange, Bytes,
    CAddr, Capabilities, Counter, Error, ErrorKind, Result, StoreCounters, TierCounters,
};
use futures::TryStreamExt;
use tokio::sync::OnceCell;

use super::fence::{Fence, Ticket};
use super::held::Held;
use super::{Settings, TieredLayer, complete, found};

/// A fast blob store in front of a slow one.
#[derive(Debug)]
pub(super) struct TieredBlobs {
    fast: Arc<Fast>,
    max_blob: u64,
    settings: Settings,
}

/// The fast store, what it copies, and all that is known of the copies in it.
#[derive(Debug)]
struct Fast {
    store: Arc<dyn BlobStore>,
    slow: Arc<dyn BlobStore>,
    fence: Fence,
    held: Held,
    /// Set once the copies that lay there before are in `held`.
    counted: OnceCell<()>,
    counters: Arc<TierCounters>,
    /// Copies that were damaged.
    damaged: Arc<Counter>,
}

impl TieredBlobs {
    pub(super) fn new(
        layer: &TieredLayer,
        fast: Arc<dyn BlobStore>,
        slow: Arc<dyn BlobStore>,
    ) -> Self {
        let fast = Fast {
            store: fast,
            slow,
            fence: Fence::default(),
            held: Held::new(layer.capacity),
            counted: OnceCell::new(),
            counters: layer.traffic.of_a_store(),
            damaged: Arc::default(),
        };
        Self {
            fast: Arc::new(fast),
            max_blob: layer.max_blob,
            settings: layer.settings(),
        }
    }

    /// Copies those that are short enough; answers how many.
    async fn fill(&self, ticket: Ticket, blobs: impl Iterator<Item = &Blob>) -> u64 {
        let short = blobs.filter(|blob| blob.len() <= self.max_blob);
        self.fast.fill(ticket, short.cloned().collect()).await
    }

    /// Copies what the slow store has answered since `ticket`.
    async fn promote(&self, ticket: Ticket, answers: &[Option<Blob>]) {
        self.fast.read_slow(answers);
        let copied = self.fill(ticket, answers.iter().flatten()).await;
        self.fast.counters.promoted.add(copied);
    }

    async fn get_slow(&self, addr: CAddr) -> Result<Option<Blob>> {
        let ticket = self.fast.fence.ticket();
        let blob = self.fast.slow.get(addr).await?;
        self.promote(ticket, slice::from_ref(&blob)).await;
        Ok(blob)
    }

    async fn get_slow_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        let bytes = self.fast.slow.get_range(addr, range).await?;
        self.fast.read_slow(slice::from_ref(&bytes));
        Ok(bytes)
    }
}

impl Fast {
    async fn get(&self, addr: CAddr) -> Option<Blob> {
        let found = self.answer(addr, self.store.get(addr).await).await;
        self.read(slice::from_ref(&addr), slice::from_ref(&found));
        found
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Vec<Option<Blob>> {
        let found = match self.store.get_many(addrs).await {
            Ok(found) => found,
            // One damaged copy fails the batch: find it, and let the others answer.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let mut found = Vec::with_capacity(addrs.len());
                for addr in addrs {
                    found.push(self.answer(*addr, self.store.get(*addr).await).await);
                }
                found
            }
            Err(_) => {
                self.fault();
                vec![None; addrs.len()]
            }
        };
        self.read(addrs, &found);
        found
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Option<Bytes> {
        let read = self.store.get_range(addr, range).await;
        let found = self.answer(addr, read).await;
        self.read(slice::from_ref(&addr), slice::from_ref(&found));
        found
    }

    /// What the fast store found; a fault is the same as nothing. A damaged copy is removed, so that
    /// it can be made anew.
    async fn answer<T>(&self, addr: CAddr, read: Result<Option<T>>) -> Option<T> {
        let error = match read {
            Ok(found) => return found,
            Err(error) => error,
        };
        self.fault();
        if error.kind() == ErrorKind::Corrupt {
            self.damaged.add(1);
            self.discard(&[addr]).await;
        }
        None
    }

    fn fault(&self) {
        self.counters.faults.add(1);
    }

    /// Counts what the slow store answered.
    fn read_slow<T>(&self, answers: &[Option<T>]) {
        let (hits, misses) = found(answers);
        self.counters.read_slow(hits, misses);
    }

    /// Counts what was read, and notes what was used.
    fn read<T>(&self, addrs: &[CAddr], found: &[Option<T>]) {
        let hits = addrs.iter().zip(found).filter(|(_, found)| found.is_some());
        let hits = hits.map(|(addr, _)| self.held.touch(*addr)).count();
        self.counters
            .read_fast(hits as u64, (addrs.len() - hits) as u64);
    }

    /// Copies what the slow store has had since `ticket`; answers how many copies were made.
    async fn fill(&self, ticket: Ticket, mut blobs: Vec<Blob>) -> u64 {
        let Some(admission) = self.fence.admit(ticket) else {
            return 0;
        };
        blobs.retain(|blob| admission.allows(blob.addr()));
        if blobs.is_empty() {
            return 0;
        }
        if self.store.put(&blobs).await.is_err() {
            self.fault();
            return 0;
        }
        self.remember(blobs.iter().map(Blob::stat)).await;
        blobs.len() as u64
    }

    /// Notes copies, and lets others go where there are too many.
    async fn remember(&self, copies: impl Iterator<Item = BlobStat> + Send) {
        self.hold(copies).await;
        if let Err(_fault) = self.counted.get_or_try_init(|| self.count()).await {
            self.fault();
        }
    }

    async fn hold(&self, copies: impl Iterator<Item = BlobStat> + Send) {
        let evicted = self.held.insert(copies);
        self.counters.evicted.add(evicted.len() as u64);
        self.discard(&evicted).await;
    }

    /// Counts the copies that lay there before. What the slow store lacks is the copy of nothing: it is not
    /// ours to let go, as where fast and slow were mistaken for each other.
    async fn count(&self) -> Result<()> {
        if self.store.capabilities().list {
            let mut found = self.store.list(None).try_chunks(1024);
            while let Some(found) = found.try_next().await.map_err(|error| error.1)? {
                let addrs: Vec<CAddr> = found.iter().map(|stat| stat.addr).collect();
                let copied = self.slow.stat(&addrs).await?;
                let copies = found.into_iter().zip(copied);
                self.hold(copies.filter_map(|(found, copied)| copied.map(|_| found)))
                    .await;
            }
        }
        Ok(())
    }

    async fn discard(&self, addrs: &[CAddr]) {
        if !addrs.is_empty() && self.store.remove(addrs).await.is_err() {
            self.fault();
        }
    }

    async fn remove_both(&self, addrs: &[CAddr]) -> Result<()> {
        let (fast, slow) = (self.remove(addrs), self.slow.remove(addrs));
        self.fence.remove(addrs, fast, slow).await
    }

    /// Removes copies durably: none may come back after a crash when what it copies is gone.
    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        let hint = "without that, removed blobs would be served: see what ails the fast store";
        let tell = |error: Error| error.with("fast store", &self.store).hint(hint);
        self.store.remove(addrs).await.map_err(tell)?;
        self.store.flush().await.map_err(tell)?;
        self.held.remove(addrs);
        Ok(())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for TieredBlobs {
    fn capabilities(&self) -> Capabilities {
        self.fast.slow.capabilities()
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        let ticket = self.fast.fence.ticket();
        self.fast.slow.put(blobs).await?;
        let copied = self.fill(ticket, blobs.iter()).await;
        self.fast.counters.written.add(copied);
        Ok(())
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        let writer = self.fast.slow.writer(expect).await?;
        let too_long = expect.is_some_and(|expect| expect.len > self.max_blob);
        let copy = match too_long {
            true => None,
            false => match self.fast.store.writer(expect).await {
                Ok(copy) => Some(copy),
                Err(_) => {
                    self.fast.fault();
                    None
                }
            },
        };
        Ok(Box::new(TieredWriter {
            slow: writer,
            copy,
            left: self.max_blob,
            fast: Arc::clone(&self.fast),
        }))
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        match self.fast.get(addr).await {
            Some(blob) => Ok(Some(blob)),
            None => self.get_slow(addr).await,
        }
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        let copies = self.fast.get_many(addrs).await;
        let slow = async |missing: Vec<CAddr>| {
            let ticket = self.fast.fence.ticket();
            let blobs = self.fast.slow.get_many(&missing).await?;
            self.promote(ticket, &blobs).await;
            Ok(blobs)
        };
        complete(addrs, copies, slow).await
    }

    /// Copies the blob where it is short enough: only whole blobs can be checked.
    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        if let Some(bytes) = self.fast.get_range(addr, range).await {
            return Ok(Some(bytes));
        }
        // A range that begins beyond the limit is of a blob too long, or empty: nothing to look up.
        if range.offset >= self.max_blob {
            return self.get_slow_range(addr, range).await;
        }
        match self.fast.slow.stat(&[addr]).await?.first() {
            Some(Some(stat)) if stat.len <= self.max_blob => {
                let blob = self.get_slow(addr).await?;
                Ok(blob.map(|blob| {
                    let within = range.within(blob.len());
                    blob.bytes()
                        .slice(within.start as usize..within.end as usize)
                }))
            }
            Some(None) => {
                self.fast.read_slow::<()>(&[None]);
                Ok(None)
            }
            _ => self.get_slow_range(addr, range).await,
        }
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        self.fast.slow.stat(addrs).await
    }

    /// Of the slow store alone: what is stored is what is right there. A whole copy makes up for no damage, and a
    /// damaged one does no harm.
    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        self.fast.slow.verify(addrs).await
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        self.fast.remove_both(addrs).await
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        self.fast.slow.list(after)
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        self.fast.slow.usage().await
    }

    async fn flush(&self) -> Result<()> {
        self.fast.slow.flush().await
    }

    fn counters(&self) -> StoreCounters {
        let mut counters = StoreCounters::default();
        counters.tiers = Some(Arc::clone(&self.fast.counters));
        counters.damaged = Some(Arc::clone(&self.fast.damaged));
        counters
    }
}

impl fmt::Display for TieredBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings.as_str();
        write!(
            f,
            "tiered(fast={}, slow={}{settings})",
            self.fast.store, self.fast.slow
        )
    }
}

/// Writes to both, as long as the fast store keeps up with the limit on length.
#[derive(Debug)]
struct TieredWriter {
    slow: Box<dyn BlobWriter>,
    /// The copy in the making; dropped when it becomes too long, or either store fails.
    copy: Option<Box<dyn BlobWriter>>,
    /// Bytes that the copy may still take.
    left: u64,
    fast: Arc<Fast>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobWriter for TieredWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        // Taken out, so that a call dropped halfway leaves no copy that lacks a piece.
        let copy = self.copy.take();
        let left = self.left.checked_sub(chunk.len() as u64);
        self.slow.write(chunk.clone()).await?;
        if let (Some(mut copy), Some(left)) = (copy, left) {
            match copy.write(chunk).await {
                Ok(()) => (self.copy, self.left) = (Some(copy), left),
                Err(_) => self.fast.fault(),
            }
        }
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        let ticket = self.fast.fence.ticket();
        let stat = self.slow.finish().await?;
        let admission = self.fast.fence.admit(ticket);
        let allowed = admission.filter(|admission| admission.allows(stat.addr));
        if let (Some(copy), Some(_admission)) = (self.copy, allowed) {
            match copy.finish().await {
                Ok(copy) => {
                    self.fast.remember([copy].into_iter()).await;
                    self.fast.counters.written.add(1);
                }
                Err(_) => self.fast.fault(),
            }
        }
        Ok(stat)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        drop(self.copy);
        self.slow.abort().await
    }
}
