//! The way of blobs into the store.
//!
//! A store answers a put of what is there already by doing nothing, and need not look whether what is there is
//! damaged. So whoever puts (an application, a reader, a run that writes results or hands values to an
//! executor) calls [`Inner::make_way`] first: a damaged copy goes, and the put that follows stores the blob.

use deriva_api::{Blob, BlobCheck, CAddr, Result};

use crate::Deriva;
use crate::inner::Inner;
use crate::planted::{Fault, hidden, planted};

impl Deriva {
    /// Stores those of these blobs that the store lacks, or has damaged. The others are not written again: they are as
    /// durable as whoever put them made them. So a store that may only be read will do, as long as it has all of them.
    ///
    /// # Errors
    /// What the store says, such as `Full`.
    pub async fn put_missing(&self, blobs: &[Blob]) -> Result<()> {
        if blobs.is_empty() {
            return Ok(());
        }
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        let right = self.inner.verify_blobs(&addrs).await?;
        let (there, absent): (Vec<_>, Vec<_>) =
            blobs.iter().zip(right).partition(|(_, right)| *right);
        let leased = if planted(Fault::put_leases_nothing) {
            Vec::new()
        } else {
            addrs
        };
        let _adding = self.inner.adding(leased).await;
        // A collection may have taken some before they were leased.
        let found: Vec<CAddr> = there.iter().map(|(blob, _)| blob.addr()).collect();
        let found = self.inner.blobs.stat(&found).await?;
        let gone = there.into_iter().zip(found);
        let gone = gone.filter_map(|(blob, found)| found.is_none().then_some(blob));
        let missing = absent.into_iter().chain(gone);
        let missing: Vec<Blob> = missing.map(|(blob, _)| blob.clone()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let put = self.inner.blobs.put(&missing).await;
        put.or_else(|error| hidden(Fault::put_hides_the_error, error))
    }
}

impl Inner {
    /// Removes damaged copies of these blobs, so that a put stores them. Called before the gate is passed.
    pub(crate) async fn make_way(&self, addrs: impl IntoIterator<Item = CAddr>) -> Result<()> {
        let addrs: Vec<CAddr> = addrs.into_iter().collect();
        self.verify_blobs(&addrs).await.map(drop)
    }

    /// Tells of each blob whether it is stored and undamaged. A damaged copy is removed.
    pub(crate) async fn verify_blobs(&self, addrs: &[CAddr]) -> Result<Vec<bool>> {
        if addrs.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.blobs.verify(addrs).await?;
        let damaged: Vec<CAddr> = addrs
            .iter()
            .zip(&found)
            .filter(|(_, it)| **it == BlobCheck::Damaged)
            .map(|(addr, _)| *addr)
            .collect();
        if !planted(Fault::puts_over_damage) {
            self.discard_damaged(&damaged).await?;
        }
        Ok(found.into_iter().map(BlobCheck::is_right).collect())
    }
}
