//! Many clients at once, for a while, over graphs that overlap, while everything that can go wrong does: functions
//! fail and panic, requests are dropped, blobs vanish, and collections run one after the other.
//!
//! `DERIVA_HAMMER_SECONDS` says for how long (default 4; 2 with checks).
//!
//! Executions are counted where functions are called, for each address; where cutoff is forced, for each
//! resolved recipe. Of each:
//!
//! - A call failed as planned, or its result was taken by its request (`Event::Computed`), or its request had
//!   ended before, being dropped or failed by another recipe. Such a request leaves the steps that it had
//!   started and not finished, and these are known: `taken <= calls - failed <= taken + left`.
//! - A result is taken once, and once more for each time that its blob vanished and was healed: `taken - healed
//!   <= 1`. Where cutoff is forced, a blob that vanished may also be made through a recipe that has no output
//!   yet, which is no healing: there each client may once more take what somebody removed. And of two recipes that
//!   do the same work, in a graph that roots keep no more, one may be collected with its output before the other
//!   is computed, for a graph that stands on it: the output under the resolved address goes with the first that is
//!   collected (`deriva-runtime/src/invalidate/forget.rs`). What is taken of such a graph counts apart; of the recipe itself it
//!   still holds.
//!
//! So all executions are distinct addresses, heals, failures, and steps of requests that ended early.
//!
//! All functions are heavy here: light ones tell no start, and are the simulation's subject. Checks run a step more
//! than once and forget what was recorded, so they have a hammer of their own (`hammer/checks.rs`).

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "hammer/checks.rs"]
mod checks;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use conformance::UriFixture;
use deriva::admin::CollectPolicy;
use deriva::events::Event;
use deriva::executors::{Executed, Executor, InlineExecutor, Operands, Step};
use deriva::functions::{FunctionRegistry, Weight};
use deriva::{
    Blob, CAddr, Clock, Cutoff, Deriva, Error, ErrorKind, FunctionId, Materialize, Params, Recipe,
    Result, SystemClock, Value,
};
use deriva_testkit::{SplitMix64, give_way};
use futures::executor::block_on;
use futures::future::{Either, join_all, select};
use parking_lot::Mutex;
use rstest::rstest;

const CLIENTS: u64 = 24;
/// Recipes of a graph.
const RECIPES: usize = 40;
/// Graphs that clients ask for, and graphs that roots keep; older ones are collected.
const ASKED: usize = 3;
const ROOTED: usize = 5;
/// Requests after which there is a new graph.
const REQUESTS: u64 = 120;
/// How long what was given up may take to end.
const GIVEN_BACK: Duration = Duration::from_secs(PATIENCE as u64);
/// Seconds without progress after which the process ends.
const PATIENCE: u32 = 20;

#[rstest]
#[case("memory", "", false)]
#[case("memory", "", true)]
#[case("sled", "?durability=buffered", false)]
#[case("redb", "?durability=buffered", true)]
#[cfg_attr(feature = "rocksdb", case("rocksdb", "?durability=buffered", false))]
fn answers_are_right_and_executions_accounted_for(
    #[case] scheme: &str,
    #[case] options: &str,
    #[case] cutoff_forced: bool,
) {
    silence_planned_panics();
    let fixture = UriFixture::new(scheme, options);
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let hammer = tokio.block_on(Hammer::new(&fixture.uri(), cutoff_forced));
    let hammer = Arc::new(hammer);
    let (stop, watchdog) = watch(&hammer.progress);
    tokio.block_on(hammer.run());
    // R1: what dropped requests left behind ends, and everything is given back.
    let left = tokio.block_on(hammer.deriva.given_back(GIVEN_BACK));
    assert!(left.is_zero(), "not given back: {left:?}");
    drop(tokio);
    stop.send(()).unwrap();
    watchdog.join().unwrap();
    hammer.check();
}

/// What happened to one address, or to one resolved recipe.
#[derive(Debug, Default)]
struct Tally {
    calls: u64,
    failed: u64,
    taken: u64,
    healed: u64,
    /// Taken when roots kept its graph no more, where cutoff is forced.
    late: u64,
    left: u64,
    vanished: u64,
}

