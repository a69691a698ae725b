//! What was asked of the file system, in order, and from when on each change is durable in a model of
//! the disk.

use std::collections::BTreeSet;
use std::fmt;

/// A file or folder, whatever it is called. The folder that everything lies in is [`ROOT`].
pub(super) type Node = usize;

pub(super) const ROOT: Node = 0;

/// What a loss of power may leave of changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    /// What POSIX says and nothing more: bytes are durable by `fsync` or `fdatasync` of their file, names
    /// by a sync of their folder, and of all else any part may be there.
    Strict,
    /// As ext4 in its default mode: names and lengths lie in one ordered journal of which any prefix may
    /// be there, and a sync of anything commits all of it; bytes as in `Strict`.
    Ext4Like,
}

impl Model {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Strict, Self::Ext4Like];
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Strict => "strict",
            Self::Ext4Like => "ext4-like",
        })
    }
}

/// A kind of sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncKind {
    /// `fsync` of a file, or a write that is one because of how the file was opened.
    Fsync,
    /// `fdatasync` of a file.
    Fdatasync,
    /// `fsync` or `fdatasync` of a folder.
    Folder,
    /// `syncfs` or `sync`.
    FileSystem,
}

impl SyncKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fsync, Self::Fdatasync, Self::Folder, Self::FileSystem];
}

impl fmt::Display for SyncKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fsync => "fsync",
            Self::Fdatasync => "fdatasync",
            Self::Folder => "folder",
            Self::FileSystem => "syncfs",
        })
    }
}

impl std::str::FromStr for SyncKind {
    type Err = deriva_api::Error;

    fn from_str(text: &str) -> deriva_api::Result<Self> {
        let known = Self::ALL.into_iter().find(|kind| kind.to_string() == text);
        known.ok_or_else(|| {
            let invalid = deriva_api::ErrorKind::Invalid;
            deriva_api::Error::new(invalid, "there is no such kind of sync")
                .with("given", text)
                .hint("the kinds are: fsync, fdatasync, folder, syncfs")
        })
    }
}

/// A part of what a call changed.
#[derive(Debug)]
pub(super) struct Change {
    /// The same for all changes of a call.
    pub(super) call: usize,
    pub(super) begin: usize,
    /// From here on every process sees it.
    pub(super) end: usize,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Write {
        file: Node,
        at: u64,
        bytes: Vec<u8>,
    },
    Resize {
        file: Node,
        len: u64,
    },
    /// Names of one folder that change together; `None` takes the name away.
    Names {
        folder: Node,
        names: Vec<(Vec<u8>, Option<Node>)>,
    },
}

#[derive(Debug)]
pub(super) struct Sync {
    pub(super) begin: usize,
    pub(super) end: usize,
    pub(super) kind: SyncKind,
    /// `None`: everything.
    pub(super) of: Option<Node>,
}

/// A line that the traced process printed.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) at: usize,
    pub(super) text: String,
}

/// Everything that happened, in the order in which it ended.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) changes: Vec<Change>,
    pub(super) syncs: Vec<Sync>,
    pub(super) said: Vec<Said>,
    /// How many nodes there are, and which of them are folders.
    pub(super) folders: Vec<bool>,
    /// The moment after the last.
    pub(super) end: usize,
}

impl Timeline {
    /// The kinds of syncs in it.
    pub(super) fn kinds(&self) -> BTreeSet<SyncKind> {
        self.syncs.iter().map(|sync| sync.kind).collect()
    }

    /// Takes the syncs of a kind away, as if nobody had asked for them.
    pub(super) fn forget(&mut self, kind: SyncKind) {
        self.syncs.retain(|sync| sync.kind != kind);
    }

    /// For each change the moment from which on it is durable; `usize::MAX` for never.
    pub(super) fn durable(&self, model: Model) -> Vec<usize> {
        let from = |change: &Change| {
            let syncs = self.syncs.iter();
            let covering =
                syncs.filter(|sync| change.end <= sync.begin && covers(sync, change, model));
            covering.map(|sync| sync.end).min().unwrap_or(usize::MAX)
        };
        self.changes.iter().map(from).collect()
    }

    /// The moments from `from` on at which what may be there, or what must be, is different from before.
    pub(super) fn moments(&self, from: usize) -> Vec<usize> {
        let changes = self.changes.iter().map(|change| change.end);
        let syncs = self.syncs.iter().map(|sync| sync.end);
        let said = self.said.iter().map(|said| said.at);
        let all: BTreeSet<usize> = changes.chain(syncs).chain(said).collect();
        all.range(from..).copied().collect()
    }
}

impl Change {
    /// Whether it lies in the journal of a file system that has one.
    pub(super) fn is_journalled(&self) -> bool {
        !matches!(self.what, What::Write { .. })
    }
}

fn covers(sync: &Sync, change: &Change, model: Model) -> bool {
    if model == Model::Ext4Like && change.is_journalled() {
        return true;
    }
    let node = match change.what {
        What::Write { file, .. } | What::Resize { file, .. } => file,
        What::Names { folder, .. } => folder,
    };
    sync.of.is_none_or(|of| of == node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(end: usize, file: Node) -> Change {
        let what = What::Write {
            file,
            at: 0,
            bytes: vec![1],
        };
        change(end, what)
    }

    fn change(end: usize, what: What) -> Change {
        Change {
            call: end,
            begin: end,
            end,
            what,
        }
    }

    fn sync(begin: usize, end: usize, of: Option<Node>) -> Sync {
        Sync {
            begin,
            end,
            kind: SyncKind::Fdatasync,
            of,
        }
    }

    #[test]
    fn bytes_are_durable_by_a_sync_of_their_file_that_began_after_them() {
        let timeline = Timeline {
            changes: vec![write(1, 5), write(3, 5), write(4, 6)],
            syncs: vec![sync(2, 7, Some(5)), sync(8, 9, Some(5))],
            ..Timeline::default()
        };
        for model in Model::ALL {
            assert_eq!(timeline.durable(model), [7, 9, usize::MAX], "{model}");
        }
    }

    #[test]
    fn a_sync_of_anything_commits_the_journal_and_only_where_there_is_one() {
        let names = vec![(b"a".to_vec(), Some(5))];
        let name = What::Names {
            folder: ROOT,
            names,
        };
        let timeline = Timeline {
            changes: vec![
                change(1, name),
                change(2, What::Resize { file: 5, len: 9 }),
                write(3, 5),
            ],
            syncs: vec![
                sync(4, 5, Some(8)),
                sync(6, 7, Some(ROOT)),
                sync(8, 9, None),
            ],
            ..Timeline::default()
        };
        assert_eq!(timeline.durable(Model::Strict), [7, 9, 9]);
        assert_eq!(timeline.durable(Model::Ext4Like), [5, 5, 9]);
    }
}
