//! What a materialization should give: one node after the other, everything computed, nothing clever.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use deriva_api::{
    BlobStore, BlobStoreExt, BuildAddrHasher, CAddr, ComputeFunction, DagStore, DagStoreExt, Error,
    ErrorKind, FunctionId, Result, Walk,
};

/// Computes the bytes of `addr`, looking at no recorded output and recording none. It holds every
/// intermediate in memory, so it is for graphs of test size.
///
/// # Errors
/// `NotFound` for an address that is neither a recipe nor a blob, `Unsupported` for a function that
/// `function` does not know, and what stores and functions say.
pub async fn materialize(
    dag: &dyn DagStore,
    blobs: &dyn BlobStore,
    function: impl Fn(&FunctionId) -> Option<Arc<dyn ComputeFunction>> + Send + Sync,
    addr: CAddr,
) -> Result<Bytes> {
    let mut values: HashMap<CAddr, Bytes, BuildAddrHasher> = HashMap::default();
    for at in dag.topological_order(addr, Walk::default()).await? {
        let value = match dag.get_one(at).await? {
            None => blobs.read_all(at).await?,
            Some(node) => {
                let id = node.recipe.function();
                let known = function(&id).ok_or_else(|| {
                    Error::new(ErrorKind::Unsupported, "unknown function").with("function", &id)
                })?;
                let inputs: Vec<Bytes> = node
                    .recipe
                    .inputs()
                    .filter_map(|input| values.get(&input).cloned())
                    .collect();
                known.call(&inputs, &node.recipe.params()?)?
            }
        };
        values.insert(at, value);
    }
    values
        .remove(&addr)
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "no such blob or recipe").with("addr", addr))
}