struct Hammer {
    deriva: Deriva,
    calls: Arc<Calls>,
    cutoff_forced: bool,
    clock: SystemClock,
    graphs: Mutex<Vec<Arc<Graph>>>,
    /// Held by who adds a graph.
    growing: tokio::sync::Mutex<()>,
    /// Of each request, the steps that it started and did not finish.
    open: Mutex<Vec<Arc<Mutex<HashSet<CAddr>>>>>,
    /// By own address: results taken, and those that healed.
    taken: Mutex<HashMap<CAddr, Tally>>,
    /// The graph of each recipe.
    numbers: Mutex<HashMap<CAddr, usize>>,
    /// By content.
    vanished: Mutex<HashMap<CAddr, u64>>,
    requests: AtomicU64,
    progress: Arc<AtomicU64>,
    over: AtomicBool,
}

struct Graph {
    number: usize,
    leaves: Vec<Blob>,
    recipes: Vec<Recipe>,
    /// What each gives, and what the recipes of the graph before give.
    expected: BTreeMap<CAddr, Blob>,
}

impl Graph {
    /// Some recipes stand on the graph before. Where `alike`, some do the same work as others.
    fn new(number: usize, before: Option<&Self>, alike: bool) -> Self {
        let mut random = SplitMix64::new(number as u64);
        let leaves: Vec<Blob> = (0..4).map(|_| Blob::new(random.bytes(12))).collect();
        let mut expected: BTreeMap<CAddr, Blob> = leaves
            .iter()
            .map(|leaf| (leaf.addr(), leaf.clone()))
            .collect();
        if let Some(before) = before {
            let own = before.recipes[RECIPES / 2..].iter().map(Recipe::addr);
            expected.extend(own.map(|addr| (addr, before.expected[&addr].clone())));
        }
        let mut addrs: Vec<CAddr> = expected.keys().copied().collect();
        let mut recipes = Vec::new();
        while recipes.len() < RECIPES {
            let name = ["hammer.mix", "hammer.sum"][random.below(2) as usize];
            let inputs: Vec<CAddr> = (0..1 + random.below(3))
                .map(|_| addrs[random.below(addrs.len() as u64) as usize])
                .collect();
            let nth = (number * RECIPES + recipes.len()) as i64;
            let n = if alike { number as i64 } else { nth };
            let params: Params = [("n".to_owned(), Value::from(n))].into_iter().collect();
            let recipe =
                Recipe::new(&FunctionId::new(name, "1").unwrap(), &inputs, &params).unwrap();
            if expected.contains_key(&recipe.addr()) {
                continue;
            }
            let values: Vec<Bytes> = inputs
                .iter()
                .map(|input| expected[input].bytes().clone())
                .collect();
            expected.insert(recipe.addr(), Blob::new(compute(name, &values, &params)));
            addrs.push(recipe.addr());
            recipes.push(recipe);
        }
        Self {
            number,
            leaves,
            recipes,
            expected,
        }
    }

    fn root(&self, recipe: &Recipe) -> String {
        format!("{} {}", self.number, recipe.addr())
    }
}

/// The content depends on the params, so that no two recipes that differ in them share a blob.
fn compute(name: &str, inputs: &[Bytes], params: &Params) -> Bytes {
    let sum: u64 = inputs.iter().flatten().map(|byte| u64::from(*byte)).sum();
    match name {
        "hammer.sum" => format!("sum {} {params:?}", sum % 3).into(),
        _ => {
            let all = inputs.concat();
            let addr = CAddr::of_blob(&all);
            format!("mix {addr} {params:?}").into()
        }
    }
}

impl Hammer {
    async fn new(uri: &str, cutoff_forced: bool) -> Self {
        let calls = Arc::new(Calls {
            by_resolved: cutoff_forced,
            ..Calls::default()
        });
        let mut functions = FunctionRegistry::new();
        for name in ["hammer.mix", "hammer.sum"] {
            let body = move |inputs: &[Bytes], params: &Params| match PLAN.replace(Plan::Work) {
                Plan::Work => Ok(compute(name, inputs, params)),
                Plan::Fail => Err(Error::new(ErrorKind::Function, "a planned failure")),
                Plan::Panic => panic!("{PLANNED}"),
            };
            functions
                .register_fn(name, "1", Weight::Heavy, body)
                .unwrap();
        }
        let clock = Arc::new(SystemClock::new());
        let executor = Counted {
            inner: Arc::new(InlineExecutor::new(Arc::new(functions.clone()), clock)),
            calls: Arc::clone(&calls),
        };
        let builder = deriva::builder()
            .store(uri)
            .functions(functions)
            .executor(Arc::new(executor))
            .jobs(4)
            .cutoff(if cutoff_forced {
                Cutoff::Always
            } else {
                Cutoff::Never
            });
        Self {
            deriva: builder.build().await.unwrap(),
            calls,
            cutoff_forced,
            clock: SystemClock::new(),
            graphs: Mutex::default(),
            growing: tokio::sync::Mutex::default(),
            open: Mutex::default(),
            taken: Mutex::default(),
            numbers: Mutex::default(),
            vanished: Mutex::default(),
            requests: AtomicU64::new(0),
            progress: Arc::default(),
            over: AtomicBool::new(false),
        }
    }

