//! One cold request: a graph is loaded into a new store, and its root asked for.

use deriva::prelude::*;
use deriva_testkit::Workload;
use tempfile::TempDir;

use crate::measure::{Sample, disk_bytes, runtime, sample};

/// What is requested, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cold {
    pub(super) workload: Workload,
    /// The scheme of the store.
    pub(super) store: &'static str,
    pub(super) results: StoreResults,
    pub(super) cutoff: Cutoff,
    pub(super) workers: usize,
}

impl Cold {
    /// In memory, on one worker, everything stored, cutoff where it pays.
    pub(super) fn new(workload: Workload) -> Self {
        Self {
            workload,
            store: "memory",
            results: StoreResults::All,
            cutoff: Cutoff::Auto,
            workers: 1,
        }
    }

    /// Measures the request alone, and checks that it computed every node.
    pub(super) fn run(self) -> Result<Sample> {
        let folder = TempDir::new().map_err(Error::io)?;
        let uri = match self.store {
            "memory" => "memory:".to_owned(),
            scheme => format!("{scheme}:{}", folder.path().join("store").display()),
        };
        let runtime = runtime(self.workers)?;
        let builder = Deriva::builder().store(&uri).jobs(self.workers);
        let deriva = runtime.block_on(builder.build())?;
        let root = runtime.block_on(self.workload.load(&**deriva.blobs(), &**deriva.dag()))?;
        // HUB has no node over all: everything is asked for.
        let targets: Vec<CAddr> = match self.workload {
            Workload::Hub { .. } => (self.workload.recipes())
                .map(|recipe| Ok(recipe?.addr()))
                .collect::<Result<_>>()?,
            _ => vec![root],
        };
        let (done, mut sample) = sample(|| {
            runtime.block_on(async {
                deriva
                    .materialize_many(targets.iter().copied())
                    .store_results(self.results)
                    .cutoff(self.cutoff)
                    .await
            })
        })?;
        if done.summary.computed != self.workload.len() {
            let what = "a cold request did not compute every node";
            return Err(Error::new(ErrorKind::Internal, what)
                .with("computed", done.summary.computed)
                .with("expected", self.workload.len()));
        }
        drop((done, deriva));
        sample.disk_bytes = disk_bytes(folder.path())?;
        Ok(sample)
    }
}
