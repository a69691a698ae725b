//! The guide to embedding, and the examples of executors: what they put around the pool keeps the promises.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Arc;

use deriva::layers::{ExecutorLayer, Layers};
use deriva::prelude::*;
use deriva::stores::BlobStore;
use deriva_testkit::{ExecutorFixture, ModelStore, executor_conformance};
use embed::Elsewhere;
use executor::Tools;
use executor_layer::Memory;

#[path = "../examples/embed/elsewhere.rs"]
mod embed;
#[path = "../examples/executor.rs"]
#[allow(dead_code, reason = "of the example, only the executor is used here")]
mod executor;
#[path = "../examples/executor_layer.rs"]
#[allow(dead_code, reason = "of the example, only the executor is used here")]
mod executor_layer;

/// The pool inside of these layers.
#[derive(Debug)]
struct Layered(Layers);

#[async_trait]
impl ExecutorFixture for Layered {
    async fn open(
        &self,
        functions: Vec<Arc<dyn ComputeFunction>>,
        _: Arc<dyn BlobStore>,
    ) -> Result<Arc<dyn Executor>> {
        let mut registry = FunctionRegistry::new();
        for function in functions {
            registry.register(function)?;
        }
        let clock = Arc::new(SystemClock::new());
        let pool = PoolExecutor::new(Arc::new(registry), clock, 4)?;
        Ok(ExecutorLayer::wrap(&self.0, Arc::new(pool)))
    }
}

fn elsewhere() -> Layers {
    let clock = Arc::new(SystemClock::new());
    Layers::new().executor_layer(move |pool: Arc<_>| Elsewhere::around(pool, clock.clone()))
}

fn all() -> Layers {
    let layers = elsewhere().executor_layer(Tools::around);
    layers.executor_layer(Memory::default())
}

executor_conformance!(elsewhere, Layered(elsewhere()));
executor_conformance!(
    remembering,
    Layered(Layers::new().executor_layer(Memory::default()))
);
executor_conformance!(all_layers, Layered(all()));

#[tokio::test]
async fn the_first_layer_is_the_outermost() {
    let blobs: Arc<dyn BlobStore> = Arc::new(ModelStore::new());
    let executor = Layered(all()).open(Vec::new(), blobs).await.unwrap();
    let expected = "elsewhere(tools(remembering(pool(4))))";
    assert_eq!(executor.to_string(), expected);
}
