//! The way of blobs into the store.
//!
//! A store answers a put of what is there already by doing nothing, and need not look whether what is there is
//! damaged. So whoever puts (an application, a reader, a run that writes results or hands values to an
//! executor) calls [`Inner::make_way`] first: a damaged copy goes, and the put that follows stores the blob.

use deriva_api::{BlobCheck, CAddr, Result};

use crate::inner::Inner;
use crate::planted::{Fault, planted};

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
