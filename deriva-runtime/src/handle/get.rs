//! Reading: what is stored is given out, all else is materialized.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use deriva_api::{
    Blob, BlobCheck, BlobStat, ByteRange, Bytes, CAddr, DagStoreExt, ErrorKind, Materialized,
    Output, Result,
};

use crate::handle::reader::BlobReader;
use crate::materialize::only;
use crate::planted::{Fault, planted};
use crate::shared::Deriva;
use crate::shared::needed_by::name_needs;

/// The blob of an address.
pub(crate) struct Fetched {
    pub(crate) blob: Blob,
    /// What it cost to compute: zero for a leaf.
    pub(crate) cost: Duration,
    /// It must not be kept.
    pub(crate) doubted: bool,
}

impl Deriva {
    /// The bytes of an address: read, or computed with all that they need.
    ///
    /// # Errors
    /// As [`Deriva::materialize`].
    pub async fn get(&self, addr: CAddr) -> Result<Bytes> {
        if let Some(blob) = self.inner.cache.get(addr) {
            self.inner.tallies.cached.fetch_add(1, Relaxed);
            return Ok(blob.into_bytes());
        }
        let search = self.inner.search(addr);
        let fetched = self.fetch(addr).await?;
        if !fetched.doubted {
            self.inner.cache_found(search, |cache, epoch| {
                cache.insert_since(epoch, addr, &fetched.blob, fetched.cost);
            });
        }
        Ok(fetched.blob.into_bytes())
    }

    /// The blob of an address, past the cache.
    pub(crate) async fn fetch(&self, addr: CAddr) -> Result<Fetched> {
        let watcher = &self.inner.watcher;
        let began = (!watcher.is_empty()).then(|| self.inner.clock.now());
        if let Some((blob, cost)) = self.stored(addr).await? {
            if let Some(began) = began {
                let took = self.inner.clock.now().saturating_sub(began);
                watcher.tell(|observer| observer.read(took));
            }
            return Ok(Fetched {
                blob,
                cost,
                doubted: false,
            });
        }
        // What it took to make it available, with all that it needs.
        let began = self.inner.clock.now();
        let (blobs, doubted) = self.materialize(addr).blobs().await?;
        Ok(Fetched {
            blob: only(blobs)?,
            cost: self.inner.clock.now().saturating_sub(began),
            doubted: !doubted.is_empty(),
        })
    }

    /// The blob of an address where nothing needs to be computed, and its cost.
    async fn stored(&self, addr: CAddr) -> Result<Option<(Blob, Duration)>> {
        let Some(node) = self.inner.dag.get_one(addr).await? else {
            return match self.inner.blobs.get(addr).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    Err(name_needs(&*self.inner.dag, addr, error).await)
                }
                leaf => Ok(leaf?.map(|blob| (blob, Duration::ZERO))),
            };
        };
        let may_serve = |output: &Output| self.inner.ledger.may_serve(&addr, &output.addr);
        let Some(output) = node.output.filter(may_serve) else {
            return Ok(None);
        };
        match self.inner.blobs.get(output.addr).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                // The recipe can make it again.
                self.inner.discard_met(output.addr, error).await?;
                Ok(None)
            }
            other => Ok(other?.map(|blob| (blob, output.cost))),
        }
    }

    /// Makes the bytes of an address available and opens them for reading piece by piece.
    ///
    /// # Errors
    /// As [`Deriva::materialize`].
    pub async fn open(&self, addr: CAddr) -> Result<BlobReader> {
        let lease = self.inner.grant(vec![addr]);
        let (mut stat, mut held) = self.made(addr).await?;
        // Damage shows before the first piece is given out, while a recipe can still make the blob again.
        let looked = match self.inner.blobs.verify(&[stat.addr]).await?.first() {
            Some(BlobCheck::Right(_)) => Ok(Some(Bytes::new())),
            // A layer may have a copy that is right: what counts is what a read meets.
            Some(BlobCheck::Damaged) if !planted(Fault::opens_what_is_damaged) => {
                let first = ByteRange::new(0, 1);
                self.inner.blobs.get_range(stat.addr, first).await
            }
            _ => Ok(None),
        };
        match looked {
            Err(error) if error.kind() == ErrorKind::Corrupt && stat.addr != addr => {
                self.inner.discard_met(stat.addr, error).await?;
                (stat, held) = self.made(addr).await?;
            }
            // What is in hand is read only where the store lacks it: it is in memory, all of it.
            Ok(Some(_)) => held = None,
            other => drop(other?),
        }
        lease.extend([stat.addr]);
        let lease = if planted(Fault::a_reader_leases_nothing) {
            self.lease()
        } else {
            lease
        };
        Ok(BlobReader::new(Arc::clone(&self.inner), stat, held, lease))
    }

    /// Makes the bytes of an address available; with those that are in hand.
    async fn made(&self, addr: CAddr) -> Result<(BlobStat, Option<Blob>)> {
        let Materialized { results, held, .. } = self.materialize(addr).await?;
        Ok((only(results)?, held.into_iter().next().flatten()))
    }
}
