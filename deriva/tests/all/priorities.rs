//! Whose steps run first, and what becomes of those who wait for what another request has.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use crate::common::recipe;
use deriva::authors::async_trait;
use deriva::executors::{Executed, Executor, Operands, PoolExecutor, Step};
use deriva::prelude::*;
use deriva::{Materialize, Materialized, SystemClock};
use deriva_testkit::ManualClock;
use parking_lot::{Condvar, Mutex};
use rstest::rstest;
use tokio::task::JoinHandle;

/// What ran, by the text of the first input, in order. A text that begins with `gate` stays until it is opened.
#[derive(Clone, Default)]
struct Log(Arc<(Mutex<Logged>, Condvar)>);

/// The texts, and whether the gate is open.
type Logged = (Vec<String>, bool);

impl Log {
    fn add(&self, text: &str) {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        state.0.push(text.to_owned());
        while text.starts_with("gate") && !state.1 {
            changed.wait(&mut state);
        }
    }

    fn open(&self) {
        self.0.0.lock().1 = true;
        self.0.1.notify_all();
    }

    fn all(&self) -> Vec<String> {
        self.0.0.lock().0.clone()
    }

    /// How many texts that begin so ran before this one.
    fn before(&self, text: &str, beginning: &str) -> usize {
        let all = self.all();
        let place = all.iter().position(|it| it == text).unwrap();
        all[..place]
            .iter()
            .filter(|it| it.starts_with(beginning))
            .count()
    }

    /// Waits until N ran, or run.
    async fn reach(&self, count: usize) {
        while self.0.0.lock().0.len() < count {
            tokio::task::yield_now().await;
        }
    }
}

/// A handle whose function `log/1` writes down what it is called with; the gate is opened when the test ends,
/// however that is.
struct Works {
    log: Log,
    deriva: Deriva,
}

impl Drop for Works {
    fn drop(&mut self) {
        self.log.open();
    }
}

impl Works {
    async fn open(width: usize) -> Self {
        let log = Log::default();
        let (logged, asking) = (log.clone(), Arc::new(std::sync::OnceLock::<Deriva>::new()));
        let asked = Arc::clone(&asking);
        let deriva = deriva::builder()
            .store("memory:")
            .jobs(width)
            .function("log", "1", move |inputs, _| {
                logged.add(&String::from_utf8_lossy(&inputs[0]));
                Ok(inputs[0].clone())
            })
            .function("copy", "1", |inputs, _| Ok(inputs[0].clone()))
            // Asks for the address that its params name.
            .function("ask", "1", move |_, params| {
                let addr: CAddr = params.text("addr")?.unwrap_or_default().parse()?;
                futures::executor::block_on(asked.get().unwrap().get(addr))
            })
            .build()
            .await
            .unwrap();
        asking.set(deriva.clone()).unwrap();
        Self { log, deriva }
    }

    /// A recipe that writes this down.
    async fn logs(&self, text: &str) -> CAddr {
        let leaf = self.deriva.put(text.to_owned()).await.unwrap();
        recipe(&self.deriva, "log", &[leaf]).await
    }

    async fn many(&self, text: &str, count: usize) -> Vec<CAddr> {
        let mut many = Vec::new();
        for i in 0..count {
            many.push(self.logs(&format!("{text} {i}")).await);
        }
        many
    }

    /// Waits until as many requests wait for slots with this priority, of their own or lent to them, and each for
    /// as many slots.
    async fn wished(&self, priority: i32, requests: usize, slots: usize) {
        let wishes = || {
            let all = self.deriva.wishes().into_iter();
            all.filter(|wish| wish.0 == priority && wish.1 >= slots)
                .count()
        };
        while wishes() < requests {
            tokio::task::yield_now().await;
        }
    }

    fn ask(&self, addrs: &[CAddr], priority: i32) -> Materialize {
        let request = self.deriva.materialize_many(addrs.iter().copied());
        request.priority(priority).cutoff(Cutoff::Never)
    }
}

/// Begins a request, and waits until it is planned: by then it has what nobody had before, and waits for the rest.
async fn planned(request: Materialize) -> JoinHandle<Result<Materialized>> {
    let planned = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&planned);
    let request = request.progress(move |event| {
        if matches!(event, Event::Planned { .. }) {
            told.notify_one();
        }
    });
    let request = tokio::spawn(request.into_future());
    planned.notified().await;
    request
}

