//! What a run is asked for, the files that it writes, and the roots that keep them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use deriva::authors::BuildAddrHasher;
use deriva::stores::DagUsage;
use deriva::{Blob, BlobStat, CAddr, Error, ErrorKind, Materialized, Result};
use futures::{StreamExt, TryStreamExt};

use super::expand::Expansion;
use super::lists::{self, Files, Stale};
use super::place;
use crate::files::{self, Pieces};
use crate::handle::Handle;
use crate::pipeline::{OutputFile, Pipeline};
use crate::walk::LISTS;

/// Store calls under way at once, so that they share commits.
const AT_ONCE: usize = 64;

/// The addresses to ask for, each once: outputs, and what no recipe reads.
pub(crate) fn wanted(pipeline: &Pipeline, expansion: &Expansion) -> Vec<CAddr> {
    let mut wanted = vec![false; expansion.len()];
    let mut read = vec![false; expansion.len()];
    for node in 0..expansion.len() as u32 {
        for input in expansion.inputs(node) {
            read[*input as usize] = true;
        }
    }
    for (node, read) in read.iter().enumerate() {
        wanted[node] = !read && !expansion.is_source(node as u32);
    }
    for output in &pipeline.outputs {
        for node in &expansion.items_of(output.from).nodes {
            wanted[*node as usize] = true;
        }
    }
    let chosen = wanted
        .iter()
        .zip(&expansion.addrs)
        .filter(|(wanted, _)| **wanted);
    chosen.map(|(_, addr)| *addr).collect()
}

/// The files of an output: a path relative to the output folder, and the node that is written there.
fn files_of<'a>(
    pipeline: &'a Pipeline,
    expansion: &'a Expansion,
    output: &'a OutputFile,
) -> impl Iterator<Item = (String, u32)> + 'a {
    let many = pipeline.is_many(output.from);
    let items = expansion.items_of(output.from);
    items
        .nodes
        .iter()
        .zip(items.names.iter())
        .map(move |(node, name)| {
            let path = if many {
                format!("{}/{name}", output.path)
            } else {
                output.path.clone()
            };
            (path, *node)
        })
}

/// What became of the output folder.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Files that are in place, and the addresses of their bytes.
    pub(crate) files: Files,
    /// Files of earlier runs.
    pub(crate) stale: Stale,
    /// Files that could not be written: the first errors, and how many there are.
    pub(crate) failures: Vec<Error>,
    pub(crate) failed: u64,
    /// Those of `files` whose bytes are doubted.
    pub(crate) doubted: Vec<String>,
}

/// What a request made of the addresses that it was for.
#[derive(Debug, Default)]
pub(crate) struct Made {
    there: HashMap<CAddr, BlobStat, BuildAddrHasher>,
    doubted: HashSet<CAddr, BuildAddrHasher>,
    /// What is doubted, which no store has, by the address of the bytes.
    held: HashMap<CAddr, Blob, BuildAddrHasher>,
}

impl Made {
    pub(crate) fn new(wanted: &[CAddr], done: &Materialized) -> Self {
        let mut made = Self {
            doubted: done.doubted.iter().copied().collect(),
            ..Self::default()
        };
        let results = wanted.iter().zip(&done.results);
        for ((addr, result), held) in results.zip(&done.held) {
            made.there
                .extend(result.as_ref().ok().map(|stat| (*addr, *stat)));
            if let Some(blob) = held.as_ref().filter(|_| made.doubted.contains(addr)) {
                made.held.insert(blob.addr(), blob.clone());
            }
        }
        made
    }

    /// The bytes of an output.
    async fn pieces(&self, handle: &Handle, addr: CAddr) -> Result<Pieces> {
        match self.held.get(&addr) {
            Some(blob) => Ok(Pieces::Held(blob.clone())),
            None => Ok(Pieces::Stored(handle.open(addr).await?)),
        }
    }
}

/// Failures that are told one by one; the rest is counted.
const MOST_FAILURES: usize = 20;

