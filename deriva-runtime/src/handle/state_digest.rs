//! One hash over everything that a store holds.

use deriva_api::{BlobHasher, BlobStore, CAddr, DagStore, Result};
use futures::TryStreamExt;

/// Hashes recipes, outputs, roots and blob addresses, each in order, so that two stores with the same
/// content have the same digest, whatever engine they stand on and in whatever order it was written.
/// Costs of outputs are measurements and do not count.
pub(crate) async fn state_digest(dag: &dyn DagStore, blobs: &dyn BlobStore) -> Result<CAddr> {
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
    }
    let mut roots = dag.roots(None);
    while let Some((name, addr)) = roots.try_next().await? {
        hasher.update(b"root");
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(addr.as_bytes());
    }
    let mut list = blobs.list(None);
    while let Some(stat) = list.try_next().await? {
        hasher.update(b"blob");
        hasher.update(stat.addr.as_bytes());
    }
    Ok(hasher.finish().addr)
}
