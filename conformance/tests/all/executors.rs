//! Every case for executors, on those of the runtime.

use std::sync::Arc;

use async_trait::async_trait;
use deriva::executors::{InlineExecutor, PoolExecutor};
use deriva_api::{BlobStore, ComputeFunction, Executor, FunctionRegistry, Result, SystemClock};
use deriva_testkit::{ExecutorFixture, executor_conformance};

fn registry(functions: Vec<Arc<dyn ComputeFunction>>) -> Result<Arc<FunctionRegistry>> {
    let mut registry = FunctionRegistry::new();
    for function in functions {
        registry.register(function)?;
    }
    Ok(Arc::new(registry))
}

#[derive(Debug)]
struct Inline;

#[async_trait]
impl ExecutorFixture for Inline {
    async fn open(
        &self,
        functions: Vec<Arc<dyn ComputeFunction>>,
        _: Arc<dyn BlobStore>,
    ) -> Result<Arc<dyn Executor>> {
        let clock = Arc::new(SystemClock::new());
        Ok(Arc::new(InlineExecutor::new(registry(functions)?, clock)))
    }
}

#[derive(Debug)]
struct Pool(usize);

#[async_trait]
impl ExecutorFixture for Pool {
    async fn open(
        &self,
        functions: Vec<Arc<dyn ComputeFunction>>,
        _: Arc<dyn BlobStore>,
    ) -> Result<Arc<dyn Executor>> {
        let clock = Arc::new(SystemClock::new());
        let pool = PoolExecutor::new(registry(functions)?, clock, self.0)?;
        Ok(Arc::new(pool))
    }
}

executor_conformance!(inline, Inline);
executor_conformance!(pool_of_one, Pool(1));
executor_conformance!(pool_of_four, Pool(4));