    async fn run(self: &Arc<Self>) {
        self.next_graph().await;
        let collector = tokio::spawn(Arc::clone(self).collect());
        let clients = (0..CLIENTS).map(|id| tokio::spawn(Arc::clone(self).client(id)));
        for ended in join_all(clients.collect::<Vec<_>>()).await {
            ended.unwrap();
        }
        self.over.store(true, Relaxed);
        collector.await.unwrap();
        // Nothing goes wrong any more: all that is rooted is there, and right.
        self.calls.calm.store(true, Relaxed);
        let graphs = self.graphs.lock().clone();
        for graph in graphs.iter().rev().take(ASKED) {
            for recipe in &graph.recipes {
                let addr = recipe.addr();
                let request = self.heard(self.deriva.materialize(addr)).await.unwrap();
                assert_eq!(
                    request.results[0].as_ref().unwrap(),
                    &graph.expected[&addr].stat()
                );
                let got = self.deriva.get(addr).await.unwrap();
                assert_eq!(&got, graph.expected[&addr].bytes());
            }
        }
    }

    /// A request whose steps are accounted for.
    fn heard(self: &Arc<Self>, request: Materialize) -> Materialize {
        let steps = Arc::new(Mutex::new(HashSet::new()));
        // A request that was dropped may be heard a little longer, so this is looked at in the end.
        self.open.lock().push(Arc::clone(&steps));
        let hammer = Arc::clone(self);
        request.progress(move |event| hammer.hear(event, &mut steps.lock()))
    }

    fn is_time_up(&self) -> bool {
        self.clock.now() >= seconds(4)
    }

    async fn client(self: Arc<Self>, id: u64) {
        let mut random = SplitMix64::new(id);
        while !self.is_time_up() {
            if self.requests.fetch_add(1, Relaxed) % REQUESTS == REQUESTS - 1 {
                self.next_graph().await;
            }
            self.request(&mut random).await;
            self.progress.fetch_add(1, Relaxed);
        }
    }

    /// A graph more to ask for, and one fewer that is kept.
    async fn next_graph(&self) {
        let _alone = self.growing.lock().await;
        let graph = {
            let graphs = self.graphs.lock();
            let before = graphs.last().map(|graph| &**graph);
            Arc::new(Graph::new(graphs.len(), before, self.cutoff_forced))
        };
        let numbers = graph
            .recipes
            .iter()
            .map(|recipe| (recipe.addr(), graph.number));
        self.numbers.lock().extend(numbers);
        let lease = self.deriva.lease();
        lease.protect_many(graph.expected.keys().copied()).await;
        self.deriva.put_many(&graph.leaves).await.unwrap();
        self.deriva.insert(&graph.recipes).await.unwrap();
        for recipe in &graph.recipes {
            self.deriva
                .set_root(&graph.root(recipe), recipe.addr())
                .await
                .unwrap();
        }
        let old = {
            let mut graphs = self.graphs.lock();
            graphs.push(graph);
            let old = graphs.len().checked_sub(ROOTED + 1);
            old.map(|at| Arc::clone(&graphs[at]))
        };
        let Some(old) = old else { return };
        for recipe in &old.recipes {
            self.deriva.remove_root(&old.root(recipe)).await.unwrap();
        }
    }

