//! What several cases for materializers need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deriva_api::{
    Blob, BlobLayer, BlobStat, BlobStore, BlobStoreExt, Bytes, CAddr, Clock, ComputeFunction,
    Cutoff, DagLayer, DagStore, Error, ErrorKind, OpenedStore, Params, Result, SystemClock,
};
use parking_lot::{Condvar, Mutex};
use tokio::task::JoinHandle;

use super::support::recipe_with;
use crate::functions::{function, light};
use crate::trial::Trial;
use crate::{FaultLayer, Materialized, Materializer, MaterializerFixture, Request, Setup};

/// Longer than any call takes that does not hang.
pub(super) const LONG: Duration = Duration::from_secs(10);

/// A materializer at work, and the stores below it.
pub(super) struct Works {
    pub(super) materializer: Arc<dyn Materializer>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) dag: Arc<dyn DagStore>,
    /// Over both stores, for cases that want them to fail.
    pub(super) faults: FaultLayer,
    fixture: Arc<dyn MaterializerFixture>,
    setup: Setup,
}

impl Works {
    pub(super) async fn open(
        trial: &Trial<dyn MaterializerFixture>,
        functions: impl IntoIterator<Item = Arc<dyn ComputeFunction>>,
    ) -> Result<Self> {
        Self::open_with(trial, functions, |_| ()).await
    }

    /// With another setup.
    pub(super) async fn open_with(
        trial: &Trial<dyn MaterializerFixture>,
        functions: impl IntoIterator<Item = Arc<dyn ComputeFunction>>,
        change: impl FnOnce(&mut Setup),
    ) -> Result<Self> {
        let mut setup = Setup::new(functions.into_iter().collect());
        change(&mut setup);
        let fixture = trial.fixture.clone();
        let OpenedStore { blobs, dag } = fixture.stores().await?;
        let faults = FaultLayer::new();
        let blobs = blobs.ok_or_else(|| trial.missing("blob"))?;
        let dag = dag.ok_or_else(|| trial.missing("DAG"))?;
        let (blobs, dag) = (
            BlobLayer::wrap(&faults, blobs),
            DagLayer::wrap(&faults, dag),
        );
        let stores = stores(&blobs, &dag);
        let materializer = fixture.open(stores, setup.clone()).await?;
        Ok(Self {
            materializer,
            blobs,
            dag,
            faults,
            fixture,
            setup,
        })
    }

    /// Another materializer over the same stores: it remembers nothing but what they hold.
    pub(super) async fn again(&self) -> Result<Arc<dyn Materializer>> {
        self.again_with(|_| ()).await
    }

    /// The same with another setup.
    pub(super) async fn again_with(
        &self,
        change: impl FnOnce(&mut Setup),
    ) -> Result<Arc<dyn Materializer>> {
        let mut setup = self.setup.clone();
        change(&mut setup);
        let stores = stores(&self.blobs, &self.dag);
        self.fixture.open(stores, setup).await
    }

    /// The same stores under a materializer with other functions, and no other.
    pub(super) async fn with(
        mut self,
        functions: impl IntoIterator<Item = Arc<dyn ComputeFunction>>,
    ) -> Result<Self> {
        self.setup.functions = functions.into_iter().collect();
        self.reopen().await
    }

    /// Ends the materializer and opens another one over the same stores, so that nobody has anything in memory.
    pub(super) async fn reopen(self) -> Result<Self> {
        drop(self.materializer);
        let stores = stores(&self.blobs, &self.dag);
        let materializer = self.fixture.open(stores, self.setup.clone()).await?;
        Ok(Self {
            materializer,
            ..self
        })
    }

    pub(super) async fn leaf(&self, text: &str) -> Result<CAddr> {
        let blob = Blob::new(text.to_owned());
        self.materializer
            .put(std::slice::from_ref(&blob))
            .await
            .map(|()| blob.addr())
    }

    pub(super) async fn recipe(&self, function: &str, inputs: &[CAddr]) -> Result<CAddr> {
        self.recipe_with(function, inputs, &Params::new()).await
    }

    pub(super) async fn recipe_with(
        &self,
        function: &str,
        inputs: &[CAddr],
        params: &Params,
    ) -> Result<CAddr> {
        let recipe = recipe_with(function, inputs, params)?;
        let inserted = self
            .materializer
            .insert(std::slice::from_ref(&recipe))
            .await;
        inserted.map(|()| recipe.addr())
    }

    pub(super) async fn materialize(&self, targets: &[CAddr]) -> Result<Materialized> {
        self.materializer.materialize(ask_for(targets)).await
    }

    pub(super) async fn get(&self, addr: CAddr) -> Result<Bytes> {
        self.materializer.get(addr).await
    }

    /// Makes the stores lose the blobs of these recipes' outputs.
    pub(super) async fn lose(&self, recipes: &[CAddr]) -> Result<()> {
        let outputs = self.dag.outputs(recipes).await?;
        let blobs: Vec<CAddr> = outputs.iter().flatten().map(|output| output.addr).collect();
        assert_eq!(blobs.len(), recipes.len(), "an output was not recorded");
        self.blobs.remove(&blobs).await
    }

