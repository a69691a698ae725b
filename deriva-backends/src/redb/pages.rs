//! A file for redb whose pages are checked whenever they are read.
//!
//! Redb checks its pages when it repairs a file, and trusts them otherwise: a damaged key would
//! mislead its search. Here each block of 4 KiB has a checksum over its bytes and its place. Redb's
//! cache stands above, so a page is checked when it comes from the file, not with each look at it.
//!
//! | in the file | what |
//! |---|---|
//! | a block | [`MAGIC`], then nothing |
//! | a block | redb's header |
//! | a block, then 512 blocks | checksums, then the blocks that they are of; and so on to the end |
//!
//! **A page that is not what was written** is handed to redb filled with [`UNSOUND`]. No page of
//! redb begins like that, nor does any reading of it stay within its bounds, so redb answers that
//! the file is corrupt, or panics, which is caught. When it chooses the commit that it repairs a
//! file to, such a page fails redb's own checksums and so counts as torn. An error would not do:
//! after one redb refuses all further work, on sound pages too, and loses what was not durable.
//!
//! **Durability.** New checksums are written before each sync, which covers both. Redb writes a
//! page whole, to where no page lies that a durable commit needs, so until the sync nobody relies
//! on the new checksum. Checksums of other pages, in the same block, are written again as they
//! were: redb itself relies on it that such bytes outlive a loss of power ("powersafe overwrite")
//! for the header, which holds its last two commits.
//!
//! **The header** is not checked here. It is the one block that redb writes in place and in part,
//! and checks by itself: each commit's slot carries a checksum, and the rest is held against the
//! file's length.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::RwLock;
use redb::StorageBackend;
use twox_hash::XxHash3_64;

/// The file begins with this. Redb's own files do not, so neither is taken for the other.
const MAGIC: &[u8; 8] = b"dvpages1";
/// The size of redb's pages: what it reads and writes, but for the header, is whole blocks.
const BLOCK: u64 = 4096;
const SUM: usize = 8;
/// As many blocks as a block holds checksums.
const GROUP: u64 = BLOCK / SUM as u64;
/// Blocks before the first group.
const HEAD: u64 = 2;
/// What an unsound page is filled with.
const UNSOUND: u8 = 0xff;

/// The file.
#[derive(Debug)]
pub(crate) struct Pages {
    file: File,
    /// The checksums of groups that were written to since the last sync: 4 KiB for 2 MiB.
    changed: RwLock<BTreeMap<u64, Vec<u8>>>,
}

impl Pages {
    /// Creates a file in which redb finds nothing yet.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        let file = options.create_new(true).read(true).write(true).open(path)?;
        file.write_all_at(MAGIC, 0)?;
        Ok(Self::over(file))
    }

    /// Opens the file of a database that was created to the end; `InvalidData` when it is none.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let mut magic = [0; MAGIC.len()];
        match file.read_exact_at(&mut magic, 0) {
            Ok(()) if magic == *MAGIC => {}
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(error),
            _ => return Err(invalid("the file does not begin as deriva's do")),
        }
        let pages = Self::over(file);
        match pages.len()? {
            // Redb would begin anew in it.
            0 => Err(invalid("the file is empty")),
            _ => Ok(pages),
        }
    }

    fn over(file: File) -> Self {
        let changed = RwLock::default();
        Self { file, changed }
    }

    /// The checksums of a part of a group, as they were last written.
    fn sums(&self, run: &Run) -> io::Result<Vec<u8>> {
        let within = run.sums();
        if let Some(sums) = self.changed.read().get(&run.group) {
            return Ok(sums[within].to_vec());
        }
        let mut sums = vec![0; within.len()];
        let at = sums_of(run.group) + within.start as u64;
        self.file.read_exact_at(&mut sums, at)?;
        Ok(sums)
    }

    /// A group's checksums, to be changed. There are none where the group was never written to.
    fn load(&self, group: u64) -> io::Result<Vec<u8>> {
        let mut sums = vec![0; BLOCK as usize];
        self.file.read_exact_at(&mut sums, sums_of(group))?;
        Ok(sums)
    }
}

