//! Exact counts, cheap to keep.
//!
//! Counts live in memory. A clean close writes them to the file `usage`; the first change after an
//! opening deletes it, durably. So the file is right whenever it is there, and where it is not the
//! blobs are counted.

use std::fs;
use std::path::{Path, PathBuf};

use deriva_api::{BlobUsage, CAddr, Error, Result};

use super::disk::Disk;
use crate::folder::{at, sync_folder};

const FILE: &str = "usage";

#[derive(Debug)]
pub(super) struct Usage {
    now: BlobUsage,
    folder: PathBuf,
    on_disk: bool,
    writable: bool,
}

impl Usage {
    pub(super) fn open(folder: &Path, disk: &Disk, writable: bool) -> Result<Self> {
        let saved = fs::read_to_string(folder.join(FILE)).ok();
        let saved = saved.as_deref().and_then(parse);
        let now = match saved {
            Some(usage) => usage,
            None => count(disk)?,
        };
        Ok(Self {
            now,
            folder: folder.to_owned(),
            on_disk: saved.is_some(),
            writable,
        })
    }

    pub(super) fn get(&self) -> BlobUsage {
        self.now
    }

    /// To be called before the first file changes.
    pub(super) fn begin_change(&mut self) -> Result<()> {
        if self.on_disk {
            let path = self.folder.join(FILE);
            fs::remove_file(&path).map_err(|source| at(&path, Error::io(source)))?;
            sync_folder(&self.folder)?;
            failpoint!(FILE_COUNTS);
            self.on_disk = false;
        }
        Ok(())
    }

    pub(super) fn added(&mut self, len: u64) {
        self.now.blobs += 1;
        self.now.bytes += len;
    }

    pub(super) fn removed(&mut self, len: u64) {
        // A file that others made longer takes off more than it added.
        self.now.blobs = self.now.blobs.saturating_sub(1);
        self.now.bytes = self.now.bytes.saturating_sub(len);
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        if self.on_disk || !self.writable {
            return;
        }
        // Where this fails the next opening counts.
        let text = text(self.now);
        if fs::write(self.folder.join(FILE), text).is_err() {
            fs::remove_file(self.folder.join(FILE)).ok();
        }
    }
}

/// The counts, and a hash of them that shows the file to be whole.
fn text(usage: BlobUsage) -> String {
    let counts = format!("{} {}", usage.blobs, usage.bytes);
    let sum = CAddr::of_blob(counts.as_bytes());
    format!("{counts} {sum}\n")
}

fn parse(found: &str) -> Option<BlobUsage> {
    let mut words = found.split_whitespace();
    let usage = BlobUsage {
        blobs: words.next()?.parse().ok()?,
        bytes: words.next()?.parse().ok()?,
    };
    (found == text(usage)).then_some(usage)
}

fn count(disk: &Disk) -> Result<BlobUsage> {
    let (mut usage, mut after) = (BlobUsage::default(), None);
    loop {
        let page = disk.list(after)?;
        let Some(last) = page.last() else {
            return Ok(usage);
        };
        after = Some(last.addr);
        usage.blobs += page.len() as u64;
        usage.bytes += page.iter().map(|stat| stat.len).sum::<u64>();
    }
}
