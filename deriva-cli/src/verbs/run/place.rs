//! Where a run would write, checked against all that it reads before anything runs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use deriva::{Error, ErrorKind, Result};

use super::Places;
use crate::exit::Outcome;
use crate::files::{at, shown, to_path};
use crate::pipeline::{Mistake, Over, Pipeline, Ref};
use crate::walk::is_store;

/// Files that a run may write: path relative to the output folder, and which output it belongs to.
pub(crate) type Planned = BTreeMap<String, usize>;

/// A file, whatever it is called.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

/// The items' names of each source. A name goes into roots, lists and JSON, so it is text.
///
/// # Errors
/// Each file whose name is not UTF-8.
pub(crate) fn names(
    pipeline: &Pipeline,
    files: &[Vec<PathBuf>],
) -> Result<Vec<Vec<String>>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut names = Vec::with_capacity(files.len());
    for (source, files) in pipeline.sources.iter().zip(files) {
        let mut of_source = Vec::with_capacity(files.len());
        for file in files {
            let parts: Option<Vec<&str>> = file.iter().map(|part| part.to_str()).collect();
            match parts {
                // With `/` on every system.
                Some(parts) => of_source.push(parts.join("/")),
                None => {
                    let message = format!("the name of the file `{}` is not UTF-8", shown(file));
                    mistakes.push(
                        Mistake::new(source.at.clone(), message)
                            .help("rename it, or leave it out with `exclude`"),
                    );
                }
            }
        }
        names.push(of_source);
    }
    match mistakes.is_empty() {
        true => Ok(names),
        false => Err(mistakes),
    }
}

/// All files that a run would write.
///
/// # Errors
/// Two outputs of one path.
pub(crate) fn plan(pipeline: &Pipeline, names: &[Vec<String>]) -> Result<Planned, Vec<Mistake>> {
    let mut planned = Planned::new();
    let mut mistakes = Vec::new();
    for (at, output) in pipeline.outputs.iter().enumerate() {
        let paths: Vec<String> = match source_of(pipeline, output.from) {
            Some(source) => names[source]
                .iter()
                .map(|name| format!("{}/{name}", output.path))
                .collect(),
            None => vec![output.path.clone()],
        };
        for path in paths {
            match planned.entry(path) {
                Entry::Vacant(entry) => drop(entry.insert(at)),
                Entry::Occupied(entry) => {
                    let message = format!("two outputs would be `{}`", entry.key());
                    mistakes.push(Mistake::new(output.at.clone(), message));
                }
            }
        }
    }
    match mistakes.is_empty() {
        true => Ok(planned),
        false => Err(mistakes),
    }
}

/// The source of which each item is one item of `from`, where `from` is many.
fn source_of(pipeline: &Pipeline, from: Ref) -> Option<usize> {
    match from {
        Ref::Source(source) => Some(source),
        Ref::Step(step) => match &pipeline.steps[step].over {
            Over::Each(from) => source_of(pipeline, *from),
            Over::All { .. } => None,
        },
    }
}

