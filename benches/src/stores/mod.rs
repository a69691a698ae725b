//! Each store against its engine alone: the same rows in the same batches, equally durable, in one run.

mod blobs;
mod insert;
mod open;
mod raw;
mod reads;
mod rows;

use std::path::{Path, PathBuf};

use deriva::prelude::*;
use deriva::stores::OpenedStore;
use deriva_testkit::Workload;
use tempfile::TempDir;

use crate::Scale;
use crate::report::Report;
pub(crate) use raw::{Engine, Row};
use rows::Rows;
pub(crate) use rows::key;

/// Recipes in a batch.
const BATCH: usize = 1000;

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    insert::run(scale, report)?;
    open::run(scale, report)?;
    reads::run(scale, report)?;
    blobs::run(scale, report)
}

/// A folder of its own for each repetition.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Result<Self> {
        let folder = TempDir::new().map_err(Error::io)?;
        Ok(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where a store lies.
    fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    /// Opens a store; `scheme` may carry options, as in `sled?durability=buffered`.
    async fn open(&self, scheme: &str) -> Result<OpenedStore> {
        let uri = match scheme.split_once('?') {
            _ if scheme == "memory" => "memory:".to_owned(),
            Some((scheme, options)) => format!("{scheme}:{}?{options}", self.store().display()),
            None => format!("{scheme}:{}", self.store().display()),
        };
        deriva::stores::builtin().open(&uri.parse()?).await
    }

    /// The engine alone, with a database of its own beside the store.
    pub(crate) fn raw(&self, engine: Engine) -> Result<Box<dyn raw::Raw>> {
        engine.open(&self.path().join("alone"))
    }

    /// Writes what a store holds of a graph into the engine's own database.
    pub(crate) fn fill(&self, engine: Engine, workload: Workload) -> Result<()> {
        let (raw, mut layout) = (self.raw(engine)?, Rows::default());
        let leaf = |leaf: Blob| {
            (
                key(b"b", &[leaf.addr()]),
                [&[0], &leaf.bytes()[..]].concat(),
            )
        };
        let mut leaves: Vec<Row> = workload.leaves().map(leaf).collect();
        leaves.sort_unstable();
        leaves.chunks(BATCH).try_for_each(|rows| raw.write(rows))?;
        let recipes: Vec<Recipe> = workload.recipes().collect::<Result<_>>()?;
        let mut batches = recipes.chunks(BATCH).map(|batch| layout.batch(batch));
        batches.try_for_each(|rows| raw.write(&rows))
    }
}

fn missing(what: &str) -> Error {
    Error::new(ErrorKind::Internal, "a store lacks what was put into it").with("missing", what)
}

fn dag(store: &OpenedStore) -> Result<std::sync::Arc<dyn DagStore>> {
    store.dag.clone().ok_or_else(|| missing("a graph"))
}

fn blobs(store: &OpenedStore) -> Result<std::sync::Arc<dyn BlobStore>> {
    store.blobs.clone().ok_or_else(|| missing("blobs"))
}