/// Lets everything go on that can, where nothing tells that it has.
async fn settle() {
    for _ in 0..5000 {
        tokio::task::yield_now().await;
    }
}

/// A request of a low priority starts a step only where one of a high priority has none to start. Left are the
/// slots that it was given before: at the most as many as there are.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_low_priority_runs_only_where_a_high_one_has_nothing_to_run(
    #[values(1, 4)] width: usize,
    #[values(false, true)] chained: bool,
) {
    let works = Works::open(width).await;
    let mut low = works.many("gate", width).await;
    low.extend(works.many("low", 300).await);
    let mut high = Vec::new();
    match chained {
        false => high = works.many("high", 60 * width).await,
        true => {
            for i in 0..width {
                let mut top = works.logs(&format!("high {i}")).await;
                for _ in 1..60 {
                    top = recipe(&works.deriva, "log", &[top]).await;
                }
                high.push(top);
            }
        }
    }
    let low = planned(works.ask(&low, -100)).await;
    works.log.reach(width).await;
    let high = planned(works.ask(&high, 100)).await;
    works.wished(100, 1, width).await;
    works.log.open();
    high.await.unwrap().unwrap();
    let all = works.log.all();
    let is_high = |text: &String| text.starts_with("high");
    let first = all.iter().position(is_high).unwrap();
    // From where on fewer chains than slots were left: there a low one may run.
    let mut ends = HashMap::new();
    ends.extend(all.iter().enumerate().map(|(place, text)| (text, place)));
    ends.retain(|text, _| is_high(text));
    let ends: BTreeSet<usize> = ends.into_values().collect();
    let last = *ends.iter().nth_back(width - 1).unwrap();
    let between = all[first..last]
        .iter()
        .filter(|text| !is_high(text))
        .count();
    assert!(between <= width, "{between} of the low ones ran between");
    low.await.unwrap().unwrap();
}

/// Steps of equals take turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equals_share() {
    let works = Works::open(1).await;
    let mut one = works.many("gate", 1).await;
    one.extend(works.many("one", 100).await);
    let two = works.many("two", 100).await;
    let one = planned(works.ask(&one, 7)).await;
    works.log.reach(1).await;
    let two = planned(works.ask(&two, 7)).await;
    works.wished(7, 1, 1).await;
    works.log.open();
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    let all = works.log.all();
    let halfway = all[..100]
        .iter()
        .filter(|text| text.starts_with("two"))
        .count();
    assert!((30..=70).contains(&halfway), "{halfway} of 100");
}

/// How many steps of priority 0 stand before one of priority -10.
const CROWD: usize = 2000;

/// What a test of the waits for a claim has: all slots taken by a step that stays; a request of priority -10 that
/// has claimed `wanted`, after steps of its own; and a crowd of priority 0.
struct Inversion {
    works: Works,
    wanted: CAddr,
    holder: JoinHandle<Result<Materialized>>,
    others: Vec<JoinHandle<Result<Materialized>>>,
}

impl Inversion {
    async fn new(works: Works, wanted: CAddr, width: usize) -> Self {
        let gates = works.many("gate", width).await;
        let mut others = vec![planned(works.ask(&gates, i32::MAX)).await];
        works.log.reach(width).await;
        // A path of two goes before one step alone, as far as its request may choose.
        let mut held = Vec::new();
        for addr in works.many("own", 20).await {
            held.push(recipe(&works.deriva, "copy", &[addr]).await);
        }
        held.push(wanted);
        let holder = planned(works.ask(&held, -10)).await;
        let crowd = works.many("crowd", CROWD).await;
        others.push(planned(works.ask(&crowd, 0)).await);
        Self {
            works,
            wanted,
            holder,
            others,
        }
    }

    /// Lets everything go on; answers with the number of others that ran before `wanted`.
    async fn end(self, wanted: &str) -> usize {
        self.works.wished(0, 1, 1).await;
        self.works.log.open();
        self.holder.await.unwrap().unwrap();
        for other in self.others {
            other.await.unwrap().unwrap();
        }
        self.works.log.before(wanted, "crowd")
    }
}

