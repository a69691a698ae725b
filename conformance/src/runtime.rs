//! The runtime of deriva, as the cases for materializers want it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::{Blob, CAddr, FunctionRegistry, OpenedStore, Recipe, Result};
use deriva_runtime::{CollectPolicy, Cutoff, Deriva, DerivaBuilder};
use deriva_testkit::{Fixture, Materialized, Materializer, MaterializerFixture, Request, Setup};

/// A [`Deriva`] over the stores of another fixture.
#[derive(Debug)]
pub struct DerivaFixture(pub Arc<dyn Fixture>);

#[async_trait]
impl MaterializerFixture for DerivaFixture {
    async fn stores(&self) -> Result<OpenedStore> {
        self.0.open().await
    }

    async fn open(&self, stores: OpenedStore, setup: Setup) -> Result<Arc<dyn Materializer>> {
        let mut functions = FunctionRegistry::new();
        for function in setup.functions {
            functions.register(function)?;
        }
        let mut builder = DerivaBuilder::new()
            .functions(functions)
            .jobs(setup.jobs)
            .clock(setup.clock);
        if let Some(blobs) = stores.blobs {
            builder = builder.blobs(blobs);
        }
        if let Some(dag) = stores.dag {
            builder = builder.dag(dag);
        }
        Ok(Arc::new(Runtime(builder.build().await?)))
    }
}

#[derive(Debug)]
struct Runtime(Deriva);

#[async_trait]
impl Materializer for Runtime {
    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        self.0.put_many(blobs).await
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<()> {
        self.0.insert(recipes).await.map(drop)
    }

    async fn materialize(&self, request: Request) -> Result<Materialized> {
        let mut work = self.0.materialize_many(request.targets);
        work = work.cutoff(match request.cutoff {
            true => Cutoff::Always,
            false => Cutoff::Never,
        });
        if request.keep_going {
            work = work.keep_going();
        }
        if let Some(jobs) = request.jobs {
            work = work.jobs(jobs);
        }
        if let Some(deadline) = request.deadline {
            work = work.deadline(deadline);
        }
        let done = work.priority(request.priority).await?;
        Ok(Materialized {
            results: done.results,
            computed: done.summary.computed,
            reused: done.summary.reused,
            cutoff: done.summary.cutoff,
            healed: done.summary.healed,
            failed: done.summary.failed,
            skipped: done.summary.skipped,
        })
    }

    async fn get(&self, addr: CAddr) -> Result<Bytes> {
        self.0.get(addr).await
    }

    async fn forget(&self, addr: CAddr) -> Result<()> {
        self.0.invalidate(addr).await.map(drop)
    }

    async fn lease(&self, addrs: &[CAddr]) -> Result<Box<dyn Send + Sync>> {
        let lease = self.0.lease();
        lease.protect_many(addrs.iter().copied()).await;
        Ok(Box::new(lease))
    }

    async fn collect(&self) -> Result<()> {
        let policy = CollectPolicy::default().unreferenced_blobs(true);
        self.0.collect().policy(policy).await.map(drop)
    }

    fn in_use(&self) -> Vec<(&'static str, u64)> {
        self.0.in_use().counts().to_vec()
    }
}
