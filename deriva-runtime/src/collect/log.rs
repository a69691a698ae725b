//! Addresses that are set aside until there is an index to look them up in.

use std::io::{self, Read, Seek, SeekFrom, Write};

use deriva_api::{CAddr, Error, Result};
use tempfile::SpooledTempFile;

/// Bytes that stay in memory.
const IN_MEMORY: usize = 32 << 20;

/// Addresses in the order in which they came, in a temporary file where they are many.
#[derive(Debug)]
pub(super) struct Log {
    file: SpooledTempFile,
    left: u64,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            file: SpooledTempFile::new(IN_MEMORY),
            left: 0,
        }
    }

    /// Adds addresses.
    ///
    /// # Errors
    /// The disk.
    pub(super) fn append(&mut self, addrs: &[CAddr]) -> Result<()> {
        let bytes: Vec<u8> = addrs.iter().flat_map(CAddr::as_bytes).copied().collect();
        self.file.write_all(&bytes).map_err(disk)?;
        self.left += addrs.len() as u64;
        Ok(())
    }

    /// Ends adding: what was added is read from its beginning.
    ///
    /// # Errors
    /// The disk.
    pub(super) fn rewind(&mut self) -> Result<()> {
        self.file.seek(SeekFrom::Start(0)).map_err(disk)?;
        Ok(())
    }

    /// The next addresses, `most` at the most; none at the end.
    ///
    /// # Errors
    /// The disk.
    pub(super) fn next(&mut self, most: usize) -> Result<Vec<CAddr>> {
        let count = self.left.min(most as u64);
        self.left -= count;
        let mut bytes = vec![0; count as usize * CAddr::LEN];
        self.file.read_exact(&mut bytes).map_err(disk)?;
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
        let mut log = Log::new();
        log.append(&addrs[..30]).unwrap();
        log.append(&addrs[30..]).unwrap();
        log.rewind().unwrap();
        let pages = [40, 40, 40, 40].map(|most| log.next(most).unwrap());
        assert_eq!(pages.map(|page| page.len()), [40, 40, 20, 0]);
    }
}
