//! The way of blobs into the store.
//!
//! A store answers a put of what is there already by doing nothing, and does not look whether what is there is
//! damaged. So whoever puts (an application, a reader, a run that writes results or hands values to an
//! executor) calls [`Inner::make_way`] first: a damaged copy goes, and the put that follows stores the blob.

use deriva_api::{BlobStore, ByteRange, CAddr, ErrorKind, Result};

use crate::inner::Inner;

impl Inner {
    /// Removes damaged copies of these blobs, so that a put stores them. Called before the gate is passed.
    pub(crate) async fn make_way(&self, addrs: impl IntoIterator<Item = CAddr>) -> Result<()> {
        let addrs: Vec<CAddr> = addrs.into_iter().collect();
        self.whole(&addrs).await.map(drop)
    }

    /// Tells of each blob whether it is stored and undamaged. A damaged copy is removed.
    pub(crate) async fn whole(&self, addrs: &[CAddr]) -> Result<Vec<bool>> {
        let found = look(&*self.blobs, addrs).await?;
        let of_state = |state| {
            addrs
                .iter()
                .zip(&found)
                .filter(move |(_, it)| **it == state)
        };
        let damaged: Vec<CAddr> = of_state(Found::Damaged).map(|(addr, _)| *addr).collect();
        self.discard_damaged(&damaged).await?;
        Ok(found.iter().map(|it| *it == Found::Whole).collect())
    }
}

/// What lies under an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Whole,
    Damaged,
}

/// Reads what is there, unless the store knows that it did so: any part makes it verify the whole.
async fn look(blobs: &dyn BlobStore, addrs: &[CAddr]) -> Result<Vec<Found>> {
    let mut found = Vec::with_capacity(addrs.len());
    if addrs.is_empty() {
        return Ok(found);
    }
    for (addr, stat) in addrs.iter().zip(blobs.stat(addrs).await?) {
        let read = match stat {
            None => Ok(None),
            Some(_) => blobs.get_range(*addr, ByteRange::new(0, 1)).await,
        };
        found.push(match read {
            Ok(None) => Found::Nothing,
            Ok(Some(_)) => Found::Whole,
            Err(error) if error.kind() == ErrorKind::Corrupt => Found::Damaged,
            Err(error) => return Err(error),
        });
    }
    Ok(found)
}