    async fn request(self: &Arc<Self>, random: &mut SplitMix64) {
        let graph = {
            let graphs = self.graphs.lock();
            let back = random.below(ASKED as u64) as usize;
            graphs[graphs.len().saturating_sub(1 + back)].clone()
        };
        let addr = graph.recipes[random.below(RECIPES as u64) as usize].addr();
        let lease = self.deriva.lease();
        lease.protect(addr).await;
        // Not that one which roots keep no more.
        if graph.number + ROOTED <= self.graphs.lock().len() {
            return;
        }
        if random.below(8) == 0 {
            return self.vanish(addr).await;
        }
        let request = self
            .deriva
            .materialize(addr)
            .jobs(1 + random.below(4) as usize);
        let request = match random.below(3) {
            0 => request.keep_going(),
            _ => request,
        };
        let request = self.heard(request);
        let patience = match random.below(4) {
            0 => random.below(400),
            _ => u64::MAX,
        };
        let ended = match select(pin!(request.into_future()), pin!(give_way(patience))).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        };
        let ended = ended.map(|done| done.and_then(|mut done| done.results.swap_remove(0)));
        match ended {
            Some(Ok(stat)) => assert_eq!(stat, graph.expected[&addr].stat(), "{addr}"),
            Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Function, "{error:?}"),
            None => {}
        }
    }

    fn hear(&self, event: &Event, open: &mut HashSet<CAddr>) {
        self.progress.fetch_add(1, Relaxed);
        match event {
            Event::Started { addr, .. } => drop(open.insert(*addr)),
            Event::Computed { addr, .. } => {
                open.remove(addr);
                let number = self.numbers.lock()[addr];
                let is_late = self.cutoff_forced && number + ROOTED < self.graphs.lock().len();
                let mut taken = self.taken.lock();
                let tally = taken.entry(*addr).or_default();
                tally.taken += 1;
                tally.late += u64::from(is_late);
            }
            Event::Healed { addr } => self.taken.lock().entry(*addr).or_default().healed += 1,
            Event::Failed { addr, .. } => drop(open.remove(addr)),
            _ => {}
        }
    }

    async fn vanish(&self, addr: CAddr) {
        let outputs = self.deriva.dag().outputs(&[addr]).await.unwrap();
        for output in outputs.into_iter().flatten() {
            *self.vanished.lock().entry(output.addr).or_default() += 1;
            self.deriva.blobs().remove(&[output.addr]).await.unwrap();
        }
    }

    async fn collect(self: Arc<Self>) {
        while !self.over.load(Relaxed) {
            let policy = CollectPolicy::default().unreferenced_blobs(true);
            self.deriva.collect().policy(policy).await.unwrap();
            self.progress.fetch_add(1, Relaxed);
            give_way(20).await;
        }
    }

    /// How often more a result may be taken as its blob was removed, beside heals.
    fn removed(&self, tally: &Tally) -> u64 {
        if self.cutoff_forced {
            tally.vanished * CLIENTS
        } else {
            0
        }
    }

    /// The accounts.
    fn check(&self) {
        let mut all: HashMap<CAddr, Tally> = HashMap::new();
        let counted = self.calls.counted.lock();
        for (key, counted) in counted.iter() {
            let tally = all.entry(*key).or_default();
            (tally.calls, tally.failed) = (counted.calls, counted.failed);
            let vanished = self.vanished.lock();
            tally.vanished = counted
                .content
                .map_or(0, |at| vanished.get(&at).copied().unwrap_or(0));
        }
        let keys = self.calls.keys.lock();
        for open in self.open.lock().iter() {
            // A step that was given up before it began has no key, and no call.
            for key in open.lock().iter().filter_map(|addr| keys.get(addr)) {
                all.entry(*key).or_default().left += 1;
            }
        }
        for (addr, heard) in self.taken.lock().iter() {
            let tally = all.entry(keys[addr]).or_default();
            tally.taken += heard.taken;
            tally.healed += heard.healed;
            tally.late += heard.late;
        }
        // What is late excuses one that does the same work. A recipe itself is collected when nobody can need it any
        // more, so that none is taken twice.
        for (addr, heard) in self.taken.lock().iter() {
            let removed = self.removed(&all[&keys[addr]]);
            assert!(
                heard.taken <= 1 + removed + heard.healed,
                "{addr} itself was computed again: {heard:?}"
            );
        }
        let (mut calls, mut failed, mut taken, mut healed, mut left) = (0, 0, 0, 0, 0);
        for (key, tally) in &all {
            let worked = tally.calls - tally.failed;
            assert!(
                tally.taken <= worked,
                "{key} was taken, not computed: {tally:?}"
            );
            assert!(
                worked <= tally.taken + tally.left,
                "{key} was computed for nobody: {tally:?}"
            );
            assert!(
                tally.taken <= 1 + self.removed(tally) + tally.healed + tally.late,
                "{key} was computed again: {tally:?}"
            );
            calls += tally.calls;
            failed += tally.failed;
            taken += tally.taken;
            healed += tally.healed;
            left += worked - tally.taken;
        }
        eprintln!(
            "{calls} executions of {} distinct: {taken} taken, of which {healed} heal; {failed} failed; \
             {left} of requests that ended early",
            all.len()
        );
        assert!(
            healed > 0 && failed > 0 && all.len() > RECIPES,
            "nothing went wrong"
        );
    }
}

