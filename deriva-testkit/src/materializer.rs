//! How the cases come by a materializer.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{Clock, ComputeFunction, Materializer, OpenedStore, Result};

/// How a materializer is opened.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The functions that it knows.
    pub functions: Vec<Arc<dyn ComputeFunction>>,
    /// Heavy steps at once, whatever is asked for.
    pub jobs: usize,
    /// By which it measures time.
    pub clock: Arc<dyn Clock>,
}

/// Opens the materializer that a case works on. Each case gets a fixture of its own.
#[async_trait]
pub trait MaterializerFixture: Debug + Send + Sync {
    /// The stores for a case, empty; asked for once.
    async fn stores(&self) -> Result<OpenedStore>;

    /// A materializer over these stores, which may hold something already. Others may have been opened
    /// over them before, and may be at work. It is opened inside tokio, and may be asked from outside.
    async fn open(&self, stores: OpenedStore, setup: Setup) -> Result<Arc<dyn Materializer>>;
}

#[async_trait]
impl<F: MaterializerFixture + ?Sized> MaterializerFixture for Arc<F> {
    async fn stores(&self) -> Result<OpenedStore> {
        (**self).stores().await
    }

    async fn open(&self, stores: OpenedStore, setup: Setup) -> Result<Arc<dyn Materializer>> {
        (**self).open(stores, setup).await
    }
}
