//! What a crash leaves of a database, put in order before sled opens it. The store's lock is held.

use std::fs::{self, File};
use std::io;
use std::path::Path;

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
    sync_folder(folder)
}
