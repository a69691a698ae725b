//! The guide to embedding: the executor that it shows keeps the promises.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Arc;

use deriva::prelude::*;
use deriva::stores::BlobStore;
use deriva_testkit::{ExecutorFixture, executor_conformance};
use embed::Elsewhere;

#[path = "../examples/embed.rs"]
#[allow(dead_code, reason = "of the example, only the executor is used here")]
mod embed;

#[derive(Debug)]
struct AroundThePool;

#[async_trait]
impl ExecutorFixture for AroundThePool {
    async fn open(
        &self,
        functions: Vec<Arc<dyn ComputeFunction>>,
        _: Arc<dyn BlobStore>,
    ) -> Result<Arc<dyn Executor>> {
        let mut registry = FunctionRegistry::new();
        for function in functions {
            registry.register(function)?;
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let pool = PoolExecutor::new(Arc::new(registry), Arc::clone(&clock), 4)?;
        Ok(Arc::new(Elsewhere::around(Arc::new(pool), clock)))
    }
}

executor_conformance!(elsewhere, AroundThePool);
