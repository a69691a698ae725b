//! What the clients of one seed share.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use deriva::executors::{Executed, Executor, InlineExecutor, Operands, Step};
use deriva::functions::{FunctionRegistry, Weight};
use deriva::layers::{BlobLayer, DagLayer};
use deriva::{CAddr, Clock, Cutoff, Deriva, Error, ErrorKind, FunctionId, OnViolation, Result};
use deriva_testkit::{
    FaultLayer, Faults, ManualClock, ModelStore, SplitMix64, YieldLayer, give_way,
};
use futures::future::{Either, select};
use parking_lot::Mutex;

use super::acknowledged::{Left, Undoing};
use super::graph::{FUNCTIONS, Graph};

/// What a planned panic says.
pub(crate) const PLANNED: &str = "a planned panic";
/// Turns of the clock after which a seed is taken to hang.
const TURNS: u64 = 100_000;

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) deriva: Deriva,
    pub(crate) graph: Graph,
    pub(crate) raw: ModelStore,
    pub(crate) faults: Faults,
    pub(crate) clock: ManualClock,
    /// Every request looks for resolved recipes.
    pub(crate) cutoff_forced: bool,
    /// Some requests ask for checks. A function that fails now and then is one that lies.
    pub(crate) checks: bool,
    /// What is found to lie is served, and doubted.
    pub(crate) reports: bool,
    pub(crate) chance: Arc<Chance>,
    /// Those who take away what was acknowledged.
    pub(crate) undoing: Undoing,
    /// Those who set and remove roots.
    pub(crate) rooting: Undoing,
    /// Contents that were removed below the runtime.
    pub(crate) vanished: Mutex<BTreeSet<CAddr>>,
    /// What requests computed that were given up.
    pub(crate) left: Mutex<Vec<Left>>,
    trace: Mutex<Vec<String>>,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let graph = Graph::new(&mut random);
        let (raw, layer, clock) = (ModelStore::new(), FaultLayer::new(), ManualClock::new());
        let yields = YieldLayer::new(random.next_u64(), 1 + random.below(6));
        let chance = Arc::new(Chance::new(random.next_u64()));
        let reports = seed.is_multiple_of(6);
        let cutoff_forced = random.below(2) == 0;
        let functions = functions(&chance);
        let clock_of_executor = Arc::new(clock.clone());
        let executor = Slow {
            inner: InlineExecutor::new(Arc::new(functions.clone()), clock_of_executor),
            clock: clock.clone(),
            chance: Arc::clone(&chance),
            width: 1 + random.below(3) as usize,
            all_resolved: cutoff_forced,
            busy: Mutex::default(),
        };
        let builder = deriva::builder()
            .blobs(BlobLayer::wrap(
                &yields,
                BlobLayer::wrap(&layer, Arc::new(raw.clone())),
            ))
            .dag(DagLayer::wrap(
                &yields,
                DagLayer::wrap(&layer, Arc::new(raw.clone())),
            ))
            .functions(functions)
            .clock(Arc::new(clock.clone()))
            .executor(Arc::new(executor))
            .jobs(1 + random.below(4) as usize)
            .cache_bytes(random.below(2) * (1 << 20))
            // Hardly enough for a value or two, or much more than is needed.
            .memory(1 << [9, 10, 30][random.below(3) as usize])
            .determinism_key([7; 32])
            .on_violation(match reports {
                true => OnViolation::Report,
                false => OnViolation::Fail,
            })
            .cutoff(match cutoff_forced {
                true => Cutoff::Always,
                false => Cutoff::Auto,
            });
        Self {
            seed,
            deriva: builder.build().await.unwrap(),
            graph,
            raw,
            faults: layer.faults(),
            clock,
            cutoff_forced,
            checks: seed.is_multiple_of(3),
            reports,
            chance,
            undoing: Undoing::default(),
            rooting: Undoing::default(),
            vanished: Mutex::default(),
            left: Mutex::default(),
            trace: Mutex::default(),
        }
    }

    /// Whether outputs may be doubted: what rests on such a one is not recorded.
    pub(crate) fn doubts(&self) -> bool {
        self.checks && self.reports
    }

    /// Notes something that happened.
    pub(crate) fn note(&self, what: impl fmt::Display) {
        self.trace.lock().push(what.to_string());
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.trace.lock().clone()
    }

    /// Runs `work` while time goes on.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = T>) -> T {
        let time = async {
            for _ in 0..TURNS {
                self.clock.advance(Duration::from_millis(1));
                give_way(1).await;
            }
        };
        match select(pin!(work), pin!(time)).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => panic!("nothing is done any more"),
        }
    }
}

