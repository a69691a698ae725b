//! How much a handle holds.

use deriva_api::Result;
use serde::Serialize;

use crate::determinism::statistics::Verification;
use crate::shared::Deriva;
use crate::shared::reserved::reserved_roots;

/// How much a [`Deriva`] holds. Counts are `None` where a store cannot tell them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Number of recipes.
    pub recipes: Option<u64>,
    /// Number of recipes with an output.
    pub outputs: Option<u64>,
    /// Number of blobs.
    pub blobs: Option<u64>,
    /// Their bytes.
    pub blob_bytes: Option<u64>,
    /// Number of roots, without those that deriva keeps for itself.
    pub roots: Option<u64>,
    /// Bytes in the memory cache, with its own overhead.
    pub cache_bytes: u64,
    /// The blob store, as a URI or a stack of layers.
    pub blob_store: String,
    /// The DAG store, as a URI or a stack of layers.
    pub dag_store: String,
    /// Where heavy functions run.
    pub executor: String,
    /// What came of checks in this store; see [`Deriva::verification`].
    pub verification: Verification,
}

impl Deriva {
    /// Counts what is stored.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn status(&self) -> Result<Status> {
        let dag = self.inner.dag.usage().await?;
        let blobs = self.inner.blobs.usage().await?;
        let roots = match dag {
            Some(usage) => {
                let own = reserved_roots(&*self.inner.dag).await?.len() as u64;
                Some(usage.roots.saturating_sub(own))
            }
            None => None,
        };
        Ok(Status {
            recipes: dag.map(|usage| usage.recipes),
            outputs: dag.map(|usage| usage.outputs),
            blobs: blobs.map(|usage| usage.blobs),
            blob_bytes: blobs.map(|usage| usage.bytes),
            roots,
            cache_bytes: self.inner.cache.bytes(),
            blob_store: self.inner.blobs.to_string(),
            dag_store: self.inner.dag.to_string(),
            executor: self.inner.executor.to_string(),
            verification: self.verification(),
        })
    }
}
