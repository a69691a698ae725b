//! Reads what `strace` saw of a writing process: which syncs stood between a request and its
//! acknowledgement, and what the process had written by then and not synced.
//!
//! A file is synced by `fsync` or `fdatasync` that began after its last write had ended, or by `syncfs`;
//! a new name by a sync of its folder. `sync_file_range` is told of but counts for nothing: it flushes
//! no disk cache. A changed length is no write: what is written into it counts by itself. Deleted files
//! need no sync: whether one may come back after a crash is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::Broken;
use super::program::{MARK, told};
use super::store::Prover;
use super::writer::WriterArgs;

const CALLS: &str = "trace=write,pwrite64,writev,pwritev,pwritev2,\
    fsync,fdatasync,syncfs,sync,msync,sync_file_range,\
    openat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat";

/// One acknowledged request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The step, and for blobs the length.
    pub(super) what: String,
    /// Syncs that ended between request and acknowledgement, in order.
    pub(super) waited_for: Vec<String>,
    /// What was written by then and not synced.
    pub(super) unsynced: Vec<String>,
}

/// Runs a writer under `strace`, its output thrown away; the inner error says why that cannot be done.
pub(super) fn run(
    prover: &Prover,
    args: &WriterArgs,
) -> Result<Result<Vec<Request>, String>, Broken> {
    let log = args.place.with_extension("trace");
    let options = [
        "-f",
        "-y",
        "-qq",
        "-s",
        "96",
        "-e",
        "signal=none",
        "-e",
        CALLS,
        "-o",
    ];
    let mut under: Vec<OsString> = vec!["strace".into()];
    under.extend(options.map(OsString::from));
    under.push(log.clone().into());
    let mut command = prover.program.command_under(&under, &args.job());
    let output = match command.stdout(Stdio::null()).output() {
        Err(error) => return Ok(Err(format!("strace does not run: {error}"))),
        Ok(output) => output,
    };
    let text = std::fs::read(&log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default();
        // Where tracing is forbidden the program never began.
        return match text.contains(&format!("{MARK}begin ")) {
            true => Err(Broken::new(format!("the traced writer failed: {said}"))),
            false => Ok(Err(format!("strace cannot trace here: {said}"))),
        };
    }
    let requests = parse(&text, &args.place, prover.store.dispensable());
    match requests.is_empty() {
        true => Ok(Err("strace saw no request".to_owned())),
        false => Ok(Ok(requests)),
    }
}

/// A path below a store without what differs from run to run: addresses, numbers, temporary names.
pub(super) fn normal(path: &str) -> String {
    let part = |part: &str| {
        let hex = part.bytes().all(|b| b.is_ascii_hexdigit());
        match part.len() {
            64 if hex => "ADDRESS".to_owned(),
            2 if hex && part != "db" => "ab".to_owned(),
            _ if part.starts_with(".tmp") => "TEMPORARY".to_owned(),
            _ => {
                let digits = |c: char| c.is_ascii_digit();
                match part.find(digits) {
                    Some(at) => {
                        format!("{}*{}", &part[..at], part[at..].trim_start_matches(digits))
                    }
                    None => part.to_owned(),
                }
            }
        }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn parse(text: &str, store: &Path, dispensable: &[&str]) -> Vec<Request> {
    let mut watch = Watch::new(store, dispensable);
    // Calls of other threads that have begun: what was printed of them, and when.
    let mut begun: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    for (now, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(thread, (start.trim_end().to_owned(), now));
            // A marker counts from when it is being written.
            continue;
        }
        match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let tail = resumed.split_once("resumed>").map_or("", |(_, tail)| tail);
                if let Some((start, since)) = begun.remove(thread) {
                    watch.see(&format!("{start}{tail}"), since, now);
                }
            }
            None => watch.see(rest, now, now),
        }
    }
    watch.requests
}

/// What is known while the trace is read.
struct Watch<'a> {
    store: &'a Path,
    /// Files that need no sync, by how their paths begin.
    dispensable: &'a [&'a str],
    /// Files with unsynced bytes, and when they were last written.
    bytes: BTreeMap<PathBuf, usize>,
    /// Names that are not durable in their folder yet, and since when.
    names: BTreeMap<PathBuf, usize>,
    exists: BTreeSet<PathBuf>,
    open: Option<Request>,
    requests: Vec<Request>,
}

