//! The second half of a scrub: blobs.

use deriva_api::{
    BlobCheck, BlobStat, CAddr, Evidence, FindingKind, Result, ScrubCursor, ScrubEvent,
};

use super::Work;
use crate::planted::{Fault, planted};
use crate::shared::pages::{Page, Pages};

/// Bytes that are read at a time, if one blob is not larger.
const BATCH_BYTES: u64 = 4 << 20;
/// Damaged blobs that are collected before the recipes are searched for those that make them.
const DAMAGED: usize = 4096;

impl Work<'_> {
    /// Reads all blobs after `after`.
    pub(super) async fn blobs(&mut self, after: Option<CAddr>) -> Result<()> {
        let inner = &self.request.deriva.inner;
        let open = |after| inner.blobs.list(after);
        let mut pages = Pages::new(open, |stat: &BlobStat| stat.addr, after);
        let mut damaged: Vec<CAddr> = Vec::new();
        loop {
            let started = inner.clock.now();
            let mut bytes = 0;
            let full = |stat: &BlobStat| {
                bytes += stat.len;
                bytes >= BATCH_BYTES
            };
            let last = match pages.next(full).await? {
                None => return self.heal_damaged(damaged).await,
                Some(Page::Damaged(addr, _)) => {
                    self.found_damaged(addr, &mut damaged);
                    Some(addr)
                }
                Some(Page::Items(page)) => {
                    self.verify(&page, &mut damaged).await?;
                    page.last().map(|stat| stat.addr)
                }
            };
            let reached = ScrubCursor::Blobs(last);
            self.pace(bytes, started).await;
            let stops = self.stops();
            if stops || damaged.len() >= DAMAGED {
                self.heal_damaged(std::mem::take(&mut damaged)).await?;
            }
            // Until the damaged ones are dealt with, a scrub that ends here has to find them again.
            if damaged.is_empty() {
                self.cursor = reached;
            }
            self.tell_progress();
            if stops {
                self.done.cursor = Some(self.cursor);
                return Ok(());
            }
        }
    }

    /// Verifies a batch; the damaged ones of it join `damaged`.
    async fn verify(&mut self, batch: &[BlobStat], damaged: &mut Vec<CAddr>) -> Result<()> {
        let inner = &self.request.deriva.inner;
        self.done.blobs += batch.len() as u64;
        let addrs: Vec<CAddr> = batch.iter().map(|stat| stat.addr).collect();
        let found = inner.blobs.verify(&addrs).await?;
        for (addr, found) in addrs.into_iter().zip(found) {
            let is_damaged = match found {
                BlobCheck::Damaged => true,
                // What was right a while ago is read again: disks lose bits without a word.
                BlobCheck::Right(Evidence::Remembered) => {
                    !planted(Fault::scrubs_by_memory) && inner.reads_damage(addr).await?
                }
                // One that is gone was removed since it was listed.
                BlobCheck::Absent | BlobCheck::Right(Evidence::Read | Evidence::Vouched) => false,
            };
            if is_damaged {
                self.found_damaged(addr, damaged);
            }
        }
        Ok(())
    }

    fn found_damaged(&mut self, addr: CAddr, damaged: &mut Vec<CAddr>) {
        self.done.corrupt += 1;
        let kind = FindingKind::Blob;
        self.emit(&ScrubEvent::Found { addr, kind });
        damaged.push(addr);
    }
}
