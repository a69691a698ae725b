//! What the stores know of an address: the one place where planner and `explain` look.

use std::collections::HashSet;

use deriva_api::{BlobStat, BlobStore, BuildAddrHasher, CAddr, DagStore, Output, Recipe, Result};

/// Blobs that were found damaged or gone although they were listed: not to be counted as present.
pub(crate) type Distrusted = HashSet<CAddr, BuildAddrHasher>;

/// What was found under an address.
#[derive(Debug)]
pub(crate) enum Found {
    /// A stored blob.
    Leaf(BlobStat),
    /// A recipe whose output is recorded and stored.
    Present(Recipe, Output),
    /// A recipe whose output is recorded, but whose blob is gone or damaged.
    Lost(Recipe, Output),
    /// A recipe that has no output yet.
    Absent(Recipe),
    /// Neither a blob nor a recipe.
    Missing,
}

/// Looks up addresses, in bulk: one call to the DAG store and at most one to the blob store.
pub(crate) async fn survey(
    dag: &dyn DagStore,
    blobs: &dyn BlobStore,
    addrs: &[CAddr],
    distrusted: &Distrusted,
) -> Result<Vec<Found>> {
    let nodes = dag.get_many(addrs).await?;
    // Every leaf and every recorded output needs a look at its blob; recipes without output do not.
    let asked: Vec<CAddr> = addrs
        .iter()
        .zip(&nodes)
        .filter_map(|(addr, node)| match node {
            None => Some(*addr),
            Some(node) => node.output.map(|output| output.addr),
        })
        .collect();
    let stats = if asked.is_empty() {
        Vec::new()
    } else {
        blobs.stat(&asked).await?
    };
    let mut stats = stats
        .into_iter()
        .map(|stat| stat.filter(|stat| !distrusted.contains(&stat.addr)));
    let found = nodes.into_iter().map(|node| match node {
        None => stats.next().flatten().map_or(Found::Missing, Found::Leaf),
        Some(node) => match node.output {
            None => Found::Absent(node.recipe),
            Some(output) if stats.next().flatten().is_some() => Found::Present(node.recipe, output),
            Some(output) => Found::Lost(node.recipe, output),
        },
    });
    Ok(found.collect())
}
