//! What runs have written: one list for each pipeline, in a folder beside its outputs.
//!
//! Paths are relative to the output folder, so a list holds also where that folder is moved or copied. A list
//! is written before the outputs, with what is about to be written, and again when they are in place: after a
//! crash no output is missing from it. What a list names is never removed unless it holds the bytes listed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use deriva::{CAddr, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::files::{self, at};
use crate::walk::LISTS;

const VERSION: u32 = 1;

/// Files by their path relative to the output folder, with `/`, and the address of their bytes.
pub(crate) type Files = BTreeMap<String, CAddr>;

/// What one pipeline has written into one folder.
#[derive(Debug, Serialize, Deserialize)]
struct List {
    version: u32,
    pipeline: String,
    outputs: Files,
}

/// Files of earlier runs that this one does not write.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    /// Those that are as they were written; they go.
    pub(crate) remove: Vec<String>,
    /// Those that somebody changed; they stay.
    pub(crate) edited: Vec<String>,
}

fn file_of(folder: &Path, pipeline: &str) -> PathBuf {
    folder.join(LISTS).join(format!("{pipeline}.json"))
}

/// What `pipeline` has written into `folder`, as far as is known.
///
/// # Errors
/// A list that cannot be read.
pub(crate) fn load(folder: &Path, pipeline: &str) -> Result<Files> {
    Ok(read(&file_of(folder, pipeline))?.map_or_else(Files::new, |list| list.outputs))
}

/// What other pipelines than `pipeline` have written into `folder`.
///
/// # Errors
/// A list that cannot be read.
pub(crate) fn others(folder: &Path, pipeline: &str) -> Result<BTreeSet<String>> {
    let lists = folder.join(LISTS);
    let mut found = BTreeSet::new();
    let entries = match fs::read_dir(&lists) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(found),
        Err(error) => return Err(at(error, &lists)),
    };
    for entry in entries {
        let path = entry.map_err(|error| at(error, &lists))?.path();
        if path.extension().is_some_and(|end| end == "json")
            && let Some(list) = read(&path)?
            && list.pipeline != pipeline
        {
            found.extend(list.outputs.into_keys());
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Option<List>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(at(error, path)),
    };
    let damaged = |message: &'static str| {
        Error::new(ErrorKind::Corrupt, message)
            .with("path", path.display())
            .hint("delete it; files that it named are then taken for yours, and kept")
    };
    let list: List = serde_json::from_slice(&bytes)
        .map_err(|source| damaged("this list of outputs is damaged").caused_by(source))?;
    if list.version != VERSION {
        return Err(damaged(
            "this list of outputs is of another version of deriva",
        ));
    }
    // A list may come from elsewhere, and must not reach out of its folder.
    let inside = |name: &String| {
        let mut parts = Path::new(name).components();
        !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    match list.outputs.keys().all(inside) {
        true => Ok(Some(list)),
        false => Err(damaged("this list names files outside its folder")),
    }
}

/// Notes what `pipeline` has in `folder`; one that has nothing needs no list.
///
/// # Errors
/// What the file system says.
pub(crate) fn save(folder: &Path, pipeline: &str, outputs: &Files) -> Result<()> {
    let path = file_of(folder, pipeline);
    if outputs.is_empty() {
        return match fs::remove_file(&path) {
            Err(error) if !is_absent(&error) => Err(at(error, &path)),
            _ => {
                // Stays while it holds the list of another.
                let _ = fs::remove_dir(folder.join(LISTS));
                Ok(())
            }
        };
    }
    let list = List {
        version: VERSION,
        pipeline: pipeline.to_owned(),
        outputs: outputs.clone(),
    };
    let text = serde_json::to_string_pretty(&list).map_err(|source| {
        Error::new(ErrorKind::Internal, "the list of outputs cannot be written").caused_by(source)
    })?;
    files::write_text(&path, &text)
}

/// Sorts out what of `listed` is not in `planned`. What another pipeline names, too, is its.
///
/// # Errors
/// A list that cannot be read.
pub(crate) fn stale(
    folder: &Path,
    pipeline: &str,
    listed: &Files,
    planned: impl Fn(&str) -> bool,
) -> Result<Stale> {
    let mut stale = Stale::default();
    let gone: Vec<_> = listed.iter().filter(|(name, _)| !planned(name)).collect();
    let (false, Ok(real)) = (gone.is_empty(), fs::canonicalize(folder)) else {
        return Ok(stale);
    };
    let others = others(folder, pipeline)?;
    for (name, addr) in gone {
        let path = folder.join(files::to_path(name));
        // No run makes a link, nor what it leads to.
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(_) => continue,
        };
        if others.contains(name) {
            continue;
        }
        let within = path.parent().and_then(|above| fs::canonicalize(above).ok());
        let ours = found.is_file()
            && within.is_some_and(|above| above.starts_with(&real))
            && files::addr_of(&path).is_ok_and(|found| found == *addr);
        match ours {
            true => stale.remove.push(name.clone()),
            false => stale.edited.push(name.clone()),
        }
    }
    Ok(stale)
}

/// Removes stale files, and folders that become empty by it.
///
/// # Errors
/// What the file system says.
pub(crate) fn remove(folder: &Path, names: &[String]) -> Result<()> {
    for name in names {
        let name = files::to_path(name);
        let path = folder.join(&name);
        match fs::remove_file(&path) {
            Err(error) if !is_absent(&error) => return Err(at(error, &path)),
            _ => {}
        }
        for above in name.ancestors().skip(1) {
            // Ends at the first that holds something else.
            if above.as_os_str().is_empty() || fs::remove_dir(folder.join(above)).is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// Whether there is nothing of this name: also where what should be a folder is a file.
pub(crate) fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_reaches_out_of_its_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../x", "/x", "a/../../x", ""] {
            let files = Files::from([(name.to_owned(), CAddr::MIN)]);
            save(dir.path(), "p", &files).unwrap();
            let error = load(dir.path(), "p").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}");
        }
    }

    #[test]
    fn only_what_is_as_it_was_written_and_nobody_elses_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        let addr = CAddr::of_blob(b"x");
        let listed: Files = ["a", "d/b", "edited", "kept", "shared", "gone"]
            .map(|name| (name.to_owned(), addr))
            .into();
        fs::create_dir(dir.path().join("d")).unwrap();
        for (name, _) in listed.iter().filter(|(name, _)| *name != "gone") {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::write(dir.path().join("edited"), "y").unwrap();
        let shared = Files::from([("shared".to_owned(), addr)]);
        save(dir.path(), "other", &shared).unwrap();
        let stale = stale(dir.path(), "p", &listed, |name| name == "kept").unwrap();
        assert_eq!(stale.remove, ["a", "d/b"]);
        assert_eq!(stale.edited, ["edited"]);
        remove(dir.path(), &stale.remove).unwrap();
        assert!(!dir.path().join("d").exists() && dir.path().join("shared").exists());
        save(dir.path(), "other", &Files::new()).unwrap();
        assert!(!dir.path().join(LISTS).exists());
    }
}