/// Refuses to write over what the run reads, into a store, or twice into one file. Files are compared as
/// what they are, through links, `..` and names in another case.
///
/// # Errors
/// Each output that would, and what cannot be read.
pub(crate) fn check(
    pipeline: &Pipeline,
    places: &Places,
    planned: &Planned,
    files: &[Vec<PathBuf>],
    others: &[&Path],
) -> Outcome {
    let mut mistakes = Vec::new();
    let mut complain = |output: usize, message: String| {
        mistakes.push(
            Mistake::new(pipeline.outputs[output].at.clone(), message)
                .help("say where outputs go with `output = \"DIR\"` or `--output DIR`"),
        );
    };
    // What would be replaced, and by whom.
    let mut replaced: HashMap<Identity, (PathBuf, Option<usize>)> = HashMap::new();
    let mut linked: HashMap<PathBuf, &str> = HashMap::new();
    let mut folders: HashMap<PathBuf, bool> = HashMap::new();
    for (name, output) in planned {
        let path = places.output.join(to_path(name));
        if let Some(above) = path.parent()
            && in_store(above, &mut folders)
        {
            complain(*output, format!("`{}` would be in a store", path.display()));
            continue;
        }
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        if let Some(identity) = identity(&path) {
            replaced.insert(identity, (path.clone(), Some(*output)));
        }
        // What a link points to is replaced, not the link.
        if found.is_symlink()
            && let Ok(target) = fs::canonicalize(&path)
            && let Some(other) = linked.insert(target, name)
        {
            complain(
                *output,
                format!("`{name}` and `{other}` are links to one file"),
            );
        }
    }
    for path in others {
        let above = path.parent().unwrap_or(Path::new(""));
        if in_store(above, &mut folders) {
            return Err(overwrites(path, "this file would be in a store").into());
        }
        if let Some(identity) = identity(path) {
            let before = replaced.insert(identity, ((*path).to_owned(), None));
            if before.is_some() {
                return Err(overwrites(path, "this file is an output, too").into());
            }
        }
    }
    if !replaced.is_empty() {
        let sources = files.iter().flatten().map(|file| places.root.join(file));
        let read = std::iter::once(pipeline.file().to_owned()).chain(sources);
        let mut told = HashSet::new();
        for read in read {
            let Some(identity) = identity(&read) else {
                continue;
            };
            match replaced.get(&identity) {
                Some((path, None)) => {
                    return Err(overwrites(path, "this file is read by the run").into());
                }
                Some((path, Some(output))) if told.insert(path.as_path()) => complain(
                    *output,
                    format!(
                        "`{}` would overwrite `{}`, which is read",
                        path.display(),
                        read.display()
                    ),
                ),
                _ => {}
            }
        }
    }
    match mistakes.is_empty() {
        true => Ok(()),
        false => Err(pipeline.mistakes(mistakes).into()),
    }
}

fn overwrites(path: &Path, message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
        .with("path", path.display())
        .hint("name another file")
}

/// Whether a folder, which may not be there yet, is in a store or would be. `known` remembers.
fn in_store(folder: &Path, known: &mut HashMap<PathBuf, bool>) -> bool {
    if let Some(known) = known.get(folder) {
        return *known;
    }
    let found = match fs::canonicalize(folder) {
        Ok(full) => full.ancestors().any(is_store),
        Err(_) => match folder.parent() {
            Some(above) if !above.as_os_str().is_empty() => in_store(above, known),
            _ => fs::canonicalize(".").is_ok_and(|full| full.ancestors().any(is_store)),
        },
    };
    known.insert(folder.to_owned(), found);
    found
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path).ok()?;
    // A device or a pipe is written to, not replaced; a folder is told of when it is in the way.
    found.is_file().then(|| (found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    let full = fs::canonicalize(path).ok()?;
    full.is_file().then_some(full)
}

/// What stands in the way of an output: a file where a folder must be, or a folder where the file must be.
///
/// # Errors
/// What it is, and what to do.
pub(crate) fn free(folder: &Path, name: &str) -> Result<()> {
    let name = to_path(name);
    let path = folder.join(&name);
    let in_the_way = |message: &'static str, path: &Path| {
        Error::new(ErrorKind::Conflict, message)
            .with("path", path.display())
            .hint("move it away, or choose another folder with `--output DIR`; deriva removes only what it wrote and nobody changed")
    };
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => {
            return Err(in_the_way("a folder is where an output must be", &path));
        }
        Err(error) if super::lists::is_absent(&error) => {}
        Err(error) => return Err(at(error, &path)),
        Ok(_) => return Ok(()),
    }
    for above in name.ancestors().skip(1) {
        let above = folder.join(above);
        match fs::metadata(&above) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => {
                return Err(in_the_way(
                    "a file is where a folder of outputs must be",
                    &above,
                ));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_outputs_of_one_path_are_a_mistake() {
        let text = "name = \"p\"\n[sources.f]\ninclude = [\"**\"]\n\
                    [steps.s]\nfunction = \"text.upper/1\"\neach = \"f\"\n\
                    [outputs]\n\"up\" = \"s\"\n";
        let functions = deriva::functions::builtin();
        let pipeline = Pipeline::parse(Path::new("p.toml"), text, &functions).unwrap();
        let names = |names: [&str; 2]| vec![names.map(str::to_owned).to_vec()];
        let planned = plan(&pipeline, &names(["a", "b"])).unwrap();
        assert!(planned.keys().eq(["up/a", "up/b"]));
        let mistakes = plan(&pipeline, &names(["a", "a"])).unwrap_err();
        assert_eq!(mistakes[0].message, "two outputs would be `up/a`");
    }
}