    /// Of these recipes, how many have an output. Each output has its blob.
    pub(super) async fn recorded(&self, recipes: &[CAddr]) -> Result<usize> {
        let outputs = self.dag.outputs(recipes).await?;
        for output in outputs.iter().flatten() {
            assert!(
                self.blobs.has_blob(output.addr).await?,
                "an output without its blob: {output:?}"
            );
        }
        Ok(outputs.iter().flatten().count())
    }
}

/// A request that looks for nothing under resolved addresses, so that it can be told what runs.
pub(super) fn ask_for(targets: &[CAddr]) -> Request {
    Request::new(targets).cutoff(Cutoff::Never)
}

fn stores(blobs: &Arc<dyn BlobStore>, dag: &Arc<dyn DagStore>) -> OpenedStore {
    OpenedStore {
        blobs: Some(blobs.clone()),
        dag: Some(dag.clone()),
    }
}

/// The inputs one after the other: `concat/1`, and as a light function `light/1`.
pub(super) fn concat() -> Result<[Arc<dyn ComputeFunction>; 2]> {
    let concat = |id| function(id, |inputs, _| Ok(inputs.concat().into()));
    Ok([concat("concat/1")?, light(concat("light/1")?)])
}

/// `fail/1` fails, `panic/1` panics.
pub(super) fn failing() -> Result<[Arc<dyn ComputeFunction>; 2]> {
    let fail = |_: &[Bytes], _: &Params| Err(Error::new(ErrorKind::Function, "as it should"));
    Ok([
        function("fail/1", fail)?,
        function("panic/1", |_, _| panic!("on purpose"))?,
    ])
}

/// Counts how often a function is called. Clones count together.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<AtomicUsize>);

impl Calls {
    /// The number of calls so far.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts a call; answers how many there were before.
    pub(super) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    /// Counts from 0 again.
    pub(super) fn restart(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// The inputs one after the other, counted.
    pub(super) fn concat(&self, id: &str) -> Result<Arc<dyn ComputeFunction>> {
        let calls = self.clone();
        function(id, move |inputs, _| {
            calls.add();
            Ok(inputs.concat().into())
        })
    }

    /// Waits until there were `count`.
    pub(super) async fn reach(&self, count: usize) -> Result<()> {
        until(|| self.count() >= count).await
    }
}

/// Holds functions up until it is opened.
#[derive(Default)]
pub(super) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// Waits on this thread until the gate is open, or much too long.
    pub(super) fn pass(&self) {
        let mut open = self.open.lock();
        self.changed.wait_while_for(&mut open, |open| !*open, LONG);
    }

    pub(super) fn open(&self) {
        *self.open.lock() = true;
        self.changed.notify_all();
    }

    /// The inputs one after the other, once the gate is open; counted before.
    pub(super) fn concat(
        self: &Arc<Self>,
        id: &str,
        calls: &Calls,
    ) -> Result<Arc<dyn ComputeFunction>> {
        let (gate, calls) = (self.clone(), calls.clone());
        function(id, move |inputs, _| {
            calls.add();
            gate.pass();
            Ok(inputs.concat().into())
        })
    }
}

/// Waits until `holds`.
pub(super) async fn until(holds: impl Fn() -> bool) -> Result<()> {
    let wait = async {
        while !holds() {
            pause(1).await;
        }
        Ok(())
    };
    in_time(wait).await
}

/// Collects until what should go is gone: of a lease that was dropped, a materializer at the other end of a network hears a little
/// later.
pub(super) async fn collect_until(
    materializer: &dyn Materializer,
    gone: impl AsyncFn() -> Result<bool>,
) -> Result<()> {
    let wait = async {
        loop {
            materializer.collect().await?;
            if gone().await? {
                return Ok(());
            }
            pause(1).await;
        }
    };
    in_time(wait).await
}

/// Time for others, in milliseconds: for what should not happen to happen, and for what cannot be seen from
/// outside to be likely.
pub(super) async fn pause(millis: u64) {
    SystemClock::new()
        .sleep(Duration::from_millis(millis))
        .await;
}

/// What `work` answers. It fails where that takes much too long.
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let hangs = |_| Err(Error::new(ErrorKind::Internal, "it hangs"));
    tokio::time::timeout(LONG, work).await.unwrap_or_else(hangs)
}

/// Begins a request that goes on by itself, until its task is aborted.
pub(super) fn begin(
    materializer: &Arc<dyn Materializer>,
    request: Request,
) -> JoinHandle<Result<Materialized>> {
    let materializer = materializer.clone();
    tokio::spawn(async move { materializer.materialize(request).await })
}

/// What became of a task. It fails where that takes much too long.
pub(super) async fn ended<T>(task: JoinHandle<Result<T>>) -> Result<T> {
    in_time(async {
        task.await
            .unwrap_or_else(|gone| Err(Error::new(ErrorKind::Internal, gone.to_string())))
    })
    .await
}

/// The stats of results that must all be there.
pub(super) fn stats(done: Materialized) -> Result<Vec<BlobStat>> {
    done.results.into_iter().collect()
}
