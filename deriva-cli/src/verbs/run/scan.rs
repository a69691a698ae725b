//! Which files belong to which source.
//!
//! One walk over the root serves all sources. Files are answered in the order of their paths, byte by
//! byte, so that two runs over the same folder make the same recipes. Symbolic links to files are
//! followed, those to folders are not, so no loop can be walked.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use deriva::{Error, ErrorKind, Result};
use globset::GlobSet;

use super::lists;
use crate::files::{self, at};
use crate::pipeline::Source;
use crate::walk::{LISTS, walk};

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// The files of each source, by path relative to the root.
    pub(crate) files: Vec<Vec<PathBuf>>,
    /// Files that would belong to a source, and are outputs of runs.
    pub(crate) products: u64,
}

/// The files of each source of the pipeline of this name.
///
/// Left out are stores, outputs of runs, `.git` folders, cargo's target folders, what all sources exclude,
/// and the folders in `skip` (the store and the outputs, which would change the input of the next run).
/// Outputs are known by their lists. Those of another pipeline are read where `root` is their folder: so
/// one pipeline goes on with the results of another.
///
/// # Errors
/// What cannot be read, naming it.
pub(crate) fn scan(
    root: &Path,
    pipeline: &str,
    sources: &[Source],
    skip: &[PathBuf],
) -> Result<Scanned> {
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
    let mut products = products_of(root, pipeline)?;
    let pruned: Vec<GlobSet> = sources.iter().map(|s| s.excluded_folders.clone()).collect();
    let base = root.to_owned();
    let excluded = move |folder: &Path| {
        let relative = folder.strip_prefix(&base);
        relative.is_ok_and(|relative| {
            !pruned.is_empty() && pruned.iter().all(|set| set.is_match(relative))
        })
    };
    let (base, skip) = (root.to_owned(), within(root, skip));
    let walk = walk(root, move |folder| {
        !left_out(folder, &base, &skip) && !excluded(folder)
    })?;
    let mut found = Scanned {
        files: vec![Vec::new(); sources.len()],
        products: 0,
    };
    for entry in walk {
        let entry = entry.map_err(walk_error)?;
        let Some(kind) = entry.file_type() else {
            continue;
        };
        let Ok(relative) = entry.path().strip_prefix(root) else {
            continue;
        };
        if kind.is_dir() {
            if entry.depth() > 0 && entry.path().join(LISTS).is_dir() {
                // No pipeline has this name.
                let listed = lists::others(entry.path(), "")?;
                products.extend(
                    listed
                        .iter()
                        .map(|name| relative.join(files::to_path(name))),
                );
            }
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
        if products.contains(relative) {
            found.products += 1;
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
            found.files[source].push(relative.to_owned());
        }
    }
    for files in &mut found.files {
        files.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    }
    Ok(found)
}

/// Outputs of the pipeline of this name that lie in `root` by a list in it or above it, relative to `root`.
fn products_of(root: &Path, pipeline: &str) -> Result<HashSet<PathBuf>> {
    let full = fs::canonicalize(root).map_err(|error| at(error, root))?;
    let mut products = HashSet::new();
    for folder in full.ancestors() {
        let listed = match lists::load(folder, pipeline) {
            // Above the root lie folders of others.
            Err(_) if folder != full => continue,
            listed => listed?,
        };
        for name in listed.into_keys() {
            let path = folder.join(files::to_path(&name));
            if let Ok(relative) = path.strip_prefix(&full) {
                products.insert(relative.to_owned());
            }
        }
    }
    Ok(products)
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
        Some(io) => {
            let denied = io.kind() == std::io::ErrorKind::PermissionDenied;
            let error = Error::io(std::io::Error::new(io.kind(), text));
            match denied {
                true => error.hint("leave it out with `exclude = [\"FOLDER/**\"]`"),
                false => error,
            }
        }
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
            excluded_folders: set(&[]),
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
            "p",
            &[source("**/*.txt", &["skip/**"]), source("*.bin", &[])],
            &[dir.path().join("store"), dir.path().join("absent")],
        )
        .unwrap();
        let names = |i: usize| {
            found.files[i]
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
        let found = scan(dir.path(), "p", &[source("**/*.txt", &[])], &[]).unwrap();
        assert_eq!(
            found.files[0],
            [PathBuf::from("a/f.txt"), PathBuf::from("link.txt")]
        );
        symlink("gone", dir.path().join("broken.txt")).unwrap();
        let error = scan(dir.path(), "p", &[source("**/*.txt", &[])], &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.context("path").unwrap().ends_with("broken.txt"));
    }

    #[test]
    fn a_root_that_is_not_there_is_named() {
        let error = scan(Path::new("/nonexistent/x"), "p", &[], &[]).unwrap_err();
        assert_eq!(error.context("path"), Some("/nonexistent/x"));
    }
}
