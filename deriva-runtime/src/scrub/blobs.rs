//! The second half of a scrub: blobs.

use deriva_api::{BlobStat, CAddr, ErrorKind, Result};

use super::pages::{Page, Pages};
use super::{FindingKind, ScrubCursor, ScrubEvent, Work};

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

    /// Reads a batch; the damaged ones of it join `damaged`.
    async fn verify(&mut self, batch: &[BlobStat], damaged: &mut Vec<CAddr>) -> Result<()> {
        let blobs = &self.request.deriva.inner.blobs;
        self.done.blobs += batch.len() as u64;
        let addrs: Vec<CAddr> = batch.iter().map(|stat| stat.addr).collect();
        match blobs.get_many(&addrs).await {
            // One that is gone was removed since it was listed.
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error),
        }
        for addr in addrs {
            match blobs.get(addr).await {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.found_damaged(addr, damaged);
                }
                Err(error) => return Err(error),
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
