//! What a crash leaves of a database, put in order before sled opens it. The store's lock is held.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use deriva_api::{Error, Result};

use super::engine::LOG;
use crate::folder::{at, sync_folder};

/// A snapshot that is being written. Sled renames it when it is whole, and yet takes half of one for the
/// newest snapshot: it would call the database damaged for ever. What it was made from is in the log.
const HALF_SNAPSHOT: (&str, &str) = ("snap.", ".generating");

/// Deletes half-written snapshots, and makes durable what is there: a killed process may have left it with
/// the system alone, and from now on it counts as stored. A put of it is answered without writing
/// anything, and sled's next snapshot relies on it.
pub(super) fn settle(folder: &Path) -> Result<()> {
    let io = |source| at(folder, Error::io(source));
    let entries = match fs::read_dir(folder) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(io)?,
    };
    for entry in entries {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(HALF_SNAPSHOT.0) && name.ends_with(HALF_SNAPSHOT.1) {
            fs::remove_file(entry.path()).map_err(io)?;
        } else if name == LOG || name == "conf" {
            let synced = File::open(entry.path()).and_then(|file| file.sync_all());
            synced.map_err(io)?;
        }
    }
    sync_folder(folder)?;
    #[cfg(test)]
    super::replay::synced(folder);
    Ok(())
}

/// Stops an opening of sled right behind the snapshot that it takes.
///
/// Sled takes a snapshot of what it found in its log, and then writes zeros over segments that the snapshot
/// does not need. It syncs the snapshot but never its name, so a loss of power could leave the zeros
/// without the snapshot, and there are segments that no recovery does without. Between the two sled deletes
/// files of values whose place in the log lies behind what was found; a folder where it expects such a file
/// makes that fail, and the opening with it, and nothing else uses that name. Then the name is made durable, and the
/// next opening finds the snapshot done.
pub(super) struct Halt(PathBuf);

/// The last place that there may be.
const HALT: &str = "blobs/9223372036854775807";

impl Halt {
    /// `None` where there is no database yet.
    pub(super) fn set(folder: &Path) -> Result<Option<Self>> {
        if !folder.join(LOG).exists() {
            return Ok(None);
        }
        let halt = folder.join(HALT);
        let set = fs::create_dir_all(&halt);
        set.map_err(|source| at(folder, Error::io(source)))?;
        Ok(Some(Self(folder.to_owned())))
    }

    /// Lets openings pass, the snapshot durable.
    pub(super) fn lift(self) -> Result<()> {
        sync_folder(&self.0)?;
        #[cfg(test)]
        super::replay::synced(&self.0);
        Ok(())
    }
}

impl Drop for Halt {
    fn drop(&mut self) {
        // One that a crash leaves is met by the next opening, which sets it anyway.
        fs::remove_dir(self.0.join(HALT)).ok();
    }
}
