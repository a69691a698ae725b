//! Files and folders as a loss of power left them, built from what happened and what of it was kept.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use deriva_api::{BlobHasher, CAddr};

use super::timeline::{Node, ROOT, Timeline, What};
use crate::SplitMix64;

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Lost,
    /// Of a write, the blocks of `size` bytes that chance keeps, `of_8` in 8.
    Blocks {
        size: u64,
        seed: u64,
        of_8: u64,
    },
    /// Of a write, the first blocks of 512 bytes, `of_8` in 8.
    Torn {
        of_8: u64,
    },
}

/// What is seen in place of bytes that were lost where the file had none before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// The file ends before them, unless something after them is there.
    Short,
    Zeros,
    /// What another file held at the same place of a block that the file had not before; zeros up to there, as
    /// they were written with the block.
    Stale,
}

/// Paths with the bytes of files; folders have none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tree(BTreeMap<PathBuf, Option<Vec<u8>>>);

impl Tree {
    /// Applies each change as far as it was kept; `None` for those that never came to be.
    pub(super) fn build(
        timeline: &Timeline,
        fate: impl Fn(usize) -> Option<Fate>,
        gap: Gap,
    ) -> Self {
        let mut names: BTreeMap<Node, BTreeMap<&[u8], Node>> = BTreeMap::new();
        let kept = |at: &usize| fate(*at) == Some(Fate::Kept);
        for at in (0..timeline.changes.len()).filter(kept) {
            if let What::Names {
                folder,
                names: changed,
            } = &timeline.changes[at].what
            {
                let within = names.entry(*folder).or_default();
                for (name, node) in changed {
                    match node {
                        Some(node) => within.insert(name, *node),
                        None => within.remove(&**name),
                    };
                }
            }
        }
        let mut paths: Vec<(PathBuf, Node)> = Vec::new();
        let mut left = vec![(PathBuf::new(), ROOT)];
        while let Some((path, node)) = left.pop() {
            for (name, node) in names.get(&node).into_iter().flatten() {
                let path = path.join(OsStr::from_bytes(name));
                paths.push((path.clone(), *node));
                // A folder that comes back where it had been moved from would be below itself.
                if timeline.folders[*node] && path.components().count() < 32 {
                    left.push((path, *node));
                }
            }
        }
        let files = paths.iter().filter(|(_, node)| !timeline.folders[*node]);
        let files = files.map(|(_, node)| (*node, Vec::new())).collect();
        let files = contents(timeline, fate, gap, files);
        let of = |node: &Node| files.get(node).cloned();
        Self(
            paths
                .into_iter()
                .map(|(path, node)| (path, of(&node)))
                .collect(),
        )
    }

    /// Reads what lies in a folder.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut tree = BTreeMap::new();
        let mut left = vec![PathBuf::new()];
        while let Some(within) = left.pop() {
            for entry in fs::read_dir(folder.join(&within))? {
                let entry = entry?;
                let path = within.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    left.push(path.clone());
                    tree.insert(path, None);
                } else {
                    tree.insert(path, Some(fs::read(entry.path())?));
                }
            }
        }
        Ok(Self(tree))
    }

    /// Makes the files and folders in `folder`, which is made, too.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (path, bytes) in &self.0 {
            match bytes {
                None => fs::create_dir(folder.join(path))?,
                Some(bytes) => fs::write(folder.join(path), bytes)?,
            }
        }
        Ok(())
    }

    /// The first path at which two differ.
    pub(super) fn differs(&self, other: &Self) -> Option<PathBuf> {
        let mut paths = self.0.keys().chain(other.0.keys());
        paths
            .find(|path| self.0.get(*path) != other.0.get(*path))
            .cloned()
    }

    /// The same for equal trees alone.
    pub(super) fn hash(&self) -> CAddr {
        let mut hasher = BlobHasher::new();
        for (path, bytes) in &self.0 {
            let path = path.as_os_str().as_bytes();
            let len = bytes.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64);
            hasher.update(&(path.len() as u64).to_le_bytes());
            hasher.update(path);
            hasher.update(&len.to_le_bytes());
            hasher.update(bytes.as_deref().unwrap_or_default());
        }
        hasher.finish().addr
    }
}