impl<'a> Watch<'a> {
    fn new(store: &'a Path, dispensable: &'a [&'a str]) -> Self {
        Self {
            store,
            dispensable,
            bytes: BTreeMap::new(),
            names: BTreeMap::new(),
            exists: BTreeSet::new(),
            open: None,
            requests: Vec::new(),
        }
    }

    /// A call that began at `since` and ended at `now`.
    fn see(&mut self, call: &str, since: usize, now: usize) {
        let Some((name, rest)) = call.split_once('(') else {
            return;
        };
        let Some((args, result)) = rest.rsplit_once(") = ") else {
            // strace pads short calls before the equals sign.
            if let Some((args, result)) = rest.rsplit_once(" = ") {
                let args = args.trim_end().trim_end_matches(')');
                self.done(name, args, result, since, now);
            }
            return;
        };
        self.done(name, args, result, since, now);
    }

    fn done(&mut self, name: &str, args: &str, result: &str, since: usize, now: usize) {
        if result.starts_with('-') {
            return;
        }
        match name {
            "write" if args.starts_with("1<") => self.marker(args),
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => {
                if let Some(path) = self.below(described(args)) {
                    self.bytes.insert(path, now);
                }
            }
            "fsync" | "fdatasync" => self.synced(name, args, since),
            "syncfs" | "sync" => {
                self.bytes.retain(|_, written| *written > since);
                self.names.retain(|_, named| *named > since);
                self.waited(name, "the file system");
            }
            "msync" | "sync_file_range" => {
                if let Some(path) = self.below(described(args)) {
                    self.waited(name, &self.relative(&path));
                }
            }
            "openat" if args.contains("O_CREAT") => {
                if let Some(path) = self.below(described(result))
                    && self.exists.insert(path.clone())
                {
                    self.names.insert(path, now);
                }
            }
            "mkdir" | "mkdirat" => {
                if let Some(path) = self.below(quoted(args).next()) {
                    self.exists.insert(path.clone());
                    self.names.insert(path, now);
                }
            }
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
                let mut paths = quoted(args);
                if let (Some(from), Some(to)) = (paths.next(), paths.next()) {
                    self.renamed(Path::new(from), to, now);
                }
            }
            "unlink" | "unlinkat" => {
                if let Some(path) = self.below(quoted(args).next()) {
                    self.bytes.remove(&path);
                    self.names.remove(&path);
                    self.exists.remove(&path);
                }
            }
            _ => {}
        }
    }

    fn marker(&mut self, args: &str) {
        let said = quoted(args).next().and_then(told).unwrap_or_default();
        let said = said.trim_end_matches("\\n");
        if let Some(what) = said.strip_prefix("begin ") {
            self.open = Some(Request {
                what: what.to_owned(),
                waited_for: Vec::new(),
                unsynced: Vec::new(),
            });
        } else if said.starts_with("ack ")
            && let Some(mut request) = self.open.take()
        {
            let unsynced = self.bytes.keys().chain(self.names.keys());
            let unsynced = unsynced.map(|path| self.relative(path));
            let unsynced: BTreeSet<String> = unsynced
                .filter(|path| !self.dispensable.iter().any(|name| path.starts_with(name)))
                .collect();
            request.unsynced = unsynced.into_iter().collect();
            self.requests.push(request);
        }
    }

    fn synced(&mut self, name: &str, args: &str, since: usize) {
        let Some(path) = self.below(described(args)) else {
            return;
        };
        if self
            .bytes
            .get(&path)
            .is_some_and(|written| *written <= since)
        {
            self.bytes.remove(&path);
        }
        let inside = |named: &Path| named.parent() == Some(&path);
        self.names.retain(|named, at| !inside(named) || *at > since);
        let relative = self.relative(&path);
        self.waited(name, &relative);
    }

