//! The runtime of deriva, as the cases for materializers want it.

use std::sync::Arc;

use async_trait::async_trait;
use deriva_api::{FunctionRegistry, Materializer, OpenedStore, Result};
use deriva_runtime::DerivaBuilder;
use deriva_testkit::{Fixture, MaterializerFixture, Setup};

/// A [`Deriva`](deriva_runtime::Deriva) over the stores of another fixture.
#[derive(Debug)]
pub struct DerivaFixture(pub Arc<dyn Fixture>);

#[async_trait]
impl MaterializerFixture for DerivaFixture {
    async fn stores(&self) -> Result<OpenedStore> {
        self.0.open().await
    }

    async fn open(&self, stores: OpenedStore, setup: Setup) -> Result<Arc<dyn Materializer>> {
        let mut builder = set_up(DerivaBuilder::new(), setup)?;
        if let Some(blobs) = stores.blobs {
            builder = builder.blobs(blobs);
        }
        if let Some(dag) = stores.dag {
            builder = builder.dag(dag);
        }
        Ok(Arc::new(builder.build().await?))
    }
}

/// What a case wants of a runtime.
///
/// # Errors
/// `Invalid` for two functions of one name.
pub fn set_up(builder: DerivaBuilder, setup: Setup) -> Result<DerivaBuilder> {
    let mut functions = FunctionRegistry::new();
    for function in setup.functions {
        functions.register(function)?;
    }
    let builder = builder
        .functions(functions)
        .jobs(setup.jobs)
        .clock(setup.clock)
        .determinism(setup.determinism)
        .on_violation(setup.on_violation)
        .determinism_key(setup.sampling_key);
    Ok(match setup.requests_may_lower {
        true => builder.requests_may_lower_determinism(),
        false => builder,
    })
}