/// The bytes of the files that there are.
fn contents(
    timeline: &Timeline,
    fate: impl Fn(usize) -> Option<Fate>,
    gap: Gap,
    mut files: HashMap<Node, Vec<u8>>,
) -> HashMap<Node, Vec<u8>> {
    let mut used = Used::default();
    for (at, change) in timeline.changes.iter().enumerate() {
        match &change.what {
            What::Names { .. } => {}
            What::Resize { file, len } => {
                if fate(at) == Some(Fate::Kept)
                    && let Some(file) = files.get_mut(file)
                {
                    file.resize(*len as usize, 0);
                }
            }
            What::Write {
                file: node,
                at: from,
                bytes,
            } => {
                if let (Some(file), Some(fate)) = (files.get_mut(node), fate(at)) {
                    let stale = used.by_others(*node);
                    for (offset, piece, kept) in pieces(fate, at, *from, bytes) {
                        apply(file, offset as usize, piece, kept, gap, stale);
                    }
                }
                used.by(*node, *from, bytes);
            }
        }
    }
    files
}

fn apply(file: &mut Vec<u8>, at: usize, piece: &[u8], kept: bool, gap: Gap, stale: &Block) {
    let end = at + piece.len();
    if !kept && gap == Gap::Short {
        return;
    }
    let len = file.len();
    if len < end {
        file.resize(end, 0);
    }
    if kept {
        file[at..end].copy_from_slice(piece);
    } else if gap == Gap::Stale {
        for new in len.next_multiple_of(stale.len()).max(at)..end {
            file[new] = stale[new % stale.len()];
        }
    }
}

type Block = [u8; 4096];

/// Blocks that were written last, for files take over the blocks of others.
struct Used([(Node, Block); 2]);

impl Default for Used {
    fn default() -> Self {
        let block = std::array::from_fn(|at| b"stale"[at % 5]);
        Self([(ROOT, block), (ROOT, block)])
    }
}

impl Used {
    fn by(&mut self, node: Node, at: u64, bytes: &[u8]) {
        if self.0[0].0 != node {
            self.0[1] = self.0[0];
            self.0[0].0 = node;
        }
        let block = &mut self.0[0].1;
        let first = bytes.len().saturating_sub(block.len());
        for (byte, at) in bytes[first..].iter().zip(at as usize + first..) {
            block[at % block.len()] = *byte;
        }
    }

    fn by_others(&self, node: Node) -> &Block {
        let last = usize::from(self.0[0].0 == node);
        &self.0[last].1
    }
}

