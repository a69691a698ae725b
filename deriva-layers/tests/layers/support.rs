//! What several of these tests need.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    Blob, BlobLayer, BlobStore, CAddr, DagLayer, DagStore, ErrorKind, FunctionId, OpenedStore,
    Output, Params, Recipe, Result,
};
use deriva_testkit::{FaultLayer, ModelStore};

/// One empty store for both kinds.
pub(crate) fn model() -> OpenedStore {
    opened(ModelStore::new())
}

pub(crate) fn opened(model: ModelStore) -> OpenedStore {
    let model = Arc::new(model);
    OpenedStore {
        blobs: Some(model.clone()),
        dag: Some(model),
    }
}

/// Both kinds behind one fault layer.
pub(crate) fn faulty(faults: &FaultLayer, model: ModelStore) -> OpenedStore {
    OpenedStore {
        blobs: Some(BlobLayer::wrap(faults, Arc::new(model.clone()))),
        dag: Some(DagLayer::wrap(faults, Arc::new(model))),
    }
}

pub(crate) fn blobs(layer: &impl BlobLayer, inner: OpenedStore) -> Arc<dyn BlobStore> {
    layer.wrap(inner.blobs.unwrap())
}

pub(crate) fn dag(layer: &impl DagLayer, inner: OpenedStore) -> Arc<dyn DagStore> {
    layer.wrap(inner.dag.unwrap())
}

pub(crate) fn blob(seed: usize, len: usize) -> Blob {
    Blob::new(vec![seed as u8; len])
}

pub(crate) fn recipe(name: &str, inputs: &[CAddr]) -> Recipe {
    let id: FunctionId = name.parse().unwrap();
    Recipe::new(&id, inputs, &Params::new()).unwrap()
}

pub(crate) fn output(text: &'static str) -> Output {
    let stat = Blob::new(text).stat();
    Output {
        addr: stat.addr,
        len: stat.len,
        cost: Duration::from_micros(7),
    }
}

pub(crate) fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}