    fn renamed(&mut self, from: &Path, to: &str, now: usize) {
        let Some(to) = self.below(Some(to)) else {
            return;
        };
        if let Some(written) = self.bytes.remove(from) {
            self.bytes.insert(to.clone(), written);
        }
        self.names.remove(from);
        self.exists.insert(to.clone());
        self.names.insert(to, now);
    }

    fn waited(&mut self, call: &str, on: &str) {
        if let Some(request) = &mut self.open {
            request.waited_for.push(format!("{call} {on}"));
        }
    }

    /// The path, where it lies in the store.
    fn below(&self, path: Option<&str>) -> Option<PathBuf> {
        let path = PathBuf::from(path?);
        // The folder that the store's own lies in is synced for its name.
        let near = path.starts_with(self.store) || self.store.parent() == Some(&path);
        near.then_some(path)
    }

    fn relative(&self, path: &Path) -> String {
        let relative = path.strip_prefix(self.store).unwrap_or(path);
        match relative.as_os_str().is_empty() {
            true => "FOLDER".to_owned(),
            false if relative == path => "FOLDER/..".to_owned(),
            false => normal(&relative.display().to_string()),
        }
    }
}

/// The path that strace prints for the first descriptor: `5</path>`.
fn described(args: &str) -> Option<&str> {
    let (_, rest) = args.split_once('<')?;
    rest.split_once('>').map(|(path, _)| path)
}

/// The texts in quotes.
fn quoted(args: &str) -> impl Iterator<Item = &str> {
    args.split('"').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(lines: &[&str]) -> Vec<Request> {
        parse(&lines.join("\n"), Path::new("/s"), &[])
    }

    #[test]
    fn a_write_is_synced_only_by_a_sync_that_began_after_it() {
        let before = r#"1  write(1</dev/null>, "deriva-proof begin Put 8\n", 12) = 12"#;
        let write = r#"2  pwrite64(5</s/redb/db>, "x"..., 8, 0) = 8"#;
        let sync = "2  fdatasync(6</s/redb/db>)                = 0";
        let ack = r#"1  write(1</dev/null>, "deriva-proof ack 0 1\n", 12) = 12"#;
        let good = &requests(&[before, write, sync, ack])[0];
        assert_eq!(good.waited_for, ["fdatasync redb/db"]);
        assert!(good.unsynced.is_empty());
        let begun = "3  fdatasync(6</s/redb/db> <unfinished ...>";
        let ended = "3  <... fdatasync resumed>) = 0";
        for late in [
            &[before, sync, write, ack][..],
            &[before, begun, write, ended, ack],
            &[
                before,
                write,
                "2  sync_file_range(5</s/redb/db>, 0, 8, 7) = 0",
                ack,
            ],
            &[
                before,
                write,
                "2  fdatasync(6</s/redb/db>) = -1 EIO (x)",
                ack,
            ],
        ] {
            assert_eq!(requests(late)[0].unsynced, ["redb/db"], "{late:?}");
        }
    }

    #[test]
    fn a_new_name_is_synced_with_its_folder() {
        let lines = [
            r#"1  write(1</dev/null>, "deriva-proof begin Put 8\n", 12) = 12"#,
            r#"1  openat(AT_FDCWD</>, "/s/tmp/.tmpA", O_RDWR|O_CREAT|O_EXCL, 0600) = 7</s/tmp/.tmpA>"#,
            r#"1  write(7</s/tmp/.tmpA>, "x", 1) = 1"#,
            "1  fdatasync(7</s/tmp/.tmpA>) = 0",
            r#"1  rename("/s/tmp/.tmpA", "/s/0a/x") = 0"#,
            "1  fsync(8</s/0a>) = 0",
            r#"1  write(1</dev/null>, "deriva-proof ack 0 1\n", 12) = 12"#,
        ];
        assert!(requests(&lines)[0].unsynced.is_empty());
        let without = [&lines[..5], &lines[6..]].concat();
        assert_eq!(requests(&without)[0].unsynced, ["ab/x"]);
        let unsynced_bytes = [&lines[..3], &lines[4..]].concat();
        assert_eq!(requests(&unsynced_bytes)[0].unsynced, ["ab/x"]);
    }
}
