//! Room on the disk. Engines take a full disk badly, so writes stop while there is some left.

use std::path::Path;

use deriva_api::{DiskRoom, Error, ErrorKind, Result};

use super::engine::Write;
use crate::folder::at;

/// Room that an engine must never be without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskReserve {
    /// Writes stop while this many bytes are still free.
    pub(crate) bytes: u64,
    /// The same for removals, which lead out of the trouble.
    pub(crate) removals: u64,
    /// Bytes that the engine may write for a row, beside the row itself.
    pub(crate) row: u64,
    /// Bytes that it writes for one of a row, at the most.
    pub(crate) amplification: u64,
}

impl DiskReserve {
    /// Fails with `Full` where `writes` would leave less than the reserve. Answers how many bytes these are, and notes how
    /// much room there is.
    pub(super) fn check(&self, folder: &Path, writes: &[Write], room: &DiskRoom) -> Result<u64> {
        let free = free(folder)?;
        room.saw(free);
        let row = |(key, value): &Write| key.len() + value.as_ref().map_or(0, |value| value.len());
        let bytes = writes.iter().map(row).sum::<usize>() as u64;
        let removes = writes.iter().any(|(_, value)| value.is_none());
        let reserve = match removes {
            true => self.removals,
            false => self.bytes,
        };
        let needed = self.row * writes.len() as u64 + self.amplification * bytes;
        if free >= reserve + needed {
            return Ok(bytes);
        }
        let full = Error::new(ErrorKind::Full, "too little space is left to write safely")
            .with("free", free)
            .with("reserve", reserve)
            .hint("make room and try again; what is stored can be read meanwhile");
        Err(at(folder, full))
    }
}

/// Bytes that are free on the disk of a folder.
pub(super) fn free(folder: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(folder);
    let stat = stat.map_err(|source| at(folder, Error::io(source.into())))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
