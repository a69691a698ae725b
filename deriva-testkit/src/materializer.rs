//! How the cases come by a materializer.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{
    Clock, ComputeFunction, Determinism, Materializer, OnViolation, OpenedStore, Result,
    SystemClock,
};

/// Heavy steps at once, where a setup does not say otherwise.
const JOBS: usize = 4;

/// How a materializer is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// The functions that it knows.
    pub functions: Vec<Arc<dyn ComputeFunction>>,
    /// Heavy steps at once, whatever is asked for. Default: 4.
    pub jobs: usize,
    /// By which it measures time. Default: the system's.
    pub clock: Arc<dyn Clock>,
    /// Which computations are checked, and how; what is no mode is [`Invalid`](deriva_api::ErrorKind::Invalid) when it is
    /// opened. Default: none.
    pub determinism: Determinism,
    /// What becomes of a request for a recipe whose runs differ. Default: it fails.
    pub on_violation: OnViolation,
    /// Whether requests may ask for less than `determinism`, too. Default: that is the least.
    pub requests_may_lower: bool,
    /// The key by which [samples](deriva_api::is_sampled) are chosen. Default: all zero.
    pub sampling_key: [u8; 32],
}

impl Setup {
    /// These functions, and the default of everything else.
    #[must_use]
    pub fn new(functions: Vec<Arc<dyn ComputeFunction>>) -> Self {
        Self {
            functions,
            jobs: JOBS,
            clock: Arc::new(SystemClock::new()),
            determinism: Determinism::default(),
            on_violation: OnViolation::default(),
            requests_may_lower: false,
            sampling_key: [0; 32],
        }
    }
}

/// Opens the materializer that a case works on. Each case gets a fixture of its own.
#[async_trait]
pub trait MaterializerFixture: Debug + Send + Sync {
    /// The stores for a case, empty; asked for once.
    async fn stores(&self) -> Result<OpenedStore>;

    /// A materializer over these stores, which may hold something already. Others may have been opened
    /// over them before, and may be at work. It is opened inside tokio, and may be asked from outside.
    async fn open(&self, stores: OpenedStore, setup: Setup) -> Result<Arc<dyn Materializer>>;

    /// Whether functions run where the materializer can know that it is they who ask it: within it, and not at the other end
    /// of a network. The cases of functions that call back are else unsupported. The default is yes.
    fn knows_its_functions(&self) -> bool {
        true
    }
}

#[async_trait]
impl<F: MaterializerFixture + ?Sized> MaterializerFixture for Arc<F> {
    async fn stores(&self) -> Result<OpenedStore> {
        (**self).stores().await
    }

    async fn open(&self, stores: OpenedStore, setup: Setup) -> Result<Arc<dyn Materializer>> {
        (**self).open(stores, setup).await
    }

    fn knows_its_functions(&self) -> bool {
        (**self).knows_its_functions()
    }
}