/// What was called, and how it ended.
#[derive(Debug, Default)]
struct Calls {
    by_resolved: bool,
    counted: Mutex<HashMap<CAddr, Count>>,
    /// Under which address a recipe is counted.
    keys: Mutex<HashMap<CAddr, CAddr>>,
    calm: AtomicBool,
}

/// Of one address or resolved recipe.
#[derive(Debug, Default)]
struct Count {
    calls: u64,
    failed: u64,
    content: Option<CAddr>,
}

thread_local! {
    /// What is to happen to the next call on this thread.
    static PLAN: Cell<Plan> = const { Cell::new(Plan::Work) };
}

#[derive(Clone, Copy)]
enum Plan {
    Work,
    Fail,
    Panic,
}

/// What a planned panic says.
const PLANNED: &str = "a planned panic";

fn silence_planned_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(PLANNED) {
            before(info);
        }
    }));
}

/// Runs steps on threads that may block, and counts them.
#[derive(Debug)]
struct Counted {
    inner: Arc<InlineExecutor>,
    calls: Arc<Calls>,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counted({})", self.inner)
    }
}

impl Calls {
    /// Counts a call; tells how it is to end, by its address and how many there were before.
    fn begin(&self, key: CAddr, own: CAddr) -> Plan {
        self.keys.lock().insert(own, key);
        let mut counted = self.counted.lock();
        let count = counted.entry(key).or_default();
        count.calls += 1;
        let seed = u64::from_le_bytes(key.as_bytes()[..8].try_into().unwrap());
        match SplitMix64::new(seed ^ count.calls).below(24) {
            _ if self.calm.load(Relaxed) => Plan::Work,
            0 => Plan::Fail,
            1 => Plan::Panic,
            _ => Plan::Work,
        }
    }

    fn end(&self, key: CAddr, done: &Result<Executed>) {
        let mut counted = self.counted.lock();
        let count = counted.entry(key).or_default();
        match done {
            Ok(done) => count.content = Some(done.output.stat().addr),
            Err(_) => count.failed += 1,
        }
    }
}

#[async_trait]
impl Executor for Counted {
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
        let contents: Vec<CAddr> = step.inputs.iter().map(|input| input.stat().addr).collect();
        let key = match self.calls.by_resolved {
            true => step.recipe.resolve(&contents)?.addr(),
            false => step.addr,
        };
        let (inner, calls) = (Arc::clone(&self.inner), Arc::clone(&self.calls));
        let work = move || {
            PLAN.set(calls.begin(key, step.addr));
            let done = block_on(inner.execute(step));
            calls.end(key, &done);
            done
        };
        tokio::task::spawn_blocking(work).await.unwrap()
    }
}

/// For how long to go on.
fn seconds(default: u64) -> Duration {
    let seconds = std::env::var("DERIVA_HAMMER_SECONDS").map(|text| text.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(default))
}

/// Ends the process where nothing goes on.
fn watch(progress: &Arc<AtomicU64>) -> (mpsc::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = mpsc::channel();
    let progress = Arc::clone(progress);
    let thread = std::thread::spawn(move || {
        let (mut last, mut still) = (0, 0);
        while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            let progress = progress.load(Relaxed);
            still = if progress == last { still + 1 } else { 0 };
            last = progress;
            if still == PATIENCE {
                eprintln!("nothing is done any more after {progress} steps");
                std::process::abort();
            }
        }
    });
    (stop, thread)
}
