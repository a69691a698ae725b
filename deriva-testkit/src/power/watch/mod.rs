//! From system calls to changes of files and names: who wrote what where.
//!
//! A node is a file or folder by itself, as an inode is: names point to nodes, and so do descriptors. What
//! cannot be followed is refused by the name of its call, never passed over.

mod files;
mod names;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::calls::{self, Call, descriptor, quoted};
use super::timeline::{Change, Node, Said, Timeline, What};

/// What is traced. Reads are, because they move the place of the next write.
pub(super) const CALLS: &str = "trace=read,readv,lseek,dup,dup2,dup3,fcntl,\
    write,pwrite64,writev,pwritev,pwritev2,truncate,ftruncate,fallocate,\
    fsync,fdatasync,syncfs,sync,sync_file_range,msync,open,creat,openat,openat2,\
    rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,\
    mmap,io_uring_setup,copy_file_range,sendfile,splice";

/// A call that a kill fell into, of which nobody knows whether it was done.
pub(super) const CUT_OFF: &str = "the end of the process cut it off";
const CUT: &str = "strace cut its bytes off";
const ODD: &str = "its arguments are not understood";

/// What processes did below a folder, one process after the other.
#[derive(Debug)]
pub(super) struct Watch {
    root: PathBuf,
    pub(super) timeline: Timeline,
    names: HashMap<(Node, Vec<u8>), Node>,
    lens: Vec<u64>,
    /// Descriptors of the process, and the openings that they stand for.
    descriptors: BTreeMap<i64, usize>,
    openings: Vec<Opening>,
    /// The moment at which this process began.
    since: usize,
    calls: usize,
}

/// A file or folder that was opened; several descriptors may stand for it.
#[derive(Debug)]
struct Opening {
    node: Node,
    at: u64,
    append: bool,
    synced: bool,
}

impl Watch {
    /// Of a folder that is empty, by its canonical path.
    pub(super) fn new(root: &Path) -> Self {
        let timeline = Timeline {
            folders: vec![true],
            ..Timeline::default()
        };
        Self {
            root: root.to_owned(),
            timeline,
            names: HashMap::new(),
            lens: vec![0],
            descriptors: BTreeMap::new(),
            openings: Vec::new(),
            since: 0,
            calls: 0,
        }
    }

    /// Reads the trace of the next process.
    pub(super) fn read(&mut self, text: &str) -> Result<(), String> {
        self.descriptors.clear();
        self.since = self.timeline.end;
        calls::each(text, |call| {
            self.calls += 1;
            let name = call.name;
            self.see(&call).map_err(|why| format!("{name}: {why}"))
        })?;
        self.timeline.end = self.since + text.lines().count() + 1;
        Ok(())
    }

    fn see(&mut self, call: &Call<'_>) -> Result<(), String> {
        if call.result.starts_with('?') && self.changes(call) {
            return Err(CUT_OFF.to_owned());
        }
        if !call.succeeded() {
            return Ok(());
        }
        match call.name {
            "read" | "readv" => self.passed_over(call),
            "lseek" => self.sought(call),
            "dup" | "dup2" | "dup3" | "fcntl" => self.duplicated(call),
            "write" if call.arg(0).starts_with("1<") => self.told(call),
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => self.written(call),
            "truncate" | "ftruncate" => self.resized(call),
            "fallocate" => self.allocated(call),
            "fsync" | "fdatasync" | "syncfs" | "sync" => self.synced(call),
            "open" | "creat" | "openat" | "openat2" => self.opened(call),
            "mkdir" | "mkdirat" => self.made(call),
            "unlink" | "unlinkat" | "rmdir" => self.unlinked(call),
            "rename" | "renameat" | "renameat2" => self.renamed(call),
            "link" | "linkat" => self.linked(call),
            "mmap" if self.is_mapped_writable(call) => {
                Err("what is written to a mapped file is not seen".to_owned())
            }
            "io_uring_setup" => Err("what goes through io_uring is not seen".to_owned()),
            "symlink" | "symlinkat" | "copy_file_range" | "sendfile" | "splice"
                if self.changes(call) =>
            {
                Err("this call is not followed".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether the call may change something below the folder.
    fn changes(&self, call: &Call<'_>) -> bool {
        const READS: &[&str] = &["read", "readv", "lseek", "mmap", "sync_file_range", "msync"];
        if READS.contains(&call.name) || call.name.contains("sync") {
            return false;
        }
        let below = |arg: &str| {
            let path = match arg.starts_with('"') {
                true => quoted(arg),
                false => descriptor(arg).map(|(_, path)| path),
            };
            path.is_some_and(|path| self.is_below(&path))
        };
        call.args.iter().any(|arg| below(arg))
    }

    fn is_below(&self, path: &[u8]) -> bool {
        Path::new(OsStr::from_bytes(path)).starts_with(&self.root)
    }

    fn is_mapped_writable(&self, call: &Call<'_>) -> bool {
        call.arg(2).contains("PROT_WRITE")
            && call.arg(3).contains("MAP_SHARED")
            && self.opening(call.arg(4)).is_some()
    }

    fn told(&mut self, call: &Call<'_>) -> Result<(), String> {
        let text = quoted(call.arg(1)).ok_or(CUT)?;
        let at = self.since + call.begin;
        for line in String::from_utf8_lossy(&text).lines() {
            let text = line.to_owned();
            self.timeline.said.push(Said { at, text });
        }
        Ok(())
    }

    fn change(&mut self, call: &Call<'_>, what: What) {
        self.timeline.changes.push(Change {
            call: self.calls,
            begin: self.since + call.begin,
            end: self.since + call.end,
            what,
        });
    }

    /// The place among the openings of what a descriptor stands for, where that is followed. Closing is
    /// not traced: a number that was used again, for a socket say, is told by its path.
    fn opening(&self, arg: &str) -> Option<usize> {
        let (number, path) = descriptor(arg)?;
        let ours = self.is_below(&path);
        ours.then(|| self.descriptors.get(&number).copied())?
    }

    /// As [`Self::opening`]; a descriptor that was not seen to be opened must not be one of ours.
    fn known(&self, arg: &str) -> Result<Option<usize>, String> {
        let path = descriptor(arg).map(|(_, path)| path).unwrap_or_default();
        match self.opening(arg) {
            None if self.is_below(&path) => {
                let path = String::from_utf8_lossy(&path);
                Err(format!("{path} was not seen to be opened"))
            }
            opening => Ok(opening),
        }
    }
}

#[cfg(test)]
mod tests;
