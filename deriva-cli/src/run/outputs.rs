//! What a run is asked for, the files that it writes, and the roots that keep them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use deriva::Deriva;
use deriva::api::{BlobStat, BuildAddrHasher, CAddr, DagUsage, Result};
use futures::{StreamExt, TryStreamExt};

use super::expand::Expansion;
use crate::files;
use crate::pipeline::{OutputFile, Pipeline};

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

/// Files that are in place: path relative to the output folder, and the address of the bytes.
pub(crate) type Written = BTreeMap<String, CAddr>;

/// Writes all outputs that are there; those that failed keep the file that they had.
pub(crate) async fn write(
    deriva: &Deriva,
    pipeline: &Pipeline,
    expansion: &Expansion,
    results: impl Iterator<Item = (CAddr, &Result<BlobStat>)>,
    folder: &Path,
) -> Result<Written> {
    let there: HashMap<CAddr, BlobStat, BuildAddrHasher> = results
        .filter_map(|(addr, result)| Some((addr, *result.as_ref().ok()?)))
        .collect();
    let mut written = Written::new();
    for output in &pipeline.outputs {
        for (path, node) in files_of(pipeline, expansion, output) {
            if let Some(stat) = there.get(&expansion.addrs[node as usize]) {
                files::write(deriva, stat.addr, &folder.join(to_path(&path))).await?;
                written.insert(path, stat.addr);
            }
        }
    }
    Ok(written)
}

fn to_path(name: &str) -> PathBuf {
    name.split('/').collect()
}

/// Names every output `pipeline/NAME/FILE`, so that collection keeps it; names of outputs that the
/// pipeline no longer has are removed.
pub(crate) async fn set_roots(
    deriva: &Deriva,
    pipeline: &Pipeline,
    expansion: &Expansion,
) -> Result<()> {
    let prefix = format!("pipeline/{}/", pipeline.name);
    let before: HashMap<String, CAddr> = deriva
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
        .map(|(name, addr)| deriva.set_root(name, *addr));
    futures::stream::iter(set)
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    let gone = before.keys().filter(|name| !names.contains(*name));
    let remove = gone.map(|name| deriva.remove_root(name));
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
