//! `deriva put`: files, folders, pipes and stdin into blobs.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use deriva::{BlobStat, CAddr, Error, ErrorKind, Result};
use serde::Serialize;

use crate::exit::{Failure, Outcome, tell};
use crate::files::{self, at};
use crate::handle::Handle;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, counted, note};
use crate::walk::walk;

/// Store files, folders, pipes (`-` is stdin) and print their addresses
#[derive(Debug, Args)]
pub(crate) struct Put {
    /// Files, folders, pipes, or `-` for stdin
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
}

impl Put {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .begun()
            .work(async |handle| put(handle, &self.paths, out).await)
            .await
    }
}

/// Files stored between two prints.
const BATCH: usize = 1024;

/// Failures that are told one by one.
const TOLD: u64 = 20;

/// Stores everything that can be read and prints `ADDRESS  PATH` for each file, as `b3sum` does. What cannot be
/// read is told at once, and makes the command fail at its end.
async fn put(handle: &Handle, paths: &[PathBuf], out: &mut Out) -> Outcome {
    let mut report = Report::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let stat = handle.put_reader(tokio::io::stdin()).await;
            report.tell(path, stat, out)?;
            continue;
        }
        match std::fs::metadata(path) {
            Err(error) => report.tell(path, Err(at(error, path)), out)?,
            Ok(found) if found.is_dir() => {
                for batch in below(path, &mut report).chunks(BATCH) {
                    put_batch(handle, batch, &mut report, out).await?;
                }
            }
            Ok(found) if found.is_file() => {
                put_batch(handle, std::slice::from_ref(path), &mut report, out).await?;
            }
            // A pipe or a device was named, so it is read: once, as it may have nothing to say a second time.
            Ok(_) => {
                let stat = match tokio::fs::File::open(path).await {
                    Ok(file) => {
                        let stat = handle.put_reader(file).await;
                        stat.map_err(|error| error.with("path", path.display()))
                    }
                    Err(error) => Err(at(error, path)),
                };
                report.tell(path, stat, out)?;
            }
        }
    }
    report.finish(out)
}

async fn put_batch(
    handle: &Handle,
    batch: &[PathBuf],
    report: &mut Report,
    out: &mut Out,
) -> Outcome {
    let mut paths = batch.iter();
    files::put_each(Some(handle), batch.to_vec(), |stats| {
        // In this order the last of the stats takes no path away.
        stats
            .into_iter()
            .zip(paths.by_ref())
            .try_for_each(|(stat, path)| report.tell(path, stat, out))
    })
    .await
}

/// A file that was stored.
#[derive(Serialize)]
struct Stored<'a> {
    addr: CAddr,
    bytes: u64,
    path: Cow<'a, str>,
}

impl Answer for Stored<'_> {
    /// As `b3sum`: a name that would break the line is escaped, and the line marked.
    fn text(&self, _: Style) -> String {
        let (addr, name) = (self.addr, &self.path);
        let bytes = matches!(name, Cow::Owned(_));
        if !bytes && !name.contains(['\n', '\\']) {
            return format!("{addr}  {name}");
        }
        // Backslashes of a name that is not UTF-8 are doubled already.
        let escaped = match bytes {
            true => name.to_string(),
            false => name.replace('\\', "\\\\"),
        };
        format!("\\{addr}  {}", escaped.replace('\n', "\\n"))
    }
}

/// What is told of the files.
#[derive(Default)]
struct Report {
    stored: u64,
    failed: u64,
    first: Option<ErrorKind>,
}

impl Report {
    fn tell(&mut self, path: &Path, stat: Result<BlobStat>, out: &mut Out) -> Outcome {
        let stat = match stat {
            Ok(stat) => stat,
            Err(error) => {
                self.failed(error);
                return Ok(());
            }
        };
        self.stored += 1;
        out.item(&Stored {
            addr: stat.addr,
            bytes: stat.len,
            path: files::shown(path),
        })
    }

    fn failed(&mut self, error: Error) {
        self.failed += 1;
        self.first.get_or_insert(error.kind());
        if self.failed <= TOLD {
            tell(&error, &[]);
        }
    }

    fn finish(self, out: &mut Out) -> Outcome {
        if self.stored > 0 || self.failed == 0 {
            out.end_items()?;
        }
        let Some(kind) = self.first else {
            return Ok(());
        };
        if self.failed + self.stored > 1 {
            let failed = counted(self.failed, "path");
            note(format!(
                "{failed} could not be stored; {} stored",
                counted(self.stored, "file")
            ));
        }
        Err(Failure::Partly(kind))
    }
}

/// All files below a folder, in order, without stores and lists of outputs. Links to folders are not followed;
/// pipes, devices and links to nothing have no content of their own.
fn below(folder: &Path, report: &mut Report) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut left_out = 0;
    let entries = match walk(folder, |_| true) {
        Ok(entries) => entries,
        Err(error) => {
            report.failed(error);
            return files;
        }
    };
    for entry in entries {
        match entry {
            Ok(entry) if entry.path().is_file() => files.push(entry.into_path()),
            Ok(entry) => {
                left_out += u64::from(!entry.file_type().is_some_and(|kind| kind.is_dir()));
            }
            Err(error) => report.failed(unreadable(folder, error)),
        }
    }
    if left_out > 0 {
        note(format!(
            "note: {} below {} left out: links to folders or to nothing, pipes, sockets, devices",
            counted(left_out, "name"),
            folder.display()
        ));
    }
    files.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    files
}

fn unreadable(folder: &Path, error: ignore::Error) -> Error {
    let text = error.to_string();
    match error.into_io_error() {
        // The text of the walk names the path.
        Some(io) => Error::io(std::io::Error::new(io.kind(), text)),
        None => Error::new(ErrorKind::Invalid, "the folder cannot be read")
            .with("path", folder.display())
            .with("cause", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_break_its_line_is_escaped_as_b3sum_does() {
        let addr = CAddr::of_blob(b"x");
        let line = |path: Cow<'_, str>| {
            let stored = Stored {
                addr,
                bytes: 1,
                path,
            };
            stored.text(Style::plain())
        };
        assert_eq!(line("a b".into()), format!("{addr}  a b"));
        assert_eq!(line("a\nb\\".into()), format!("\\{addr}  a\\nb\\\\"));
        // A name that is not UTF-8, whose bytes and backslashes are escaped already.
        let shown = Cow::Owned("\\xff\\\\\n".to_owned());
        assert_eq!(line(shown), format!("\\{addr}  \\xff\\\\\\n"));
    }
}