/// The pieces of a write, in order: where each lies, its bytes, and whether it was kept.
fn pieces(fate: Fate, change: usize, from: u64, bytes: &[u8]) -> Vec<(u64, &[u8], bool)> {
    let blocks = |size: u64, keep: &dyn Fn(u64) -> bool| {
        let mut pieces = Vec::new();
        let (mut at, mut rest) = (from, bytes);
        while !rest.is_empty() {
            let room = (size - at % size).min(rest.len() as u64);
            let (piece, left) = rest.split_at(room as usize);
            pieces.push((at, piece, keep(at / size)));
            (at, rest) = (at + room, left);
        }
        pieces
    };
    match fate {
        Fate::Kept => vec![(from, bytes, true)],
        Fate::Lost => vec![(from, bytes, false)],
        Fate::Blocks { size, seed, of_8 } => blocks(size, &|block| {
            let mut random = SplitMix64::new(seed ^ (change as u64) << 40 ^ block);
            random.below(8) < of_8
        }),
        Fate::Torn { of_8 } => {
            let end = from + bytes.len() as u64 * of_8 / 8;
            blocks(512, &|block| (block + 1) * 512 <= end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::timeline::Change;

    fn timeline(whats: Vec<What>, folders: &[bool]) -> Timeline {
        let changes = whats.into_iter().enumerate();
        let changes = changes.map(|(at, what)| Change {
            call: at,
            begin: at,
            end: at,
            what,
        });
        Timeline {
            changes: changes.collect(),
            folders: folders.to_vec(),
            ..Timeline::default()
        }
    }

    fn name(folder: Node, name: &str, node: Option<Node>) -> What {
        What::Names {
            folder,
            names: vec![(name.as_bytes().to_vec(), node)],
        }
    }

    fn write(file: Node, at: u64, bytes: &[u8]) -> What {
        What::Write {
            file,
            at,
            bytes: bytes.to_vec(),
        }
    }

    fn file<'a>(tree: &'a Tree, path: &str) -> Option<&'a [u8]> {
        tree.0.get(Path::new(path))?.as_deref()
    }

    fn all_but(lost: usize) -> impl Fn(usize) -> Option<Fate> {
        move |at| Some(if at == lost { Fate::Lost } else { Fate::Kept })
    }

    #[test]
    fn what_is_lost_leaves_a_gap_and_not_its_neighbours() {
        let timeline = timeline(
            vec![
                name(0, "d", Some(1)),
                name(1, "f", Some(2)),
                write(2, 0, b"old"),
                write(2, 1, b"12345"),
                write(2, 8, b"end"),
            ],
            &[true, true, false],
        );
        let built = |lost, gap| Tree::build(&timeline, all_but(lost), gap);
        let of = |tree: &Tree| file(tree, "d/f").unwrap().to_vec();
        assert_eq!(of(&built(9, Gap::Short)), b"o12345\0\0end");
        assert_eq!(of(&built(3, Gap::Short)), b"old\0\0\0\0\0end");
        assert_eq!(of(&built(4, Gap::Short)), b"o12345");
        assert_eq!(of(&built(4, Gap::Zeros)), b"o12345\0\0\0\0\0");
        // Bytes that were there stay, and the rest of their block was written with them.
        assert_eq!(of(&built(3, Gap::Stale)), b"old\0\0\0\0\0end");
        assert_eq!(built(1, Gap::Short).0.len(), 1);
        assert_eq!(built(0, Gap::Short), Tree::default());
    }

    #[test]
    fn a_block_that_is_new_to_a_file_shows_what_it_held_before() {
        let whats = vec![
            name(0, "f", Some(1)),
            write(1, 0, b"old"),
            write(1, 4090, &[7; 10]),
        ];
        let timeline = timeline(whats, &[true, false]);
        let tree = Tree::build(&timeline, all_but(2), Gap::Stale);
        let bytes = file(&tree, "f").unwrap();
        assert_eq!(
            (bytes.len(), &bytes[4090..]),
            (4100, &b"\0\0\0\0\0\0stal"[..])
        );
    }

    #[test]
    fn blocks_of_a_write_are_lost_each_by_itself() {
        let whats = vec![name(0, "f", Some(1)), write(1, 100, &[7; 5000])];
        let timeline = timeline(whats, &[true, false]);
        let fate = |seed| {
            move |at| {
                Some(match at {
                    1 => Fate::Blocks {
                        size: 512,
                        seed,
                        of_8: 4,
                    },
                    _ => Fate::Kept,
                })
            }
        };
        let tree = Tree::build(&timeline, fate(3), Gap::Zeros);
        let bytes = file(&tree, "f").unwrap();
        assert_eq!(bytes.len(), 5100);
        let blocks = bytes.chunks(512).map(|block| &block[block.len() - 1..]);
        let kept = blocks.filter(|last| **last == [7]).count();
        assert!((1..9).contains(&kept), "{kept} of 10 blocks");
        assert_ne!(
            tree.hash(),
            Tree::build(&timeline, fate(4), Gap::Zeros).hash()
        );
        let torn = |at| {
            Some(if at == 1 {
                Fate::Torn { of_8: 4 }
            } else {
                Fate::Kept
            })
        };
        let tree = Tree::build(&timeline, torn, Gap::Short);
        assert_eq!(file(&tree, "f").unwrap().len(), 2560);
    }

    #[test]
    fn a_tree_is_what_was_written_to_a_folder() {
        let whats = vec![
            name(0, "d", Some(1)),
            name(1, "f", Some(2)),
            write(2, 0, b"x"),
        ];
        let timeline = timeline(whats, &[true, true, false]);
        let tree = Tree::build(&timeline, all_but(9), Gap::Short);
        let folder = tempfile::tempdir().unwrap();
        tree.write(folder.path()).unwrap();
        let read = Tree::read(folder.path()).unwrap();
        assert_eq!((read.differs(&tree), read.hash()), (None, tree.hash()));
        fs::write(folder.path().join("d/f"), "y").unwrap();
        let read = Tree::read(folder.path()).unwrap();
        assert_eq!(tree.differs(&read), Some(PathBuf::from("d/f")));
    }
}
