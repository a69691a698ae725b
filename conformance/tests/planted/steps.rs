//! What several scenarios need: a runtime whose steps wait, and end as planned.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use deriva::executors::{Executed, Executor, InlineExecutor, Operands, Step};
use deriva::functions::{FunctionRegistry, Weight};
use deriva::{
    CAddr, Deriva, DerivaBuilder, Error, ErrorKind, FunctionId, Recipe, Result, SystemClock,
};
use deriva_testkit::{FaultLayer, ModelStore};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Longer than anything takes that does not hang; where a fault is planted that may hang, not so long.
pub(crate) fn patience() -> Duration {
    let is_planted = std::env::var_os(deriva_runtime::planted::SWITCH).is_some();
    Duration::from_secs(if is_planted { 5 } else { 60 })
}

/// A runtime over the model store, the faults of that store, and the hand on its heavy steps.
pub(crate) struct Works {
    pub(crate) deriva: Deriva,
    pub(crate) raw: ModelStore,
    pub(crate) faults: FaultLayer,
    pub(crate) steps: Arc<Steps>,
    /// What `version/1` gives.
    pub(crate) version: Arc<AtomicU64>,
}

impl Works {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// Heavy are `concat/1`, `big/1`, which gives 64 KiB, and `some/1`, which gives 16; light are `light/1`, which
    /// does what `concat/1` does, `fail/1` and `version/1`.
    pub(crate) async fn with(change: impl FnOnce(DerivaBuilder) -> DerivaBuilder) -> Self {
        let (raw, faults, version) = (
            ModelStore::new(),
            FaultLayer::new(),
            Arc::new(AtomicU64::new(1)),
        );
        let mut functions = FunctionRegistry::new();
        let concat = |inputs: &[bytes::Bytes], _: &deriva::Params| Ok(inputs.concat().into());
        for (name, weight) in [("concat", Weight::Heavy), ("light", Weight::Light)] {
            functions.register_fn(name, "1", weight, concat).unwrap();
        }
        let now = Arc::clone(&version);
        let give =
            move |_: &[bytes::Bytes], _: &deriva::Params| Ok(now.load(SeqCst).to_string().into());
        functions
            .register_fn("version", "1", Weight::Light, give)
            .unwrap();
        let big = |inputs: &[bytes::Bytes], _: &deriva::Params| {
            let first = inputs[0].first().copied().unwrap_or_default();
            Ok(vec![first.wrapping_add(1); 64 << 10].into())
        };
        functions
            .register_fn("big", "1", Weight::Heavy, big)
            .unwrap();
        let some = |_: &[bytes::Bytes], params: &deriva::Params| {
            Ok(vec![params.int("n")?.unwrap_or_default() as u8; 16 << 10].into())
        };
        functions
            .register_fn("some", "1", Weight::Heavy, some)
            .unwrap();
        let fail = |_: &[bytes::Bytes], _: &deriva::Params| {
            Err(Error::new(ErrorKind::Function, "as planned"))
        };
        functions
            .register_fn("fail", "1", Weight::Light, fail)
            .unwrap();
        let inner = InlineExecutor::new(Arc::new(functions.clone()), Arc::new(SystemClock::new()));
        let steps = Arc::new(Steps::new(inner));
        let builder = deriva::builder()
            .blobs(Arc::new(raw.clone()) as Arc<dyn deriva::stores::BlobStore>)
            .dag(Arc::new(raw.clone()) as Arc<dyn deriva::stores::DagStore>)
            .layer(faults.clone())
            .functions(functions)
            .executor(steps.clone())
            .jobs(4);
        Self {
            deriva: change(builder).build().await.unwrap(),
            raw,
            faults,
            steps,
            version,
        }
    }

    pub(crate) async fn leaf(&self, text: &str) -> CAddr {
        self.deriva.put(text.to_owned()).await.unwrap()
    }

    pub(crate) fn build(&self, name: &str, inputs: &[CAddr]) -> Recipe {
        let recipe = self.deriva.recipe(name, "1").inputs(inputs.iter().copied());
        recipe.build().unwrap()
    }

    pub(crate) async fn recipe(&self, name: &str, inputs: &[CAddr]) -> CAddr {
        let recipe = self.build(name, inputs);
        self.deriva.insert(&[recipe]).await.unwrap()[0]
    }

    /// Whether an output is recorded, and whether its blob is there.
    pub(crate) async fn output(&self, addr: CAddr) -> Option<bool> {
        let output = deriva::stores::DagStore::outputs(&self.raw, &[addr])
            .await
            .unwrap()[0]?;
        let stats = deriva::stores::BlobStore::stat(&self.raw, &[output.addr])
            .await
            .unwrap();
        Some(stats[0].is_some())
    }

    pub(crate) async fn has_blob(&self, addr: CAddr) -> bool {
        deriva::stores::BlobStore::stat(&self.raw, &[addr])
            .await
            .unwrap()[0]
            .is_some()
    }

    /// R1: all is given back.
    pub(crate) async fn is_idle(&self) {
        let left = self.deriva.given_back(patience()).await;
        assert!(left.is_zero(), "not given back: {left:?}");
    }
}

/// Waits until `holds`, or much too long.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    in_time(what, wait).await;
}

/// What `work` gives. It fails where that takes much too long.
pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(patience(), work).await;
    done.unwrap_or_else(|_| panic!("it hangs: {what}"))
}

/// Lets everything go on that can.
pub(crate) async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

/// Runs steps where they are polled, while they are not held; some fail without being run.
#[derive(Debug)]
pub(crate) struct Steps {
    inner: InlineExecutor,
    hold: watch::Sender<bool>,
    begun: AtomicU64,
    under_way: Arc<()>,
    failing: Mutex<VecDeque<ErrorKind>>,
}

impl Steps {
    fn new(inner: InlineExecutor) -> Self {
        Self {
            inner,
            hold: watch::Sender::new(false),
            begun: AtomicU64::new(0),
            under_way: Arc::default(),
            failing: Mutex::default(),
        }
    }

    /// Holds steps from now on, or lets them go.
    pub(crate) fn hold(&self, held: bool) {
        self.hold.send_replace(held);
    }

    /// The next step that is not held fails.
    pub(crate) fn fail_next(&self, kind: ErrorKind) {
        self.failing.lock().push_back(kind);
    }

    /// Steps that have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(SeqCst)
    }

    /// Steps that have begun and not ended, or been given up.
    pub(crate) fn under_way(&self) -> usize {
        Arc::strong_count(&self.under_way) - 1
    }

    /// Waits until N have begun.
    pub(crate) async fn reach(&self, count: u64) {
        until("a step begins", || self.begun() >= count).await;
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "steps({})", self.inner)
    }
}

#[async_trait]
impl Executor for Steps {
    fn supports(&self, function: &FunctionId) -> bool {
        self.inner.supports(function)
    }

    fn operands(&self) -> Operands {
        self.inner.operands()
    }

    fn width(&self) -> usize {
        4
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        let _under_way = Arc::clone(&self.under_way);
        self.begun.fetch_add(1, SeqCst);
        let mut held = self.hold.subscribe();
        // The sender lives as long as this executor.
        held.wait_for(|held| !held).await.unwrap();
        let failing = self.failing.lock().pop_front();
        match failing {
            Some(kind) => Err(Error::new(kind, "as planned")),
            None => self.inner.execute(step).await,
        }
    }
}
