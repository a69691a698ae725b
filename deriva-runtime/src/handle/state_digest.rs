//! One hash over everything that a store holds for those who use it.

use std::collections::HashSet;

use deriva_api::{BlobHasher, BlobStore, BuildAddrHasher, CAddr, DagStore, Result};
use futures::TryStreamExt;

use crate::shared::reserved::{earlier_counts, is_reserved, reserved_roots};

/// Hashes recipes, outputs, roots and blob addresses, each in order, so that two stores with the same
/// content have the same digest, whatever engine they stand on and in whatever order it was written.
/// Costs of outputs are measurements and do not count; nor do the notes that deriva takes for itself: its own roots, and the blobs that
/// nothing but these need.
pub(crate) async fn state_digest(dag: &dyn DagStore, blobs: &dyn BlobStore) -> Result<CAddr> {
    let mut notes = notes(dag, blobs).await?;
    let mut hasher = BlobHasher::new();
    hasher.update(b"deriva state v1");
    let mut recipes = dag.list(None);
    while let Some((addr, node)) = recipes.try_next().await? {
        hasher.update(b"recipe");
        hasher.update(addr.as_bytes());
        if let Some(output) = node.output {
            hasher.update(b"output");
            hasher.update(output.addr.as_bytes());
            hasher.update(&output.len.to_le_bytes());
        }
        if !notes.is_empty() {
            let output = node.output.map(|output| output.addr);
            for needed in node.recipe.inputs().chain(output) {
                notes.remove(&needed);
            }
        }
    }
    let mut roots = dag.roots(None);
    while let Some((name, addr)) = roots.try_next().await? {
        if is_reserved(&name) {
            continue;
        }
        notes.remove(&addr);
        hasher.update(b"root");
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(addr.as_bytes());
    }
    let mut list = blobs.list(None);
    while let Some(stat) = list.try_next().await? {
        if notes.contains(&stat.addr) {
            continue;
        }
        hasher.update(b"blob");
        hasher.update(stat.addr.as_bytes());
    }
    Ok(hasher.finish().addr)
}

/// The blobs that deriva's own roots hold, and the counts that they held before and no collection has taken yet.
async fn notes(
    dag: &dyn DagStore,
    blobs: &dyn BlobStore,
) -> Result<HashSet<CAddr, BuildAddrHasher>> {
    let held = reserved_roots(dag).await?.into_iter();
    let mut notes: HashSet<_, _> = held.map(|(_, addr)| addr).collect();
    notes.extend(earlier_counts(dag, blobs).await?);
    Ok(notes)
}