/// Writes all outputs that are there; those that failed keep the file that they had. What the pipeline
/// wrote earlier and no longer has goes first, to make room. With `keep_going`, what cannot be written
/// does not hold up the rest.
pub(crate) async fn write(
    handle: &Handle,
    pipeline: &Pipeline,
    expansion: &Expansion,
    made: &Made,
    folder: &Path,
    keep_going: bool,
) -> Result<Written> {
    let listed = lists::load(folder, &pipeline.name)?;
    let mut next = Files::new();
    let mut kept = BTreeSet::new();
    let mut wanted = Vec::new();
    let mut written = Written::default();
    for output in &pipeline.outputs {
        for (path, node) in files_of(pipeline, expansion, output) {
            let addr = &expansion.addrs[node as usize];
            match made.there.get(addr) {
                Some(stat) => {
                    if made.doubted.contains(addr) {
                        written.doubted.push(path.clone());
                    }
                    next.insert(path.clone(), stat.addr);
                    wanted.push((path, *stat));
                }
                None => drop(kept.insert(path)),
            }
        }
    }
    let planned = |name: &str| next.contains_key(name) || kept.contains(name);
    let stale = lists::stale(folder, &pipeline.name, &listed, planned)?;
    for (name, addr) in &listed {
        if kept.contains(name) {
            next.insert(name.clone(), *addr);
        }
    }
    if next != listed {
        // As long as they are there, stale files are known.
        let mut both = next.clone();
        both.extend(stale.remove.iter().map(|name| (name.clone(), listed[name])));
        if !both.is_empty() {
            free_folder(folder)?;
            lists::save(folder, &pipeline.name, &both)?;
        }
    }
    lists::remove(folder, &stale.remove)?;
    written.stale = stale;
    let absent = differing(folder, &mut wanted).await?;
    let mut writes = futures::stream::iter(absent.into_iter().map(|(name, stat)| async move {
        let path = folder.join(files::to_path(&name));
        let done = match place::free(folder, &name) {
            Ok(()) => write_file(handle, made, stat.addr, &path).await,
            Err(error) => Err(error),
        };
        (name, done)
    }))
    .buffer_unordered(AT_ONCE);
    while let Some((name, done)) = writes.next().await {
        let Err(error) = done else { continue };
        if !keep_going {
            return Err(error);
        }
        next.remove(&name);
        written.failed += 1;
        if written.failures.len() < MOST_FAILURES {
            written.failures.push(error);
        }
    }
    if next != listed || !written.stale.remove.is_empty() {
        lists::save(folder, &pipeline.name, &next)?;
    }
    written.files = next;
    written.files.retain(|name, _| !kept.contains(name));
    Ok(written)
}

async fn write_file(handle: &Handle, made: &Made, addr: CAddr, path: &Path) -> Result<()> {
    let pieces = made.pieces(handle, addr).await?;
    files::write(pieces, path).await.map(drop)
}

/// The output folder itself may be a file.
fn free_folder(folder: &Path) -> Result<()> {
    place::free(&folder.join(LISTS), "x")
}

/// Those of `wanted` whose file does not hold these bytes already. Files are compared on as many threads as
/// there are cores.
async fn differing(
    folder: &Path,
    wanted: &mut Vec<(String, BlobStat)>,
) -> Result<Vec<(String, BlobStat)>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let each = wanted.len().div_ceil(threads).max(64);
    let mut parts = Vec::new();
    while !wanted.is_empty() {
        let mut part = wanted.split_off(wanted.len().saturating_sub(each));
        let folder = folder.to_owned();
        parts.push(tokio::task::spawn_blocking(move || {
            part.retain(|(name, stat)| !files::holds(&folder.join(files::to_path(name)), *stat));
            part
        }));
    }
    let mut absent = Vec::new();
    for part in parts {
        absent.extend(part.await.map_err(|source| {
            Error::new(ErrorKind::Internal, "the look at the outputs ended early").caused_by(source)
        })?);
    }
    Ok(absent)
}

/// What a run would find stale.
///
/// # Errors
/// A list that cannot be read.
pub(crate) fn would_remove(
    pipeline: &Pipeline,
    expansion: &Expansion,
    folder: &Path,
) -> Result<Stale> {
    let listed = lists::load(folder, &pipeline.name)?;
    let outputs = pipeline.outputs.iter();
    let planned: BTreeSet<String> = outputs
        .flat_map(|output| files_of(pipeline, expansion, output).map(|(path, _)| path))
        .collect();
    lists::stale(folder, &pipeline.name, &listed, |name| {
        planned.contains(name)
    })
}

/// Names every output `pipeline/NAME/FILE`, so that collection keeps it; names of outputs that the
/// pipeline no longer has are removed.
pub(crate) async fn set_roots(
    handle: &Handle,
    pipeline: &Pipeline,
    expansion: &Expansion,
) -> Result<()> {
    let prefix = format!("pipeline/{}/", pipeline.name);
    let before: HashMap<String, CAddr> = handle
        .roots()
        .await?
        .into_iter()
        .filter(|(name, _)| name.starts_with(&prefix))
        .collect();
    let mut names = BTreeSet::new();
    let mut moved = Vec::new();
    for output in &pipeline.outputs {
        for (path, node) in files_of(pipeline, expansion, output) {
            let name = root_name(&prefix, &path);
            let addr = expansion.addrs[node as usize];
            if before.get(&name) != Some(&addr) {
                moved.push((name.clone(), addr));
            }
            names.insert(name);
        }
    }
    let set = moved
        .iter()
        .map(|(name, addr)| handle.set_root(name, *addr));
    futures::stream::iter(set)
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    let gone = before.keys().filter(|name| !names.contains(*name));
    let remove = gone.map(|name| handle.remove_root(name));
    futures::stream::iter(remove)
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await
}

// A name that is too long keeps its beginning and is told apart by the hash of the whole.
fn root_name(prefix: &str, path: &str) -> String {
    let name = format!("{prefix}{path}");
    if name.len() <= DagUsage::MAX_ROOT_NAME {
        return name;
    }
    let hash = CAddr::of_blob(name.as_bytes()).to_string();
    let mut end = DagUsage::MAX_ROOT_NAME - hash.len() - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{hash}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_of_roots_fit_and_stay_apart() {
        let long = |last: char| root_name("pipeline/x/", &format!("{}{last}", "é/".repeat(300)));
        assert_eq!(root_name("pipeline/x/", "a"), "pipeline/x/a");
        assert!(long('a').len() <= DagUsage::MAX_ROOT_NAME && long('a') != long('b'));
    }
}