/// Well before the crowd is through, and so before the rest of priority -10.
fn early(before: usize) {
    assert!(
        before < CROWD / 2,
        "{before} of {CROWD} of a lower priority ran before"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_claim_lends_it_priority(#[values(1, 100)] priority: i32) {
    let works = Works::open(1).await;
    let wanted = works.logs("wanted").await;
    let inversion = Inversion::new(works, wanted, 1).await;
    let request = inversion.works.ask(&[inversion.wanted], priority);
    let waiter = planned(request).await;
    inversion.works.wished(priority, 1, 1).await;
    let log = inversion.works.log.clone();
    early(inversion.end("wanted").await);
    assert_eq!(waiter.await.unwrap().unwrap().summary.joined, 1);
    assert_eq!(log.before("wanted", "own"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_equal_waits_for_goes_first_in_the_request_that_has_it() {
    let works = Works::open(1).await;
    let wanted = works.logs("wanted").await;
    let inversion = Inversion::new(works, wanted, 1).await;
    let waiter = planned(inversion.works.ask(&[inversion.wanted], -10)).await;
    settle().await;
    let log = inversion.works.log.clone();
    inversion.end("wanted").await;
    waiter.await.unwrap().unwrap();
    let own = log.before("wanted", "own");
    assert!(own < 10, "{own} of 20 that nobody waits for ran before");
}

/// What is lent reaches what is needed: in the request that has it, and in one that this waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priority_is_lent_on() {
    let works = Works::open(1).await;
    let wanted = works.logs("wanted").await;
    let inversion = Inversion::new(works, wanted, 1).await;
    let works = &inversion.works;
    // Has one more step below what is waited for, and waits for the holder itself.
    let below = works.logs("below").await;
    let pair = recipe(&works.deriva, "bytes.concat", &[wanted, below]).await;
    let middle = recipe(&works.deriva, "log", &[pair]).await;
    let between = planned(works.ask(&[middle], -5)).await;
    let top = recipe(&works.deriva, "log", &[middle]).await;
    let waiter = planned(works.ask(&[top], 100)).await;
    works.wished(100, 2, 1).await;
    let log = works.log.clone();
    early(inversion.end("wanted").await);
    for request in [between, waiter] {
        request.await.unwrap().unwrap();
    }
    early(log.before("below", "crowd"));
    early(log.before("wantedbelow", "crowd"));
}

/// The same work under two names: who waits for a resolved recipe lends to it, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priority_is_lent_to_a_resolved_recipe() {
    let works = Works::open(1).await;
    let leaf = works.deriva.put("wanted").await.unwrap();
    let copied = recipe(&works.deriva, "copy", &[leaf]).await;
    let again = recipe(&works.deriva, "copy", &[copied]).await;
    works.ask(&[again], 0).await.unwrap();
    let one = recipe(&works.deriva, "log", &[copied]).await;
    let other = recipe(&works.deriva, "log", &[again]).await;
    let resolved = |works: &Works, addr, priority| {
        let request = works.deriva.materialize(addr);
        planned(request.priority(priority).cutoff(Cutoff::Always))
    };
    let wanted = works.logs("unimportant").await;
    let inversion = Inversion::new(works, wanted, 1).await;
    let holder = resolved(&inversion.works, one, -10).await;
    inversion.works.wished(-10, 2, 1).await;
    let waiter = resolved(&inversion.works, other, 100).await;
    inversion.works.wished(100, 1, 1).await;
    early(inversion.end("wanted").await);
    holder.await.unwrap().unwrap();
    let done = waiter.await.unwrap().unwrap();
    assert_eq!((done.summary.computed, done.summary.cutoff), (0, 1));
}

/// A function that asks for an address does so with the priority of the request that it runs for; also with what
/// is lent to that while it runs.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priority_is_lent_through_a_function_that_asks(#[values(false, true)] lent: bool) {
    let works = Works::open(2).await;
    let wanted = works.logs("wanted").await;
    let ask = works
        .deriva
        .recipe("ask", "1")
        .param("addr", wanted.to_string());
    let asks = ask.insert().await.unwrap();
    let own = if lent { -10 } else { 100 };
    let mut waiters = Vec::new();
    // It runs before the crowd comes, and waits for the holder; or finds the recipe claimed and not begun.
    let gates = works.many("gate", 1).await;
    let blocker = planned(works.ask(&gates, i32::MAX)).await;
    works.log.reach(1).await;
    let holder = planned(works.ask(&works.many("own", 20).await, -10)).await;
    holder.await.unwrap().unwrap();
    let crowd = works.many("crowd", CROWD).await;
    let gate = works.many("gate of the rest", 1).await;
    let blocker_too = planned(works.ask(&gate, i32::MAX)).await;
    works.log.reach(22).await;
    let holder = planned(works.ask(&[wanted], -10)).await;
    waiters.push(planned(works.ask(&[asks], own)).await);
    let crowd = planned(works.ask(&crowd, 0)).await;
    if lent {
        waiters.push(planned(works.ask(&[asks], 100)).await);
    }
    works.wished(100, 1, 1).await;
    works.wished(0, 1, 1).await;
    works.log.open();
    for request in waiters
        .into_iter()
        .chain([blocker, blocker_too, holder, crowd])
    {
        request.await.unwrap().unwrap();
    }
    early(works.log.before("wanted", "crowd"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loan_ends_when_the_one_who_waits_goes_away() {
    let works = Works::open(1).await;
    let wanted = works.logs("wanted").await;
    let inversion = Inversion::new(works, wanted, 1).await;
    let waiter = planned(inversion.works.ask(&[inversion.wanted], 100)).await;
    inversion.works.wished(100, 1, 1).await;
    waiter.abort();
    assert!(waiter.await.unwrap_err().is_cancelled());
    inversion.works.wished(-10, 1, 1).await;
    let before = inversion.end("wanted").await;
    assert!(
        before > CROWD / 2,
        "after {before} of {CROWD} of a higher priority"
    );
}

/// Writes down how long it may take for each step.
#[derive(Debug)]
struct Deadlines {
    inner: PoolExecutor,
    seen: Mutex<Vec<(CAddr, Option<Duration>)>>,
}

impl fmt::Display for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Executor for Deadlines {
    fn supports(&self, function: &FunctionId) -> bool {
        self.inner.supports(function)
    }

    fn operands(&self) -> Operands {
        self.inner.operands()
    }

    fn width(&self) -> usize {
        self.inner.width()
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        self.seen.lock().push((step.addr, step.deadline));
        self.inner.execute(step).await
    }
}

/// A step is wanted until the latest deadline of those who wait for it. That one of them runs out of time is
/// nothing to the others.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_is_lent(#[values(Some(5), Some(500), None)] lent: Option<u64>) {
    let (log, clock) = (Log::default(), ManualClock::new());
    let logged = log.clone();
    let mut functions = deriva::functions::builtin();
    let call = move |inputs: &[Bytes], _: &Params| {
        logged.add(&String::from_utf8_lossy(&inputs[0]));
        Ok(inputs[0].clone())
    };
    functions
        .register_fn("log", "1", deriva::functions::Weight::Heavy, call)
        .unwrap();
    let pool = PoolExecutor::new(Arc::new(functions.clone()), Arc::new(SystemClock::new()), 1);
    let executor = Arc::new(Deadlines {
        inner: pool.unwrap(),
        seen: Mutex::default(),
    });
    let deriva = deriva::builder()
        .store("memory:")
        .functions(functions)
        .clock(Arc::new(clock.clone()))
        .executor(executor.clone());
    let deriva = deriva.build().await.unwrap();
    let works = Works { log, deriva };
    let gate = works.many("gate", 1).await;
    let blocker = planned(works.ask(&gate, i32::MAX)).await;
    works.log.reach(1).await;
    let wanted = works.logs("wanted").await;
    let seconds = Duration::from_secs;
    let leader = planned(works.ask(&[wanted], 0).deadline(seconds(60))).await;
    let mut waiter = works.ask(&[wanted], 0);
    if let Some(deadline) = lent {
        waiter = waiter.deadline(seconds(deadline));
    }
    let waiter = planned(waiter).await;
    settle().await;
    clock.advance(seconds(10));
    let mut passed = 10;
    let timed_out = lent == Some(5);
    if timed_out {
        // It may have looked at the clock only now.
        while !waiter.is_finished() && passed < 50 {
            settle().await;
            clock.advance(seconds(1));
            passed += 1;
        }
        let error = waiter.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    } else {
        tokio::spawn(async move { waiter.await.unwrap().unwrap() });
    }
    settle().await;
    works.log.open();
    leader.await.unwrap().unwrap();
    blocker.await.unwrap().unwrap();
    let seen = executor.seen.lock().clone();
    let of_wanted: HashSet<_> = seen.iter().filter(|(addr, _)| *addr == wanted).collect();
    let expected = match lent {
        Some(5) => Some(seconds(60 - passed)),
        other => other.map(|deadline| seconds(deadline - passed)),
    };
    assert_eq!(of_wanted, HashSet::from([&(wanted, expected)]));
}
