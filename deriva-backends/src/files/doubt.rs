//! Blobs that were acknowledged and not made durable.
//!
//! A loss of power may leave of such a blob its name and a part of its bytes, or as many zeros. Reads find
//! that out, as they check what they read. A put must, too: what it calls stored already has to be whole.
//! So a buffered store leaves the note `unsynced` from its first blob to a clean close. Where an opening
//! finds that note, a blob that was there before counts as stored only once its bytes were looked at.

use std::fs::{self, File};
use std::path::Path;

use deriva_api::{CAddr, Error, Result};
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use super::checked::Identity;
use crate::folder::{at, sync_folder};

const NOTE: &str = "unsynced";
/// How many blobs are remembered as out of doubt (about 100 bytes each).
const SETTLED: usize = 65_536;

#[derive(Debug)]
pub(super) struct Doubt {
    /// Blobs that this opening stored or looked at, where an earlier one left doubt.
    settled: Option<Cache<CAddr, Identity>>,
    /// The note is there.
    noted: Mutex<bool>,
}

impl Doubt {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let path = root.join(NOTE);
        let noted = path
            .try_exists()
            .map_err(|source| at(&path, Error::io(source)))?;
        Ok(Self {
            settled: noted.then(|| Cache::new(SETTLED)),
            noted: Mutex::new(noted),
        })
    }

    /// To be called before a blob gets its name, or loses it, without that being durable.
    pub(super) fn begin(&self, root: &Path) -> Result<()> {
        let mut noted = self.noted.lock();
        if !*noted {
            let path = root.join(NOTE);
            File::create(&path).map_err(|source| at(&path, Error::io(source)))?;
            sync_folder(root)?;
            *noted = true;
        }
        Ok(())
    }

    /// Whether there is a note, and not of an earlier opening.
    pub(super) fn is_of_this_opening(&self) -> bool {
        self.settled.is_none() && *self.noted.lock()
    }

    /// To be called when all blobs are durable.
    pub(super) fn end(&self, root: &Path) {
        // Where this fails the next opening looks closer.
        fs::remove_file(root.join(NOTE)).ok();
        *self.noted.lock() = false;
    }

    pub(super) fn any(&self) -> bool {
        self.settled.is_some()
    }

    /// Whether this file of a blob is out of doubt.
    pub(super) fn none_of(&self, addr: &CAddr, file: impl FnOnce() -> Identity) -> bool {
        match &self.settled {
            Some(settled) => settled.get(addr) == Some(file()),
            None => true,
        }
    }

    pub(super) fn settled(&self, addr: CAddr, file: Identity) {
        if let Some(settled) = &self.settled {
            settled.insert(addr, file);
        }
    }
}