impl StorageBackend for Pages {
    fn len(&self) -> io::Result<u64> {
        let found = self.file.metadata()?.len();
        if found <= BLOCK {
            return Ok(0);
        }
        let blocks = whole(found)? - HEAD;
        let (groups, rest) = (blocks / (1 + GROUP), blocks % (1 + GROUP));
        let len = BLOCK * (1 + groups * GROUP + rest.saturating_sub(1));
        match stored_len(len)? == found {
            true => Ok(len),
            false => Err(invalid("the file ends where none of deriva's does")),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let stored = stored_len(len)?;
        // Not to be written after the new end.
        self.changed
            .write()
            .retain(|group, _| sums_of(*group) < stored);
        self.file.set_len(stored)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut changed = self.changed.write();
        for (group, sums) in &*changed {
            self.file.write_all_at(sums, sums_of(*group))?;
        }
        changed.clear();
        drop(changed);
        self.file.sync_data()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if in_header(offset, out.len()) {
            return self.file.read_exact_at(out, BLOCK + offset);
        }
        let mut sound = true;
        for run in runs(offset, out.len())? {
            let blocks = &mut out[run.bytes.clone()];
            self.file.read_exact_at(blocks, run.place())?;
            sound &= run.hash(blocks).eq(self.sums(&run)?.chunks(SUM));
        }
        if !sound {
            out.fill(UNSOUND);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if in_header(offset, data.len()) {
            return self.file.write_all_at(data, BLOCK + offset);
        }
        for run in runs(offset, data.len())? {
            let blocks = &data[run.bytes.clone()];
            self.file.write_all_at(blocks, run.place())?;
            let mut changed = self.changed.write();
            let sums = match changed.entry(run.group) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(free) => free.insert(self.load(run.group)?),
            };
            for (sum, hash) in sums[run.sums()].chunks_mut(SUM).zip(run.hash(blocks)) {
                sum.copy_from_slice(&hash);
            }
        }
        Ok(())
    }
}

/// Blocks that follow each other in one group.
struct Run {
    group: u64,
    /// The first one's number in the group.
    first: u64,
    /// Where they are in what is read or written.
    bytes: Range<usize>,
}

impl Run {
    fn place(&self) -> u64 {
        sums_of(self.group) + BLOCK * (1 + self.first)
    }

    /// Where their checksums are among the group's.
    fn sums(&self) -> Range<usize> {
        let first = self.first as usize * SUM;
        first..first + self.bytes.len() / BLOCK as usize * SUM
    }

    /// What their checksums should be.
    fn hash<'a>(&self, blocks: &'a [u8]) -> impl Iterator<Item = [u8; SUM]> + use<'a> {
        let first = self.group * GROUP + self.first;
        let numbered = blocks.chunks(BLOCK as usize).zip(first..);
        numbered.map(|(block, number)| (XxHash3_64::oneshot(block) ^ number).to_le_bytes())
    }
}

/// The blocks at `offset`, counted after the header, by group.
fn runs(offset: u64, len: usize) -> io::Result<impl Iterator<Item = Run>> {
    let (begin, len) = (whole(offset)?, whole(len as u64)?);
    let begin = begin
        .checked_sub(1)
        .ok_or_else(|| invalid("more than the header is asked for"))?;
    let mut next = begin;
    Ok(std::iter::from_fn(move || {
        let (group, first) = (next / GROUP, next % GROUP);
        let count = (begin + len - next).min(GROUP - first);
        let from = (next - begin) * BLOCK;
        next += count;
        (count > 0).then(|| Run {
            group,
            first,
            bytes: from as usize..(from + count * BLOCK) as usize,
        })
    }))
}

/// Whether these bytes are of the header alone.
fn in_header(offset: u64, len: usize) -> bool {
    offset < BLOCK && len as u64 <= BLOCK - offset
}

/// Where a group's checksums are in the file.
fn sums_of(group: u64) -> u64 {
    BLOCK * (HEAD + group * (1 + GROUP))
}

/// How long the file is when redb thinks it `len` long.
fn stored_len(len: u64) -> io::Result<u64> {
    let blocks = whole(len)?.saturating_sub(1);
    Ok(BLOCK * (HEAD + blocks.div_ceil(GROUP) + blocks))
}

