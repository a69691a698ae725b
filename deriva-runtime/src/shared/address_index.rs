//! Many addresses, in order, with a small record beside each, in a temporary file.
//!
//! A collection knows every address by its position among all, which costs bits where the address itself
//! costs 32 bytes. What memory holds is the first address of each block: a quarter of a byte per address,
//! and a look-up reads one block. Up to 32 MiB nothing goes to disk at all; beyond, the file lies in the
//! system's folder for temporary files and has no name, so nothing of it outlives the process.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use deriva_api::{CAddr, Error, ErrorKind, Result};
use parking_lot::Mutex;
use tempfile::SpooledTempFile;
use tokio::runtime::Handle;

use crate::shared::tallies::Counted;

/// Entries in a block.
const BLOCK: usize = 128;
/// Bytes that stay in memory.
const IN_MEMORY: usize = 32 << 20;

/// Where an address stands among all.
pub(crate) type Position = u64;

/// An index that blocks nobody: what went to disk is read on threads that may wait. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedIndex<const N: usize> {
    index: Arc<Mutex<Index<N>>>,
    tokio: Handle,
}

impl<const N: usize> SharedIndex<N> {
    pub(crate) fn new(tokio: &Handle) -> Self {
        Self {
            index: Arc::new(Mutex::new(Index::new())),
            tokio: tokio.clone(),
        }
    }

    /// Counts the index as long as anybody has it.
    pub(crate) fn counted(self, counted: Counted) -> Self {
        self.index.lock().counted = Some(counted);
        self
    }

    /// Works on the index: a batch at a time, not more.
    ///
    /// # Errors
    /// What `work` says.
    pub(crate) async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Index<N>) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        if !self.index.lock().file.is_rolled() {
            return work(&mut self.index.lock());
        }
        let index = Arc::clone(&self.index);
        let working = self.tokio.spawn_blocking(move || work(&mut index.lock()));
        working.await.unwrap_or_else(|source| {
            let what = "looking up addresses was interrupted";
            Err(Error::new(ErrorKind::Cancelled, what).caused_by(source))
        })
    }

    /// The positions of addresses, which are sorted.
    ///
    /// # Errors
    /// The disk.
    pub(crate) async fn find(&self, addrs: Vec<CAddr>) -> Result<Vec<Option<Position>>> {
        let find = move |index: &mut Index<N>| addrs.iter().map(|addr| index.find(*addr)).collect();
        self.with(find).await
    }

    /// The addresses at positions.
    ///
    /// # Errors
    /// The disk.
    pub(crate) async fn addrs(&self, positions: Vec<Position>) -> Result<Vec<CAddr>> {
        let read = move |index: &mut Index<N>| {
            let entries = positions.iter().map(|at| Ok(index.read(*at)?.0));
            entries.collect()
        };
        self.with(read).await
    }
}

/// The addresses themselves, with `N` bytes beside each. Whoever asks in order reads each block once.
#[derive(Debug)]
pub(crate) struct Index<const N: usize> {
    file: SpooledTempFile,
    len: u64,
    /// The first address of each block.
    fences: Vec<CAddr>,
    /// The block in hand, its number, and whether the file lacks it as it is.
    block: Vec<(CAddr, [u8; N])>,
    at: u64,
    dirty: bool,
    counted: Option<Counted>,
}

impl<const N: usize> Index<N> {
    const ENTRY: usize = CAddr::LEN + N;

