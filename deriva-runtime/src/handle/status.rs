//! How much a handle holds.

use deriva_api::{Result, Status};

use crate::shared::Deriva;
use crate::shared::reserved::reserved_roots;

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
        let mut status = Status::default();
        status.recipes = dag.map(|usage| usage.recipes);
        status.outputs = dag.map(|usage| usage.outputs);
        status.blobs = blobs.map(|usage| usage.blobs);
        status.blob_bytes = blobs.map(|usage| usage.bytes);
        status.roots = roots;
        status.cache_bytes = self.inner.cache.bytes();
        status.blob_store = self.inner.blobs.to_string();
        status.dag_store = self.inner.dag.to_string();
        status.executor = self.inner.executor.to_string();
        status.verification = self.verification();
        Ok(status)
    }
}
