//! Which files belong to which source.
//!
//! One walk over the root serves all sources. Files are answered in the order of their paths, byte by
//! byte, so that two runs over the same folder make the same recipes. Symbolic links to files are
//! followed, those to folders are not, so no loop can be walked.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use deriva::api::{Error, ErrorKind, Result};
use ignore::{DirEntry, WalkBuilder};

use crate::pipeline::Source;

/// The files of each source, by path relative to `root`.
///
/// Left out are `.git` folders, cargo's target folders, and the folders in `skip` (the store and the
/// outputs, which would change the input of the next run).
///
/// # Errors
/// What cannot be read, naming it.
pub(crate) fn scan(root: &Path, sources: &[Source], skip: &[PathBuf]) -> Result<Vec<Vec<PathBuf>>> {
    if !fs::metadata(root)
        .map_err(|error| at(error, root))?
        .is_dir()
    {
        return Err(Error::new(
            ErrorKind::Invalid,
            "the root of the sources is not a folder",
        )
        .with("path", root.display()));
    }
    let skip = within(root, skip);
    let base = root.to_owned();
    let keep = move |entry: &DirEntry| {
        let folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        entry.depth() == 0 || !folder || !left_out(entry.path(), &base, &skip)
    };
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .follow_links(false)
        .filter_entry(keep)
        .build();
    let mut found: Vec<Vec<PathBuf>> = vec![Vec::new(); sources.len()];
    for entry in walk {
        let entry = entry.map_err(walk_error)?;
        let Some(kind) = entry.file_type() else {
            continue;
        };
        let Ok(relative) = entry.path().strip_prefix(root) else {
            continue;
        };
        if kind.is_dir() {
            continue;
        }
        let mut wanted = sources
            .iter()
            .enumerate()
            .filter(|(_, s)| s.include.is_match(relative) && !s.exclude.is_match(relative))
            .peekable();
        if wanted.peek().is_none() {
            continue;
        }
        if kind.is_symlink() {
            let target = fs::metadata(entry.path()).map_err(|error| at(error, entry.path()))?;
            if !target.is_file() {
                continue;
            }
        } else if !kind.is_file() {
            // Sockets, pipes and devices have no content of their own.
            continue;
        }
        for (source, _) in wanted {
            found[source].push(relative.to_owned());
        }
    }
    for files in &mut found {
        files.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    }
    Ok(found)
}

/// Names the file in an I/O error.
pub(crate) fn at(error: std::io::Error, path: &Path) -> Error {
    Error::io(error).with("path", path.display())
}

fn left_out(path: &Path, root: &Path, skip: &[PathBuf]) -> bool {
    let name = path.file_name().unwrap_or_default();
    if name == OsStr::new(".git") {
        return true;
    }
    // Cargo marks its target folders so; a folder that merely has the name is read.
    if name == OsStr::new("target") && path.join("CACHEDIR.TAG").exists() {
        return true;
    }
    path.strip_prefix(root)
        .is_ok_and(|relative| skip.iter().any(|s| s == relative))
}

/// Those of `folders` that lie below `root`, relative to it.
fn within(root: &Path, folders: &[PathBuf]) -> Vec<PathBuf> {
    let Ok(root) = fs::canonicalize(root) else {
        return Vec::new();
    };
    let relative = |folder: &PathBuf| {
        let full = fs::canonicalize(folder).ok()?;
        let relative = full.strip_prefix(&root).ok()?.to_owned();
        (!relative.as_os_str().is_empty()).then_some(relative)
    };
    folders.iter().filter_map(relative).collect()
}

fn walk_error(error: ignore::Error) -> Error {
    let text = error.to_string();
    match error.into_io_error() {
        // The text of the walk names the path.
        Some(io) => Error::io(std::io::Error::new(io.kind(), text)),
        None => Error::new(ErrorKind::Invalid, "the sources cannot be walked").with("cause", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use globset::{Glob, GlobSet, GlobSetBuilder};

    fn source(include: &str, exclude: &[&str]) -> Source {
        let set = |patterns: &[&str]| {
            let mut set = GlobSetBuilder::new();
            for pattern in patterns {
                set.add(Glob::new(pattern).unwrap());
            }
            set.build().unwrap_or_else(|_| GlobSet::empty())
        };
        Source {
            name: "s".into(),
            include: set(&[include]),
            exclude: set(exclude),
            at: 0..0,
        }
    }

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        dir
    }

    #[test]
    fn files_come_in_order_and_left_out_folders_do_not() {
        let dir = tree(&[
            "b.txt",
            "a/z.txt",
            "a.txt",
            "x.bin",
            "skip/s.txt",
            ".git/g.txt",
            "store/f.txt",
            "target/CACHEDIR.TAG",
            "target/t.txt",
            "a/target/kept.txt",
        ]);
        let found = scan(
            dir.path(),
            &[source("**/*.txt", &["skip/**"]), source("*.bin", &[])],
            &[dir.path().join("store"), dir.path().join("absent")],
        )
        .unwrap();
        let names = |i: usize| {
            found[i]
                .iter()
                .map(|p| p.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(0), ["a.txt", "a/target/kept.txt", "a/z.txt", "b.txt"]);
        assert_eq!(names(1), ["x.bin"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_loop_of_links_ends_and_a_broken_link_is_named() {
        use std::os::unix::fs::symlink;
        let dir = tree(&["a/f.txt"]);
        symlink("..", dir.path().join("a/up")).unwrap();
        symlink("a/f.txt", dir.path().join("link.txt")).unwrap();
        let found = scan(dir.path(), &[source("**/*.txt", &[])], &[]).unwrap();
        assert_eq!(
            found[0],
            [PathBuf::from("a/f.txt"), PathBuf::from("link.txt")]
        );
        symlink("gone", dir.path().join("broken.txt")).unwrap();
        let error = scan(dir.path(), &[source("**/*.txt", &[])], &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.context("path").unwrap().ends_with("broken.txt"));
    }

    #[test]
    fn a_root_that_is_not_there_is_named() {
        let error = scan(Path::new("/nonexistent/x"), &[], &[]).unwrap_err();
        assert_eq!(error.context("path"), Some("/nonexistent/x"));
    }
}
