//! What observers are told, and what they can do wrong.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deriva::admin::{Collected, Invalidated, Scrubbed};
use deriva::authors::async_trait;
use deriva::events::{Observer, Reason, Summary};
use deriva::prelude::*;
use futures::FutureExt;
use tokio::sync::Notify;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Diary {
    lines: Mutex<Vec<String>>,
    ended: Notify,
}

impl Diary {
    fn write(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push(line.into());
    }

    fn read(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

impl Observer for Diary {
    fn request_began(&self, addresses: usize) {
        self.write(format!("began {addresses}"));
    }

    fn event(&self, event: &Event) {
        match event {
            Event::Computed { reason, .. } => self.write(format!("computed {reason}")),
            Event::Reused { how, .. } => self.write(format!("reused {how:?}")),
            Event::Healed { .. } => self.write("healed"),
            Event::Failed { .. } => self.write("failed"),
            _ => {}
        }
    }

    fn request_ended(&self, ended: Result<&Summary, &Error>, _: Duration) {
        self.write(match ended {
            Ok(summary) => format!("ended {}", summary.computed),
            Err(error) => format!("ended {:?}", error.kind()),
        });
        self.ended.notify_one();
    }

    fn collected(&self, ended: Result<&Collected, &Error>) {
        self.write(match ended {
            Ok(collected) => format!("collected {}", collected.blobs),
            Err(error) => format!("not collected: {:?}", error.kind()),
        });
    }

    fn scrubbed(&self, ended: Result<&Scrubbed, &Error>) {
        self.write(match ended {
            Ok(scrubbed) => format!("scrubbed {}", scrubbed.blobs),
            Err(error) => format!("not scrubbed: {:?}", error.kind()),
        });
    }

    fn invalidated(&self, ended: Result<&Invalidated, &Error>) {
        self.write(match ended {
            Ok(invalidated) => format!("invalidated {}", invalidated.outputs),
            Err(error) => format!("not invalidated: {:?}", error.kind()),
        });
    }
}

fn shout(inputs: &[Bytes], _: &Params) -> Result<Bytes> {
    match inputs[0].as_ref() {
        b"bad" => Err(Error::new(ErrorKind::Function, "a bad word")),
        word => Ok(word.to_ascii_uppercase().into()),
    }
}

async fn observed(observer: Arc<dyn Observer>) -> Deriva {
    let builder = Deriva::builder().store("memory:").observer(observer);
    builder.function("shout", "1", shout).build().await.unwrap()
}

async fn recipe(deriva: &Deriva, word: &'static str) -> CAddr {
    let leaf = deriva.put(word).await.unwrap();
    let recipe = deriva.recipe("shout", "1").input(leaf);
    recipe.insert().await.unwrap()
}

#[tokio::test]
async fn an_instances_observer_hears_of_every_request_and_a_requests_own_of_that_one() {
    let diary = Arc::new(Diary::default());
    let deriva = observed(diary.clone()).await;
    let (good, bad) = (recipe(&deriva, "good").await, recipe(&deriva, "bad").await);
    let own = Arc::new(Mutex::new(0));
    let heard = Arc::clone(&own);
    let request = deriva.materialize(good);
    let request = request.progress(move |_| *heard.lock().unwrap() += 1);
    request.await.unwrap();
    assert_eq!(diary.read(), ["began 1", "computed new", "ended 1"]);
    let events = *own.lock().unwrap();
    assert!(events >= 3, "planned, computed, progress: {events}");
    deriva.materialize(good).await.unwrap();
    assert_eq!(diary.read(), ["began 1", "reused Recorded", "ended 0"]);
    assert_eq!(*own.lock().unwrap(), events);
    let error = deriva.materialize(bad).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Function);
    assert_eq!(diary.read(), ["began 1", "failed", "ended Function"]);
    let late = deriva
        .materialize_many([good, bad])
        .deadline(Duration::ZERO);
    assert_eq!(late.await.unwrap_err().kind(), ErrorKind::Timeout);
    let told = diary.read();
    // What it came to meanwhile is told, too.
    let ends = (
        told.first().map(String::as_str),
        told.last().map(String::as_str),
    );
    assert_eq!(ends, (Some("began 2"), Some("ended Timeout")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_dropped_ends_too_and_nothing_is_left_of_it() {
    let diary = Arc::new(Diary::default());
    let (started, wait) = (Arc::new(Notify::new()), std::sync::mpsc::channel::<()>());
    let (begun, held) = (Arc::clone(&started), Mutex::new(wait.1));
    let deriva = Deriva::builder()
        .store("memory:")
        .observer(diary.clone())
        .function("wait", "1", move |_, _| {
            begun.notify_one();
            // Until the sender is gone.
            held.lock().unwrap().recv().ok();
            Ok(Bytes::new())
        });
    let deriva = deriva.build().await.unwrap();
    let addr = deriva.recipe("wait", "1").insert().await.unwrap();
    assert_eq!(deriva.snapshot().requests, 0);
    let (handle, request) = (deriva.clone(), deriva.materialize(addr));
    let task = tokio::spawn(async move { request.await });
    tokio::time::timeout(LONG, started.notified())
        .await
        .unwrap();
    let now = handle.snapshot();
    assert_eq!((now.requests, now.flights, now.steps), (1, 1, 1), "{now:?}");
    assert!(
        now.slots_in_use == 1 && now.slots >= 1 && now.leases >= 1,
        "{now:?}"
    );
    task.abort();
    tokio::time::timeout(LONG, diary.ended.notified())
        .await
        .unwrap();
    assert_eq!(diary.read(), ["began 1", "ended Cancelled"]);
    drop(wait.0);
    assert!(handle.given_back(LONG).await.is_zero());
    let now = handle.snapshot();
    let gauges = (
        now.requests,
        now.flights,
        now.steps,
        now.slots_in_use,
        now.slots_wanted,
    );
    assert_eq!(
        (gauges, now.commits, now.leases),
        ((0, 0, 0, 0, 0), 0, 0),
        "{now:?}"
    );
}

#[tokio::test]
async fn upkeep_is_told_when_it_ends_however_it_ends() {
    let diary = Arc::new(Diary::default());
    let deriva = observed(diary.clone()).await;
    let (good, other) = (
        recipe(&deriva, "good").await,
        recipe(&deriva, "other").await,
    );
    for addr in [good, other] {
        deriva.get(addr).await.unwrap();
    }
    deriva.set_root("good", good).await.unwrap();
    diary.read();
    deriva.scrub().await.unwrap();
    deriva.invalidate(good).dry_run().await.unwrap();
    deriva.invalidate(good).await.unwrap();
    deriva.collect().await.unwrap();
    let told = [
        "scrubbed 4",
        "invalidated 1",
        "invalidated 1",
        "collected 1",
    ];
    assert_eq!(diary.read(), told, "what `other` made");
    deriva.scrub().bytes_per_second(0).await.unwrap_err();
    deriva
        .invalidate(CAddr::of_blob(b"nowhere"))
        .await
        .unwrap_err();
    let told = ["not scrubbed: Invalid", "not invalidated: NotFound"];
    assert_eq!(diary.read(), told);
    drop(deriva.collect());
    assert!(diary.read().is_empty(), "what never began is not told");
    let mut collect = Box::pin(deriva.collect().into_future());
    assert!((&mut collect).now_or_never().is_none());
    drop(collect);
    assert_eq!(diary.read(), ["not collected: Cancelled"]);
}

/// Panics whatever it is told.
struct Broken(AtomicUsize);

/// The payload of a panic, whose end panics again.
struct Evil;

impl Drop for Evil {
    fn drop(&mut self) {
        panic!("the end of a payload")
    }
}

impl Broken {
    fn panic(&self) -> ! {
        self.0.fetch_add(1, SeqCst);
        std::panic::panic_any(Evil)
    }
}

impl Observer for Broken {
    fn request_began(&self, _: usize) {
        self.panic()
    }

    fn of_request(&self, _: &[CAddr]) -> Option<Arc<dyn Observer>> {
        self.panic()
    }

    fn event(&self, _: &Event) {
        self.panic()
    }

    fn request_ended(&self, _: Result<&Summary, &Error>, _: Duration) {
        self.panic()
    }

    fn collected(&self, _: Result<&Collected, &Error>) {
        self.panic()
    }
}

#[tokio::test]
async fn an_observer_that_panics_harms_nobody() {
    let broken = Arc::new(Broken(AtomicUsize::new(0)));
    let deriva = observed(broken.clone()).await;
    let addr = recipe(&deriva, "good").await;
    assert_eq!(deriva.get(addr).await.unwrap(), "GOOD");
    let told = broken.0.load(SeqCst);
    assert!(told > 3, "{told}");
    deriva.collect().await.unwrap();
    assert_eq!(broken.0.load(SeqCst), told + 1);
    let addr = recipe(&deriva, "good").await;
    // That of a request alone is the request's own fault.
    let request = deriva.materialize(addr);
    let request = request.progress(|_| panic!("a handler that is broken"));
    assert_eq!(request.await.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(deriva.get(addr).await.unwrap(), "GOOD");
}

#[tokio::test]
async fn a_request_that_a_panic_ended_is_told_as_its_caller_is() {
    let diary = Arc::new(Diary::default());
    let deriva = observed(diary.clone()).await;
    let addr = recipe(&deriva, "good").await;
    let request = deriva.materialize(addr);
    let request = request.progress(|_| panic!("a handler that is broken"));
    assert_eq!(request.await.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(diary.read(), ["began 1", "ended Internal"]);
}

/// Wants no events.
#[derive(Default)]
struct Ends(AtomicUsize);

impl Observer for Ends {
    fn wants_events(&self) -> bool {
        false
    }

    fn event(&self, event: &Event) {
        panic!("{event:?} was told to who wants no events");
    }

    fn request_ended(&self, _: Result<&Summary, &Error>, _: Duration) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[tokio::test]
async fn who_wants_no_events_is_told_none() {
    let ends = Arc::new(Ends::default());
    let deriva = observed(ends.clone()).await;
    let addr = recipe(&deriva, "good").await;
    deriva.get(addr).await.unwrap();
    assert_eq!(ends.0.load(SeqCst), 1);
}

/// Remembers outputs, and answers from there unless a step is to be fresh. Counts what it ran.
#[derive(Debug)]
struct Remembering {
    inner: Arc<dyn Executor>,
    known: Mutex<HashMap<CAddr, Executed>>,
    /// Against its contract it answers fresh steps from memory, too.
    lies: Arc<AtomicBool>,
    ran: Arc<AtomicUsize>,
    fresh: Arc<AtomicUsize>,
}

impl fmt::Display for Remembering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remembering({})", self.inner)
    }
}

#[async_trait]
impl Executor for Remembering {
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
        let addr = step.addr;
        self.fresh.fetch_add(usize::from(step.fresh), SeqCst);
        let known = self.known.lock().unwrap().get(&addr).cloned();
        if let Some(mut known) = known.filter(|_| !step.fresh || self.lies.load(SeqCst)) {
            known.reused = true;
            return Ok(known);
        }
        self.ran.fetch_add(1, SeqCst);
        let executed = self.inner.execute(step).await?;
        self.known.lock().unwrap().insert(addr, executed.clone());
        Ok(executed)
    }
}

#[tokio::test]
async fn what_an_executor_remembers_is_told_as_such_and_a_lost_output_is_computed_fresh() {
    let (diary, store) = (
        Arc::new(Diary::default()),
        deriva_testkit::ModelStore::new(),
    );
    let (ran, fresh) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let lies = Arc::new(AtomicBool::new(false));
    let mut functions = FunctionRegistry::new();
    functions
        .register_fn("shout", "1", Weight::Heavy, shout)
        .unwrap();
    let clock = Arc::new(SystemClock::new());
    let pool = PoolExecutor::new(Arc::new(functions.clone()), clock, 2).unwrap();
    let executor = Remembering {
        inner: Arc::new(pool),
        known: Mutex::default(),
        lies: Arc::clone(&lies),
        ran: Arc::clone(&ran),
        fresh: Arc::clone(&fresh),
    };
    let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) =
        (Arc::new(store.clone()), Arc::new(store.clone()));
    let deriva = Deriva::builder()
        .blobs(blobs)
        .dag(dag)
        .functions(functions)
        .executor(Arc::new(executor))
        .observer(diary.clone())
        .cache_bytes(0)
        .build()
        .await
        .unwrap();
    let addr = recipe(&deriva, "good").await;
    let first = deriva.materialize(addr).await.unwrap().summary;
    assert_eq!((first.computed, first.executor_hits), (1, 0));
    diary.read();

    deriva.invalidate(addr).await.unwrap();
    assert_eq!(diary.read(), ["invalidated 1"]);
    let again = deriva.materialize(addr).await.unwrap().summary;
    assert_eq!((again.computed, again.executor_hits), (0, 1));
    assert_eq!(diary.read(), ["began 1", "reused Executor", "ended 0"]);
    assert_eq!((ran.load(SeqCst), fresh.load(SeqCst)), (1, 0));
    // It is recorded like any other.
    let third = deriva.materialize(addr).await.unwrap().summary;
    assert_eq!((third.reused, third.executor_hits), (1, 0));
    diary.read();

    let output = Blob::new("GOOD").addr();
    BlobStore::remove(&store, &[output]).await.unwrap();
    let healed = deriva.materialize(addr).await.unwrap().summary;
    assert_eq!((healed.computed, healed.healed), (1, 1));
    let lost = format!("computed {}", Reason::Lost);
    assert_eq!(diary.read(), ["began 1", &lost, "healed", "ended 1"]);
    assert_eq!((ran.load(SeqCst), fresh.load(SeqCst)), (2, 1));

    // Whoever had it: the blob is there again.
    lies.store(true, SeqCst);
    BlobStore::remove(&store, &[output]).await.unwrap();
    let healed = deriva.materialize(addr).await.unwrap().summary;
    let counts = (healed.computed, healed.executor_hits, healed.healed);
    assert_eq!(counts, (0, 1, 1));
    let told = ["began 1", "reused Executor", "healed", "ended 0"];
    assert_eq!(diary.read(), told);
    assert_eq!(deriva.get(addr).await.unwrap(), "GOOD");
    let json = |summary: Summary| serde_json::to_value(summary).unwrap();
    assert!(
        json(first).get("executor_hits").is_none(),
        "as it was before there were any"
    );
    assert_eq!(json(again)["executor_hits"], 1);
}

#[tokio::test]
async fn every_run_of_a_check_is_fresh_and_so_is_that_of_an_audit() {
    let (ran, fresh) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let calls = AtomicUsize::new(0);
    let mut functions = FunctionRegistry::new();
    let count = move |_: &[Bytes], _: &Params| Ok(calls.fetch_add(1, SeqCst).to_string().into());
    functions
        .register_fn("shout", "1", Weight::Heavy, shout)
        .unwrap();
    functions
        .register_fn("count", "1", Weight::Heavy, count)
        .unwrap();
    let clock = Arc::new(SystemClock::new());
    let pool = PoolExecutor::new(Arc::new(functions.clone()), clock, 2).unwrap();
    let executor = Remembering {
        inner: Arc::new(pool),
        known: Mutex::default(),
        lies: Arc::default(),
        ran: Arc::clone(&ran),
        fresh: Arc::clone(&fresh),
    };
    let builder = Deriva::builder().store("memory:").functions(functions);
    let builder = builder.executor(Arc::new(executor)).cache_bytes(0);
    let deriva = builder.build().await.unwrap();
    let seen = || (ran.swap(0, SeqCst), fresh.swap(0, SeqCst));
    let addr = recipe(&deriva, "good").await;
    deriva.get(addr).await.unwrap();
    assert_eq!(seen(), (1, 0));
    for perturb in [true, false] {
        for (mode, runs) in [("dual", 2), ("sampled:1", 2), ("quorum:3/4", 3)] {
            deriva.invalidate(addr).await.unwrap();
            let request = deriva.materialize(addr).perturb(perturb);
            let done = request.determinism(mode.parse().unwrap()).await.unwrap();
            assert_eq!((done.summary.checked, done.summary.executor_hits), (1, 0));
            assert_eq!(seen(), (runs, runs), "{mode}");
        }
    }
    deriva.audit().await.unwrap();
    assert_eq!(seen(), (1, 1));
    // What is remembered of a lie agrees with nothing but itself.
    let lie = deriva.recipe("count", "1").insert().await.unwrap();
    deriva.get(lie).await.unwrap();
    assert_eq!(deriva.audit().addr(lie).await.unwrap().violated, 1);
    deriva.release(lie).await.unwrap();
    let checked = deriva.materialize(lie).determinism(Determinism::Dual).await;
    assert_eq!(checked.unwrap_err().kind(), ErrorKind::Nondeterministic);
}
