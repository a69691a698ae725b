//! What all handles and requests of one [`crate::Deriva`] share.

use std::sync::Arc;

use deriva_api::{BlobStore, Clock, DagStore, Executor};

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
    pub(crate) cache: BlobCache,
    /// Steps that one request keeps in flight unless it says otherwise.
    pub(crate) jobs: usize,
}
