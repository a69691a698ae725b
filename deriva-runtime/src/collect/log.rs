//! What was leased while a collection runs, to be walked when there is an index to look it up in, and once
//! more under a quota.

use std::io::{self, Read, Seek, SeekFrom, Write};

use deriva_api::{CAddr, Error, Result};
use tempfile::SpooledTempFile;

use crate::shared::tallies::Counted;

/// Bytes that stay in memory.
const IN_MEMORY: usize = 32 << 20;

/// Addresses in the order in which they came, in a temporary file where they are many.
#[derive(Debug)]
pub(super) struct Log {
    file: SpooledTempFile,
    len: u64,
    read: u64,
    _counted: Counted,
}

impl Log {
    pub(super) fn new(counted: Counted) -> Self {
        Self {
            file: SpooledTempFile::new(IN_MEMORY),
            len: 0,
            read: 0,
            _counted: counted,
        }
    }

    /// Adds addresses.
    ///
    /// # Errors
    /// The disk.
    pub(super) fn append(&mut self, addrs: &[CAddr]) -> Result<()> {
        let bytes: Vec<u8> = addrs.iter().flat_map(CAddr::as_bytes).copied().collect();
        self.file.seek(SeekFrom::End(0)).map_err(disk)?;
        self.file.write_all(&bytes).map_err(disk)?;
        self.len += addrs.len() as u64;
        Ok(())
    }

    /// Reads from the beginning again.
    pub(super) fn rewind(&mut self) {
        self.read = 0;
    }

    /// The next addresses, `most` at the most; none at the end.
    ///
    /// # Errors
    /// The disk.
    pub(super) fn next(&mut self, most: usize) -> Result<Vec<CAddr>> {
        let count = (self.len - self.read).min(most as u64);
        let start = self.read * CAddr::LEN as u64;
        let mut bytes = vec![0; count as usize * CAddr::LEN];
        self.file.seek(SeekFrom::Start(start)).map_err(disk)?;
        self.file.read_exact(&mut bytes).map_err(disk)?;
        self.read += count;
        bytes
            .chunks_exact(CAddr::LEN)
            .map(CAddr::from_slice)
            .collect()
    }
}

fn disk(source: io::Error) -> Error {
    Error::io(source).with("file", "the temporary list of leased addresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_aside_comes_back_in_order() {
        let addrs: Vec<CAddr> = (0..100u8).map(|n| CAddr::of_blob(&[n])).collect();
        let mut log = Log::new(Counted::default());
        log.append(&addrs[..30]).unwrap();
        assert_eq!(log.next(20).unwrap(), addrs[..20]);
        log.append(&addrs[30..]).unwrap();
        assert_eq!(log.next(100).unwrap(), addrs[20..]);
        assert_eq!(log.next(100).unwrap(), []);
        log.rewind();
        assert_eq!(log.next(100).unwrap(), addrs);
    }
}