/// As a number of blocks.
fn whole(bytes: u64) -> io::Result<u64> {
    match bytes % BLOCK {
        0 => Ok(bytes / BLOCK),
        _ => Err(invalid("there is a part of a block")),
    }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = BLOCK as usize;

    fn pages() -> (tempfile::TempDir, Pages) {
        let dir = tempfile::tempdir().unwrap();
        let pages = Pages::create(&dir.path().join("pages")).unwrap();
        (dir, pages)
    }

    fn reopened(dir: &tempfile::TempDir) -> io::Result<Pages> {
        Pages::open(&dir.path().join("pages"))
    }

    fn block(n: u64) -> Vec<u8> {
        (0..BLOCK).map(|i| (i * n + n) as u8).collect()
    }

    fn read(pages: &Pages, first: u64, blocks: usize) -> Vec<u8> {
        let mut out = vec![7; blocks * LEN];
        pages.read(first * BLOCK, &mut out).unwrap();
        out
    }

    fn is_unsound(page: &[u8]) -> bool {
        page.iter().all(|byte| *byte == UNSOUND)
    }

    #[test]
    fn lengths_are_those_that_were_set() {
        let (_dir, pages) = pages();
        assert_eq!(pages.len().unwrap(), 0);
        for blocks in [1, 2, 3, 512, 513, 514, 1025, 1026, 5000, 1030, 513, 2] {
            pages.set_len(blocks * BLOCK).unwrap();
            assert_eq!(pages.len().unwrap(), blocks * BLOCK);
        }
        for cut in [1, BLOCK] {
            let found = pages.file.metadata().unwrap().len();
            pages.file.set_len(found - cut).unwrap();
            assert_eq!(pages.len().unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn what_is_written_is_read_before_and_after_a_sync_and_an_opening() {
        let (dir, pages) = pages();
        pages.set_len(1200 * BLOCK).unwrap();
        let header = b"as long as redb likes";
        pages.write(3, header).unwrap();
        let run: Vec<u8> = (0..1100).flat_map(block).collect();
        pages.write(40 * BLOCK, &run).unwrap();
        pages.write(1199 * BLOCK, &block(1)).unwrap();
        for pages in [&pages, &pages, &reopened(&dir).unwrap()] {
            let mut found = [0; 21];
            pages.read(3, &mut found).unwrap();
            assert_eq!(&found, header);
            assert!(read(pages, 40, 1100) == run);
            assert!(read(pages, 1000, 2) == [block(960), block(961)].concat());
            assert!(read(pages, 1199, 1) == block(1));
            pages.sync_data().unwrap();
        }
    }

    #[test]
    fn a_bit_flipped_in_a_block_or_its_checksum_spoils_its_page_and_no_other() {
        let (_dir, pages) = pages();
        pages.set_len(20 * BLOCK).unwrap();
        let run: Vec<u8> = (1..20).flat_map(block).collect();
        pages.write(BLOCK, &run).unwrap();
        pages.sync_data().unwrap();
        // The block of redb's number 5: fifth of the group, its checksum the fifth.
        let (block_5, sum_5) = (BLOCK * (HEAD + 1 + 4), BLOCK * HEAD + 4 * SUM as u64);
        for at in [block_5, block_5 + 4095, sum_5, sum_5 + 7] {
            let mut byte = [0];
            pages.file.read_exact_at(&mut byte, at).unwrap();
            pages.file.write_all_at(&[byte[0] ^ 16], at).unwrap();
            assert!(is_unsound(&read(&pages, 5, 1)));
            assert!(is_unsound(&read(&pages, 4, 4)), "a page of four blocks");
            assert!(read(&pages, 1, 4) == run[..4 * LEN]);
            assert!(read(&pages, 6, 14) == run[5 * LEN..]);
            pages.file.write_all_at(&byte, at).unwrap();
        }
        assert!(read(&pages, 1, 19) == run);
    }

    #[test]
    fn a_block_that_was_never_written_or_zeroed_or_belongs_elsewhere_is_unsound() {
        let (_dir, pages) = pages();
        pages.set_len(20 * BLOCK).unwrap();
        assert!(is_unsound(&read(&pages, 9, 1)), "never written");
        pages.write(9 * BLOCK, &vec![0; LEN]).unwrap();
        assert!(read(&pages, 9, 1) == vec![0; LEN], "a block of zeros");
        pages.write(10 * BLOCK, &block(3)).unwrap();
        pages.write(11 * BLOCK, &block(4)).unwrap();
        pages.sync_data().unwrap();
        let place = |number: u64| BLOCK * (HEAD + number);
        let sum = |number: u64| BLOCK * HEAD + (number - 1) * SUM as u64;
        for (at, len) in [(place(10), LEN), (sum(10), SUM)] {
            let mut bytes = vec![0; len];
            pages.file.read_exact_at(&mut bytes, at).unwrap();
            pages.file.write_all_at(&bytes, at + (len as u64)).unwrap();
        }
        assert!(read(&pages, 10, 1) == block(3));
        assert!(is_unsound(&read(&pages, 11, 1)), "moved with its checksum");
        pages.file.write_all_at(&vec![0; LEN], place(9)).unwrap();
        pages.file.write_all_at(&[0; SUM], sum(9)).unwrap();
        assert!(is_unsound(&read(&pages, 9, 1)), "zeroed with its checksum");
    }

    #[test]
    fn a_sync_writes_nothing_behind_an_end_that_came_nearer() {
        let (_dir, pages) = pages();
        pages.set_len(2000 * BLOCK).unwrap();
        pages.write(1900 * BLOCK, &block(1)).unwrap();
        pages.set_len(100 * BLOCK).unwrap();
        pages.sync_data().unwrap();
        assert_eq!(pages.len().unwrap(), 100 * BLOCK);
        pages.set_len(2000 * BLOCK).unwrap();
        assert!(is_unsound(&read(&pages, 1900, 1)));
    }

    #[test]
    fn another_file_or_an_empty_one_is_none() {
        let (dir, pages) = pages();
        let refused = |what: &str| {
            let error = reopened(&dir).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{what}");
        };
        refused("without a header");
        pages.set_len(2 * BLOCK).unwrap();
        reopened(&dir).unwrap();
        pages.file.write_all_at(b"x", 3).unwrap();
        refused("it begins otherwise");
        pages.file.set_len(0).unwrap();
        refused("empty");
    }

    #[test]
    fn redb_asks_for_whole_blocks_or_the_header() {
        let (_dir, pages) = pages();
        pages.set_len(20 * BLOCK).unwrap();
        for (offset, len) in [(0, LEN + 1), (0, 2 * LEN), (BLOCK, 10), (BLOCK + 1, LEN)] {
            assert!(pages.write(offset, &vec![0; len]).is_err());
            assert!(pages.read(offset, &mut vec![0; len]).is_err());
        }
    }
}
