//! What all handles and requests of one [`crate::Deriva`] share.

use std::sync::Arc;

use deriva_api::{BlobStore, CAddr, Clock, DagStore, ErrorKind, Executor, Result};

use crate::cache::BlobCache;
use crate::flights::Flights;
use crate::functions::FunctionRegistry;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) dag: Arc<dyn DagStore>,
    pub(crate) functions: Arc<FunctionRegistry>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The async runtime on which requests run.
    pub(crate) tokio: tokio::runtime::Handle,
    pub(crate) flights: Flights,
    /// Who adds blobs or outputs passes together with others; who takes away what somebody may be about
    /// to rely on passes alone. Held for one call to a store at the most, never while a function runs.
    pub(crate) gate: tokio::sync::RwLock<()>,
    pub(crate) cache: Arc<BlobCache>,
    /// Steps that one request keeps in flight unless it says otherwise.
    pub(crate) jobs: usize,
}

impl Inner {
    /// Removes blobs that are damaged, so that putting them again stores them: a damaged copy would be
    /// taken for the blob. What was healed or put meanwhile stays.
    pub(crate) async fn discard_damaged(&self, addrs: &[CAddr]) -> Result<()> {
        if addrs.is_empty() {
            return Ok(());
        }
        let _alone = self.gate.write().await;
        for addr in addrs {
            match self.blobs.get(*addr).await {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.blobs.remove(&[*addr]).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
