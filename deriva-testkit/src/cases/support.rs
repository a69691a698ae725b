//! What several cases need.

use std::sync::Arc;

use deriva_api::{
    Blob, BlobStore, BlobUsage, CAddr, DagStore, DagUsage, Error, ErrorKind, FunctionId, Output,
    Params, Recipe, Result,
};
use futures::TryStreamExt;
use std::time::Duration;

use super::Fixture;
use crate::SplitMix64;

pub(super) async fn blobs(fixture: &dyn Fixture) -> Result<Arc<dyn BlobStore>> {
    fixture.open().await?.blobs.ok_or_else(|| missing("blob"))
}

pub(super) async fn dag(fixture: &dyn Fixture) -> Result<Arc<dyn DagStore>> {
    fixture.open().await?.dag.ok_or_else(|| missing("DAG"))
}

fn missing(what: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, "the fixture has no such store").with("wanted", what)
}

pub(super) fn random_blob(seed: u64, len: usize) -> Blob {
    Blob::new(SplitMix64::new(seed).bytes(len))
}

pub(super) fn recipe(name: &str, inputs: &[CAddr]) -> Result<Recipe> {
    recipe_with(name, inputs, &Params::new())
}

pub(super) fn recipe_with(name: &str, inputs: &[CAddr], params: &Params) -> Result<Recipe> {
    Recipe::new(&name.parse::<FunctionId>()?, inputs, params)
}

/// Recipes without inputs, distinct by a param.
pub(super) fn numbered(count: i64) -> Result<Vec<Recipe>> {
    (0..count)
        .map(|i| recipe_with("f/1", &[], &Params::new().with("i", i)))
        .collect()
}

pub(super) fn output(bytes: &str) -> Output {
    let stat = Blob::new(bytes.to_owned()).stat();
    Output {
        addr: stat.addr,
        len: stat.len,
        cost: Duration::from_micros(1500),
    }
}

pub(super) fn addr(text: &str) -> CAddr {
    CAddr::of_blob(text.as_bytes())
}

pub(super) fn addrs(recipes: &[Recipe]) -> Vec<CAddr> {
    recipes.iter().map(Recipe::addr).collect()
}

pub(super) fn sorted(mut addrs: Vec<CAddr>) -> Vec<CAddr> {
    addrs.sort_unstable();
    addrs
}

/// `usage` is exact where it is declared, and `None` where it is not.
pub(super) async fn check_blob_usage(store: &dyn BlobStore, blobs: u64, bytes: u64) -> Result<()> {
    let declared = store.capabilities().usage;
    let expected = declared.then_some(BlobUsage { blobs, bytes });
    assert_eq!(store.usage().await?, expected);
    Ok(())
}

pub(super) async fn check_dag_usage(
    store: &dyn DagStore,
    recipes: u64,
    outputs: u64,
    roots: u64,
) -> Result<()> {
    let expected = DagUsage {
        recipes,
        outputs,
        roots,
    };
    let declared = store.capabilities().usage;
    assert_eq!(store.usage().await?, declared.then_some(expected));
    Ok(())
}

pub(super) async fn dependents(store: &dyn DagStore, addr: CAddr) -> Result<Vec<CAddr>> {
    store.dependents(addr, None).try_collect().await
}

pub(super) async fn listed(store: &dyn DagStore) -> Result<Vec<CAddr>> {
    let nodes = store.list(None).map_ok(|(addr, _)| addr);
    nodes.try_collect().await
}

pub(super) fn kind<T: std::fmt::Debug>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}
