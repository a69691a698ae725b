//! What several cases need.

use deriva_api::{
    Blob, BlobStat, BlobStore, BlobUsage, CAddr, DagStore, DagUsage, Error, ErrorKind, FunctionId,
    Node, Output, Params, Recipe, Result,
};
use futures::TryStreamExt;
use std::fmt::{self, Debug};
use std::panic::Location;
use std::thread::ScopedJoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};

use super::asserting::same_at;
use crate::SplitMix64;

/// Sizes of batches: around those that stores do at once.
pub(super) const SIZES: [usize; 11] = [1, 63, 64, 65, 255, 256, 257, 299, 300, 301, 1000];

pub(super) fn random_blob(seed: u64, len: usize) -> Blob {
    Blob::new(SplitMix64::new(seed).bytes(len))
}

pub(super) fn small_and_large(count: u64) -> Vec<Blob> {
    let size = |i: u64| if i.is_multiple_of(10) { 70_000 } else { 100 };
    (0..count)
        .map(|i| random_blob(i, size(i) + i as usize))
        .collect()
}

pub(super) fn total(blobs: &[Blob]) -> u64 {
    blobs.iter().map(Blob::len).sum()
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

/// Recipes over one input, distinct by a param.
pub(super) fn numbered_over_hub(count: i64) -> Result<Vec<Recipe>> {
    (0..count)
        .map(|i| recipe_with("f/1", &[addr("hub")], &Params::new().with("i", i)))
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
#[track_caller]
pub(super) fn check_blob_usage(
    store: &dyn BlobStore,
    blobs: u64,
    bytes: u64,
) -> impl Future<Output = Result<()>> {
    let at = Location::caller();
    let expected = BlobUsage { blobs, bytes };
    let expected = store.capabilities().usage.then_some(expected);
    async move {
        same_at(at, &store.usage().await?, &expected, None);
        Ok(())
    }
}

/// As [`check_blob_usage`].
#[track_caller]
pub(super) fn check_dag_usage(
    store: &dyn DagStore,
    recipes: u64,
    outputs: u64,
    roots: u64,
) -> impl Future<Output = Result<()>> {
    let at = Location::caller();
    let expected = DagUsage {
        recipes,
        outputs,
        roots,
    };
    let expected = store.capabilities().usage.then_some(expected);
    async move {
        same_at(at, &store.usage().await?, &expected, None);
        Ok(())
    }
}

pub(super) async fn dependents(store: &dyn DagStore, addr: CAddr) -> Result<Vec<CAddr>> {
    store.dependents(addr, None).try_collect().await
}

/// All blobs by address. A store that declares no `list` is only asked to say so.
pub(super) async fn blobs_listed(store: &dyn BlobStore) -> Result<Vec<BlobStat>> {
    let answer: Result<Vec<BlobStat>> = store.list(None).try_collect().await;
    if store.capabilities().list {
        return answer;
    }
    assert_eq!(kind(answer), Some(ErrorKind::Unsupported));
    Ok(Vec::new())
}

/// Runs `work` on `count` threads at once, each in the runtime of the case.
pub(super) fn on_threads(
    count: usize,
    work: impl AsyncFn(usize) -> Result<()> + Sync,
) -> Result<()> {
    let runtime = Handle::current();
    std::thread::scope(|scope| {
        let start = |thread| {
            let (work, runtime) = (&work, runtime.clone());
            scope.spawn(move || runtime.block_on(work(thread)))
        };
        let threads: Vec<_> = (0..count).map(start).collect();
        let join = |thread: ScopedJoinHandle<'_, Result<()>>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().try_for_each(join)
    })
}

pub(super) async fn listed(store: &dyn DagStore) -> Result<Vec<CAddr>> {
    let nodes = store.list(None).map_ok(|(addr, _)| addr);
    nodes.try_collect().await
}

/// The kind of an error, to be compared with the one that was expected; it prints itself with the error's
/// text, or with the answer that was given instead.
pub(super) fn kind<T: Debug>(result: Result<T>) -> Refusal {
    Refusal {
        text: match &result {
            Ok(answer) => format!("no error but {answer:?}"),
            Err(error) => format!("{error:?}"),
        },
        kind: result.err().map(|error| error.kind()),
    }
}

/// See [`kind`].
pub(super) struct Refusal {
    pub(super) kind: Option<ErrorKind>,
    text: String,
}

impl PartialEq<Option<ErrorKind>> for Refusal {
    fn eq(&self, expected: &Option<ErrorKind>) -> bool {
        self.kind == *expected
    }
}

impl Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Everything that is listed, in one walk.
pub(super) async fn dag_state(store: &dyn DagStore) -> Result<(Vec<CAddr>, Vec<(String, CAddr)>)> {
    let nodes: Result<Vec<(CAddr, Node)>> = store.list(None).try_collect().await;
    let listed = match store.capabilities().list {
        true => nodes?.into_iter().map(|(addr, _)| addr).collect(),
        false => Vec::new(),
    };
    Ok((listed, store.roots(None).try_collect().await?))
}

/// Runs `work` outside of any runtime, and in each flavour of tokio, each time with another number.
pub(super) fn in_every_runtime(work: impl AsyncFn(u64) -> Result<()> + Sync) -> Result<()> {
    let tokio = |seed: u64, mut builder: Builder| {
        let runtime = builder.enable_all().build().map_err(Error::io)?;
        runtime.block_on(work(seed))
    };
    let each: [&(dyn Fn() -> Result<()> + Sync); 3] = [
        &|| futures::executor::block_on(work(1)),
        &|| tokio(2, Builder::new_current_thread()),
        &|| tokio(3, Builder::new_multi_thread()),
    ];
    // Threads of their own, as that of the case is inside a runtime.
    each.into_iter().try_for_each(|run| {
        let join = std::thread::scope(|scope| scope.spawn(run).join());
        join.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