    fn new() -> Self {
        Self {
            file: SpooledTempFile::new(IN_MEMORY),
            len: 0,
            fences: Vec::new(),
            block: Vec::new(),
            at: 0,
            dirty: false,
            counted: None,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Adds an address after all others.
    ///
    /// # Errors
    /// `Corrupt` when it does not belong there, and the disk.
    pub(crate) fn push(&mut self, addr: CAddr, record: [u8; N]) -> Result<()> {
        if let Some(last) = self.len.checked_sub(1)
            && self.read(last)?.0 >= addr
        {
            let what = "a store lists its addresses out of order";
            return Err(Error::new(ErrorKind::Corrupt, what).with("addr", addr));
        }
        if self.len.is_multiple_of(BLOCK as u64) {
            self.write_back().map_err(disk)?;
            self.block.clear();
            self.at = self.len / BLOCK as u64;
            self.fences.push(addr);
        }
        self.block.push((addr, record));
        self.dirty = true;
        self.len += 1;
        Ok(())
    }

    /// The position of an address.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn find(&mut self, addr: CAddr) -> Result<Option<Position>> {
        let after = self.fences.partition_point(|fence| *fence <= addr);
        let Some(at) = after.checked_sub(1) else {
            return Ok(None);
        };
        self.load(at as u64).map_err(disk)?;
        let found = self.block.binary_search_by_key(&addr, |entry| entry.0);
        Ok(found.ok().map(|n| (at * BLOCK + n) as Position))
    }

    /// What stands at a position.
    ///
    /// # Errors
    /// `Internal` when nothing does, and the disk.
    pub(crate) fn read(&mut self, at: Position) -> Result<(CAddr, [u8; N])> {
        Ok(*self.entry(at)?)
    }

    /// Writes another record beside the address at a position.
    ///
    /// # Errors
    /// As [`Index::read`].
    pub(crate) fn write(&mut self, at: Position, record: [u8; N]) -> Result<()> {
        self.entry(at)?.1 = record;
        self.dirty = true;
        Ok(())
    }

    fn entry(&mut self, at: Position) -> Result<&mut (CAddr, [u8; N])> {
        if at < self.len {
            self.load(at / BLOCK as u64).map_err(disk)?;
        }
        let entry = self.block.get_mut((at % BLOCK as u64) as usize);
        entry.filter(|_| at < self.len).ok_or_else(|| {
            let what = "no address stands at this position";
            Error::new(ErrorKind::Internal, what).with("position", at)
        })
    }

    /// Takes a block into hand.
    fn load(&mut self, at: u64) -> io::Result<()> {
        if at == self.at {
            return Ok(());
        }
        self.write_back()?;
        let before = at * BLOCK as u64;
        let entries = (self.len - before).min(BLOCK as u64) as usize;
        let mut bytes = vec![0; entries * Self::ENTRY];
        self.file
            .seek(SeekFrom::Start(before * Self::ENTRY as u64))?;
        self.file.read_exact(&mut bytes)?;
        self.block.clear();
        for entry in bytes.chunks_exact(Self::ENTRY) {
            let (mut addr, mut record) = ([0; CAddr::LEN], [0; N]);
            addr.copy_from_slice(&entry[..CAddr::LEN]);
            record.copy_from_slice(&entry[CAddr::LEN..]);
            self.block.push((CAddr::from_bytes(addr), record));
        }
        self.at = at;
        Ok(())
    }

    fn write_back(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        let entries = self.block.iter();
        let bytes: Vec<u8> = entries
            .flat_map(|(addr, record)| addr.as_bytes().iter().chain(record))
            .copied()
            .collect();
        let start = self.at * (BLOCK * Self::ENTRY) as u64;
        self.file.seek(SeekFrom::Start(start))?;
        self.file.write_all(&bytes)
    }
}

fn disk(source: io::Error) -> Error {
    Error::io(source)
        .with("file", "the temporary list of addresses")
        .hint("TMPDIR names the folder for temporary files; 45 bytes per address are needed there")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn addr(n: u64) -> CAddr {
        CAddr::of_blob(&n.to_le_bytes())
    }

    #[test]
    fn addresses_are_found_at_their_positions_and_nothing_else_is() {
        for count in [0, 1, 127, 128, 129, 5000] {
            let sorted: BTreeMap<CAddr, u64> = (0..count).map(|n| (addr(n), n)).collect();
            let mut index = Index::<8>::new();
            for (addr, n) in &sorted {
                index.push(*addr, n.to_le_bytes()).unwrap();
            }
            for (at, (addr, n)) in sorted.iter().enumerate() {
                assert_eq!(index.find(*addr).unwrap(), Some(at as u64));
                assert_eq!(index.read(at as u64).unwrap(), (*addr, n.to_le_bytes()));
            }
            for n in count..count + 300 {
                assert_eq!(index.find(addr(n)).unwrap(), None, "{count}");
            }
            assert_eq!(index.find(CAddr::MIN).unwrap(), None);
            assert!(index.read(count).is_err());
        }
    }

    #[test]
    fn records_are_changed_in_place_also_on_disk() {
        let mut index = Index::<8>::new();
        index.file.roll().unwrap();
        let mut addrs: Vec<CAddr> = (0..1000).map(addr).collect();
        addrs.sort_unstable();
        for (at, addr) in addrs.iter().enumerate() {
            index.push(*addr, [0; 8]).unwrap();
            // Between two that are added, the first block is in hand.
            index.write(0, (at as u64).to_le_bytes()).unwrap();
        }
        for at in (0..1000).rev() {
            index.write(at, (at * 7).to_le_bytes()).unwrap();
        }
        for (at, addr) in addrs.iter().enumerate() {
            let expected = (*addr, (at as u64 * 7).to_le_bytes());
            assert_eq!(index.read(at as u64).unwrap(), expected);
        }
    }

    #[test]
    fn a_store_that_lists_out_of_order_is_refused() {
        let mut index = Index::<0>::new();
        index.push(CAddr::from_bytes([2; 32]), []).unwrap();
        for n in [1, 2] {
            let refused = index.push(CAddr::from_bytes([n; 32]), []).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Corrupt);
        }
    }
}
