//! Entries that stay.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use deriva_api::{Blob, Bytes, CAddr, Error, ErrorKind, Result};

use super::priority::{Priority, worth};
use super::shard::Unpinned;
use super::{BlobCache, Epoch, size};
use crate::planted::{Fault, planted};

/// Keeps the blob of an address in memory until it is dropped; see [`crate::Deriva::pin`].
#[must_use = "the blob is unpinned when this is dropped"]
pub struct Pinned {
    cache: Arc<BlobCache>,
    addr: CAddr,
    /// Tells the entry from a later one under the same address.
    id: u64,
    blob: Blob,
}

impl BlobCache {
    /// Pins the entry of an address: it is not evicted while the guard lives. `None` when it is not
    /// held. Pinning twice is fine; the last guard counts.
    ///
    /// # Errors
    /// `Full` when what is pinned would exceed the limit.
    pub fn pin(self: &Arc<Self>, addr: CAddr) -> Result<Option<Pinned>> {
        let pinned = self
            .shard(addr)
            .pin(addr, |size| self.reserve_pinned(addr, size))?;
        Ok(pinned.map(|(id, blob)| self.guard(addr, id, blob)))
    }

    /// Takes a blob in and pins it, whatever is held or how large it is; others go for it. `None` when
    /// the address may have been removed since `epoch`: then read it again.
    ///
    /// # Errors
    /// `Full` when what is pinned would exceed the limit.
    pub fn insert_pinned(
        self: &Arc<Self>,
        epoch: Epoch,
        addr: CAddr,
        blob: &Blob,
        cost: Duration,
    ) -> Result<Option<Pinned>> {
        let size = size(blob);
        // Looked at before the entry itself: what another thread pins of it later is not counted
        // against this one.
        let pinned_before = self.pinned.load(Relaxed);
        if let Some(pin) = self.pin(addr)? {
            return Ok(Some(pin));
        }
        self.fits(addr, size, pinned_before)?;
        // All that is not pinned can go; what others are about to insert cannot, so for that moment
        // this may be above the limit.
        if !self.reserve(size, Priority::NONE) {
            self.bytes.fetch_add(size, Relaxed);
        }
        let worth = worth(cost, blob.len(), size);
        let mut shard = self.shard(addr);
        if shard.removals != epoch.0 || shard.renew(addr, blob, worth) {
            drop(shard);
            self.give_back(size);
            return self.pin(addr);
        }
        if let Err(full) = self.reserve_pinned(addr, size) {
            self.give_back(size);
            return Err(full);
        }
        self.replace(&mut shard, addr);
        let id = shard.insert(addr, blob.clone(), worth, &self.clock, 1);
        Ok(Some(self.guard(addr, id, blob.clone())))
    }

    /// Counts and keeps a blob as a pinned one, as if it had been removed at once: nobody finds it.
    ///
    /// # Errors
    /// `Full` when what is pinned would exceed the limit.
    pub(crate) fn pin_apart(self: &Arc<Self>, addr: CAddr, blob: &Blob) -> Result<Pinned> {
        let size = size(blob);
        self.reserve_pinned(addr, size)?;
        if !self.reserve(size, Priority::NONE) {
            self.bytes.fetch_add(size, Relaxed);
        }
        let id = self.shard(addr).insert_orphan(size);
        Ok(self.guard(addr, id, blob.clone()))
    }

    /// Counts `size` bytes as pinned. Called under the lock of the entry's shard, so that two who pin
    /// the same are not counted twice.
    fn reserve_pinned(&self, addr: CAddr, size: u64) -> Result<()> {
        loop {
            let pinned = self.pinned.load(Relaxed);
            let sum = self.fits(addr, size, pinned)?;
            let set = self.pinned.compare_exchange(pinned, sum, Relaxed, Relaxed);
            if set.is_ok() {
                return Ok(());
            }
        }
    }

    fn fits(&self, addr: CAddr, size: u64, pinned: u64) -> Result<u64> {
        let limit = self.limit();
        if let Some(sum) = pinned.checked_add(size).filter(|sum| *sum <= limit) {
            return Ok(sum);
        }
        self.refused_pins.fetch_add(1, Relaxed);
        Err(Error::new(
            ErrorKind::Full,
            "what is pinned would exceed the limit of the memory cache",
        )
        .during("pin")
        .with("addr", addr)
        .with("bytes", size)
        .with("pinned", pinned)
        .with("limit", limit)
        .hint("raise `cache_bytes`, or drop other pins first"))
    }

    fn guard(self: &Arc<Self>, addr: CAddr, id: u64, blob: Blob) -> Pinned {
        Pinned {
            cache: Arc::clone(self),
            addr,
            id,
            blob,
        }
    }
}

impl Pinned {
    /// The address that was asked for.
    #[must_use]
    pub fn addr(&self) -> CAddr {
        self.addr
    }

    /// The blob: of a recipe, its output.
    #[must_use]
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.blob.bytes()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let cache = &self.cache;
        if planted(Fault::keeps_pins) {
            return;
        }
        let ended = cache.shard(self.addr).unpin(self.addr, self.id);
        match ended {
            Unpinned::Held => {}
            Unpinned::Free(size) => {
                cache.pinned.fetch_sub(size, Relaxed);
                // The limit may have been lowered below what was pinned.
                cache.shrink_to(cache.limit());
            }
            Unpinned::Gone(size) => {
                cache.pinned.fetch_sub(size, Relaxed);
                cache.give_back(size);
            }
        }
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({:?}, {} B)", self.addr, self.blob.len())
    }
}