/// What may go wrong in functions, and how long steps take.
#[derive(Debug)]
pub(crate) struct Chance {
    random: Mutex<SplitMix64>,
    calm: AtomicBool,
    broken: Mutex<Option<String>>,
}

impl Chance {
    fn new(seed: u64) -> Self {
        Self {
            random: Mutex::new(SplitMix64::new(seed)),
            calm: AtomicBool::new(false),
            broken: Mutex::new(None),
        }
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&self) {
        self.calm.store(true, Relaxed);
    }

    /// A promise that the executor saw broken.
    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.lock().clone()
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.lock().below(bound)
    }

    fn call(&self) -> Result<()> {
        match self.below(24) {
            _ if self.calm.load(Relaxed) => Ok(()),
            0 => Err(Error::new(ErrorKind::Function, "a planned failure")),
            1 => panic!("{PLANNED}"),
            _ => Ok(()),
        }
    }
}

fn functions(chance: &Arc<Chance>) -> FunctionRegistry {
    let mut functions = FunctionRegistry::new();
    for (name, light, body) in FUNCTIONS {
        let weight = if light { Weight::Light } else { Weight::Heavy };
        let chance = Arc::clone(chance);
        let call = move |inputs: &[bytes::Bytes], _: &deriva::Params| {
            chance.call()?;
            Ok(body(inputs))
        };
        functions.register_fn(name, "1", weight, call).unwrap();
    }
    functions
}

/// Panics that are planned are not worth a word.
pub(crate) fn silence_planned_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some(PLANNED) {
                before(info);
            }
        }));
    });
}

/// Takes its time before and after each step, and sees to it that nothing is computed twice at a time.
#[derive(Debug)]
struct Slow {
    inner: InlineExecutor,
    clock: ManualClock,
    chance: Arc<Chance>,
    width: usize,
    all_resolved: bool,
    busy: Mutex<BTreeSet<CAddr>>,
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slow({})", self.inner)
    }
}

impl Slow {
    fn begin(&self, step: &Step) -> Busy<'_> {
        let contents: Vec<CAddr> = step.inputs.iter().map(|input| input.stat().addr).collect();
        let resolved = step.recipe.resolve(&contents).unwrap().addr();
        let mut addrs = vec![step.addr];
        if self.all_resolved && resolved != step.addr {
            addrs.push(resolved);
        }
        let mut busy = self.busy.lock();
        for addr in &addrs {
            if !busy.insert(*addr) {
                let what = format!("{addr} is computed twice at a time");
                self.chance.broken.lock().get_or_insert(what);
            }
        }
        Busy { slow: self, addrs }
    }
}

struct Busy<'a> {
    slow: &'a Slow,
    addrs: Vec<CAddr>,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut busy = self.slow.busy.lock();
        busy.retain(|addr| !self.addrs.contains(addr));
    }
}

#[async_trait]
impl Executor for Slow {
    fn supports(&self, function: &FunctionId) -> bool {
        self.inner.supports(function)
    }

    fn operands(&self) -> Operands {
        self.inner.operands()
    }

    fn width(&self) -> usize {
        self.width
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        let _busy = self.begin(&step);
        let late = step.deadline.map(|deadline| self.clock.now() + deadline);
        give_way(self.chance.below(12)).await;
        if late.is_some_and(|late| self.clock.now() >= late) {
            let what = "the step was not done by its deadline";
            return Err(Error::new(ErrorKind::Timeout, what));
        }
        let executed = self.inner.execute(step).await;
        give_way(self.chance.below(12)).await;
        executed
    }
}
