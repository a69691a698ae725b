//! Roots that deriva keeps for itself: their names begin with what no root of an application may begin with.

use deriva_api::{BlobStore, CAddr, DagStore, ErrorKind, Result};
use futures::TryStreamExt;
use serde::Deserialize;

/// What the names of all of them begin with.
pub(crate) const RESERVED: &str = "deriva:";
/// What the names of those begin with that hold counts of checks.
pub(crate) const CHECKS: &str = "deriva:checks/";

/// Whether a root of this name is deriva's own.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with(RESERVED)
}

/// The roots whose names begin with `prefix`, in the order of their names, without those from `end` on. No root has `prefix` itself as
/// its name.
pub(crate) async fn roots_between(
    dag: &dyn DagStore,
    prefix: &str,
    end: Option<&str>,
) -> Result<Vec<(String, CAddr)>> {
    let mut found = Vec::new();
    let mut roots = dag.roots(Some(prefix));
    while let Some((name, addr)) = roots.try_next().await? {
        if !name.starts_with(prefix) || end.is_some_and(|end| name.as_str() >= end) {
            break;
        }
        found.push((name, addr));
    }
    Ok(found)
}

/// All roots that deriva keeps for itself.
pub(crate) async fn reserved_roots(dag: &dyn DagStore) -> Result<Vec<(String, CAddr)>> {
    roots_between(dag, RESERVED, None).await
}

/// What counts of checks, whatever their form, say of the ones before.
#[derive(Deserialize)]
struct Follows {
    #[serde(rename = "deriva_checks")]
    _form: u32,
    #[serde(default)]
    before: Option<CAddr>,
}

/// The blobs that roots of counts held before, the latest first, back to the first that is not stored any more.
pub(crate) async fn earlier_counts(
    dag: &dyn DagStore,
    blobs: &dyn BlobStore,
) -> Result<Vec<CAddr>> {
    let mut found = Vec::new();
    for (_, held) in roots_between(dag, CHECKS, None).await? {
        let mut before = follows(blobs, held).await?;
        while let Some(addr) = before.and_then(|it| it.before) {
            before = follows(blobs, addr).await?;
            found.extend(before.is_some().then_some(addr));
        }
    }
    Ok(found)
}

async fn follows(blobs: &dyn BlobStore, addr: CAddr) -> Result<Option<Follows>> {
    match blobs.get(addr).await {
        Ok(blob) => Ok(blob.and_then(|blob| serde_json::from_slice(blob.bytes()).ok())),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        Err(error) => Err(error),
    }
}
