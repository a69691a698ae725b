//! Opens sled's database: what a crash left is put in order first, and what sled leaves to chance is made
//! durable on the way. The store's lock is held.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deriva_api::{Error, ErrorKind, Result};

use super::engine::{LOG, caught, error};
use crate::check_threads;
use crate::folder::{at, locked, sync_folder};

/// Sled moves a leaf above a quarter of this to a file of its own, never syncs that file, and does not
/// open without it. A leaf has 20 rows at the most, and rows have 32 KiB: they stay in the log.
const SEGMENT: usize = 4 << 20;
/// A snapshot that is being written. Sled renames it when it is whole, and yet takes half of one for the
/// newest snapshot: it would call the database damaged for ever. What it was made from is in the log.
const HALF_SNAPSHOT: (&str, &str) = ("snap.", ".generating");

/// What sled begins with: seven for its pool, and one more. Where it cannot start them, it waits for ever.
const THREADS: usize = 8;

/// Threads of a database that was just closed may hold its file for a moment.
const OPEN_ATTEMPTS: u32 = 50;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// The database, and how large the segments of its log are.
pub(super) fn database(folder: &Path, cache: u64) -> Result<(sled::Db, usize)> {
    settle(folder)?;
    check_threads(THREADS).map_err(|error| at(folder, error))?;
    let segment = segment(folder);
    // The commit thread flushes.
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(cache)
        .segment_size(segment)
        .flush_every_ms(None);
    if let Some(halt) = Halt::set(folder)? {
        match attempt(folder, &config) {
            // There was nothing to take a snapshot of.
            Ok(db) => return Ok((db, segment)),
            Err(error) if error.kind() == ErrorKind::Locked => return Err(error),
            // Whatever else ails the database is said again.
            Err(_) => halt.lift()?,
        }
    }
    Ok((attempt(folder, &config)?, segment))
}

/// Opens the database once nobody else has it open.
fn attempt(folder: &Path, config: &sled::Config) -> Result<sled::Db> {
    let mut attempt = 1;
    loop {
        match caught(|| config.open())? {
            Err(error) if is_lock(&error) && attempt < OPEN_ATTEMPTS => {
                attempt += 1;
                std::thread::park_timeout(OPEN_PAUSE);
            }
            Err(error) if is_lock(&error) => return Err(locked(folder).caused_by(error)),
            opened => return opened.map_err(|source| at(folder, error(source))),
        }
    }
}

/// The size of the log's segments: an old database keeps what it was created with.
fn segment(folder: &Path) -> usize {
    let conf = fs::read(folder.join("conf")).unwrap_or_default();
    let conf = String::from_utf8_lossy(&conf);
    let line = conf
        .lines()
        .find_map(|line| line.strip_prefix("segment_size: "));
    let stated = line.and_then(|size| size.parse::<usize>().ok());
    stated
        .filter(|size| size.is_power_of_two())
        .unwrap_or(SEGMENT)
}

/// Deletes half-written snapshots, and makes durable what is there: a killed process may have left it with
/// the system alone, and from now on it counts as stored. A put of it is answered without writing
/// anything, and sled's next snapshot relies on it.
fn settle(folder: &Path) -> Result<()> {
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

/// Stops an opening of sled right after the snapshot that it takes.
///
/// Sled takes a snapshot of what it found in its log, and then writes zeros over segments that the snapshot
/// does not need. It syncs the snapshot but never its name, so a loss of power could leave the zeros
/// without the snapshot, and there are segments that no recovery does without. Between the two sled deletes
/// files of values whose place in the log lies after what was found; a folder where it expects such a file
/// makes that fail, and the opening with it, and nothing else uses that name. Then the name is made durable, and the
/// next opening finds the snapshot done.
struct Halt(PathBuf);

/// The last place that there may be.
const HALT: &str = "blobs/9223372036854775807";

impl Halt {
    /// `None` where there is no database yet.
    fn set(folder: &Path) -> Result<Option<Self>> {
        if !folder.join(LOG).exists() {
            return Ok(None);
        }
        let halt = folder.join(HALT);
        let set = fs::create_dir_all(&halt);
        set.map_err(|source| at(folder, Error::io(source)))?;
        Ok(Some(Self(folder.to_owned())))
    }

    /// Lets openings pass, the snapshot durable.
    fn lift(self) -> Result<()> {
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

fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"))
}
