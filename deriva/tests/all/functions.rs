//! Functions and who runs them: what an executor has of its own, and what a running function may ask.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use deriva::authors::async_trait;
use deriva::executors::{Executed, Operand, Operands, Step};
use deriva::prelude::*;
use deriva_testkit::{CountingLayer, Operation};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// Has `own.double/1`, and of another executor all but `text.lower/1` and `slow/1`.
#[derive(Debug)]
struct Partial(Arc<dyn Executor>);

impl Partial {
    fn around(inner: Arc<dyn Executor>) -> Arc<dyn Executor> {
        Arc::new(Self(inner))
    }
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partial({})", self.0)
    }
}

#[async_trait]
impl Executor for Partial {
    fn supports(&self, function: &FunctionId) -> bool {
        match function.name() {
            "own.double" => function.version() == "1",
            "text.lower" | "slow" => false,
            _ => self.0.supports(function),
        }
    }

    fn operands(&self) -> Operands {
        Operands::Held
    }

    fn width(&self) -> usize {
        self.0.width()
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        if step.recipe.name() != "own.double" {
            assert!(self.supports(&step.recipe.function()), "{step:?}");
            return self.0.execute(step).await;
        }
        let [Operand::Held(blob)] = step.inputs.as_slice() else {
            return Err(Error::new(ErrorKind::Invalid, "one input is doubled"));
        };
        let doubled = Operand::Held(Blob::new(blob.bytes().repeat(2)));
        Ok(Executed::new(doubled, Duration::ZERO))
    }
}

async fn partial() -> Deriva {
    let builder = Deriva::builder().store("memory:");
    let builder = builder.executor_layer(Partial::around);
    let slow = |_: &[Bytes], _: &Params| Ok(Bytes::from("slow"));
    builder.function("slow", "1", slow).build().await.unwrap()
}

#[tokio::test]
async fn what_an_executor_has_of_its_own_needs_no_registration() {
    let deriva = partial().await;
    assert!(
        deriva
            .status()
            .await
            .unwrap()
            .executor
            .starts_with("partial(pool(")
    );
    let leaf = deriva.put("ab").await.unwrap();
    let double = |input| deriva.recipe("own.double", "1").input(input).insert();
    let doubled = double(leaf).await.unwrap();
    let upper = deriva.recipe("text.upper", "1").input(doubled);
    let upper = upper.insert().await.unwrap();
    let explained = deriva.explain(upper).await.unwrap();
    assert!(explained.unknown_functions.is_empty(), "{explained:?}");
    assert_eq!(deriva.get(upper).await.unwrap(), "ABAB");

    let other = deriva.recipe("own.double", "2").input(leaf);
    let other = other.insert().await.unwrap();
    let error = deriva.get(other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.context("unknown_functions"), Some("own.double/2"));
}

#[tokio::test]
async fn a_function_that_was_left_out_names_the_feature_that_brings_it() {
    // As built without these two features: the registry of a crate with all has nothing to name.
    let mut functions = FunctionRegistry::new();
    functions.note_feature("compress.zstd", "zstd");
    functions.note_feature("text.grep", "regex");
    let builder = Deriva::builder().store("memory:").functions(functions);
    let deriva = builder.build().await.unwrap();
    let leaf = deriva.put("x").await.unwrap();
    let recipe = |name| deriva.recipe(name, "1").input(leaf).insert();
    let packed = recipe("compress.zstd").await.unwrap();
    let error = deriva.get(packed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.advice(), Some("build with the crate feature `zstd`"));
    let all = [
        packed,
        recipe("text.grep").await.unwrap(),
        recipe("my.own").await.unwrap(),
    ];
    let error = deriva.materialize_many(all).await.unwrap_err();
    let advice = error.advice().unwrap();
    assert!(
        advice.starts_with("build with the crate features `regex`, `zstd`; a program registers"),
        "{advice}"
    );
    let error = deriva.get(all[2]).await.unwrap_err();
    assert!(!error.advice().unwrap().contains("feature"), "{error:#}");

    // What is registered under the name is no longer absent, whoever made it.
    let mut functions = deriva.functions().clone();
    functions
        .register_fn("text.grep", "9", Weight::Light, |_, _| Ok(Bytes::new()))
        .unwrap();
    assert_eq!(functions.absent_feature("text.grep"), None);
    assert_eq!(functions.absent_feature("compress.zstd"), Some("zstd"));
}

#[tokio::test]
async fn what_the_executor_lacks_is_told_before_any_work() {
    let ran = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ran);
    let first = move |_: &[Bytes], _: &Params| {
        seen.store(true, Ordering::SeqCst);
        Ok(Bytes::new())
    };
    let deriva = Deriva::builder()
        .store("memory:")
        .executor_layer(Partial::around)
        .function("first", "1", first)
        .function("slow", "1", |_, _| Ok(Bytes::from("slow")))
        .build()
        .await
        .unwrap();
    let first = deriva.recipe("first", "1").insert().await.unwrap();
    let slow = deriva.recipe("slow", "1").input(first);
    let slow = slow.insert().await.unwrap();
    let explained = deriva.explain(slow).await.unwrap();
    assert_eq!(explained.unknown_functions.len(), 1);
    let error = deriva.get(slow).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(error.context("not_in_executor"), Some("slow/1"));
    assert!(error.advice().is_some());
    assert!(!ran.load(Ordering::SeqCst), "nothing was to be computed");
}

#[tokio::test]
async fn a_light_function_that_the_executor_lacks_runs_however_large_its_input_is() {
    let deriva = partial().await;
    for len in [1, 1 << 20] {
        let leaf = deriva.put("A".repeat(len)).await.unwrap();
        let lower = deriva.recipe("text.lower", "1").input(leaf);
        let lower = lower.insert().await.unwrap();
        assert_eq!(deriva.get(lower).await.unwrap(), "a".repeat(len));
    }
}

#[tokio::test]
async fn functions_are_kept_whether_registered_before_or_after_the_registry() {
    let mut functions = FunctionRegistry::new();
    let answer = |text: &'static str| move |_: &[Bytes], _: &Params| Ok(Bytes::from(text));
    functions
        .register_fn("set", "1", Weight::Light, answer("set"))
        .unwrap();
    let deriva = Deriva::builder()
        .store("memory:")
        .function("before", "1", answer("before"))
        .functions(functions.clone())
        .function("after", "1", answer("after"))
        .build()
        .await
        .unwrap();
    for name in ["before", "set", "after"] {
        let recipe = deriva.recipe(name, "1").insert().await.unwrap();
        assert_eq!(deriva.get(recipe).await.unwrap(), name);
    }
    assert_eq!(
        deriva.functions().len(),
        3,
        "those of the builder are replaced"
    );

    let twice = Deriva::builder().store("memory:");
    let twice = twice.function("set", "1", answer("x")).functions(functions);
    let error = twice.build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(error.context("function"), Some("set/1"));
}

/// A function that runs until its context says that it need not, and tells why it ended.
fn patient() -> (
    impl ComputeFunction,
    mpsc::Receiver<()>,
    mpsc::Receiver<Error>,
) {
    let (began, begins) = mpsc::channel();
    let (ended, ends) = mpsc::channel();
    let run = move |_: &[Bytes], _: &Params, context: &CallContext| {
        began.send(()).unwrap();
        loop {
            if let Err(error) = context.check() {
                ended.send(error.clone()).unwrap();
                return Err(error);
            }
            std::thread::yield_now();
        }
    };
    let id = "patient/1".parse().unwrap();
    (FnFunction::within(id, Weight::Heavy, run), begins, ends)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_whose_request_is_dropped_can_tell_and_frees_its_thread() {
    let (patient, begins, ends) = patient();
    let builder = Deriva::builder().store("memory:").jobs(1);
    let builder = builder.compute(patient);
    let builder = builder.function("next", "1", |_, _| Ok(Bytes::from("next")));
    let deriva = builder.build().await.unwrap();
    let recipe = deriva.recipe("patient", "1").insert().await.unwrap();
    let request = tokio::spawn(deriva.materialize(recipe).into_future());
    let waited = tokio::task::spawn_blocking(move || begins.recv_timeout(LONG));
    waited.await.unwrap().unwrap();
    request.abort();
    let ended = tokio::task::spawn_blocking(move || ends.recv_timeout(LONG));
    let error = ended.await.unwrap().expect("the function is told");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let next = deriva.recipe("next", "1").insert().await.unwrap();
    let got = tokio::time::timeout(LONG, deriva.get(next)).await;
    assert_eq!(got.expect("the thread is free").unwrap(), "next");
}

/// Tells when a thread of the pool looks at it, which is before it calls a function.
#[derive(Debug)]
struct Watched(SystemClock, UnboundedSender<()>);

#[async_trait]
impl Clock for Watched {
    fn now(&self) -> Duration {
        let thread = std::thread::current();
        if thread
            .name()
            .is_some_and(|name| name.starts_with("deriva-compute"))
        {
            self.1.send(()).ok();
        }
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_built_in_function_that_is_given_up_frees_its_thread() {
    let (begin, mut begins) = unbounded_channel();
    let clock = Arc::new(Watched(SystemClock::new(), begin));
    let builder = Deriva::builder().store("memory:").clock(clock).jobs(1);
    let builder = builder.function("next", "1", |_, _| Ok(Bytes::from("next")));
    let deriva = builder.build().await.unwrap();
    // A quarter of an hour of work at the least.
    let burn = deriva.recipe("bench.burn", "1").param("units", 1_000_000);
    let burn = burn.insert().await.unwrap();
    let request = tokio::spawn(deriva.materialize(burn).into_future());
    begins.recv().await.expect("it begins");
    request.abort();
    let next = deriva.recipe("next", "1").insert().await.unwrap();
    let got = tokio::time::timeout(LONG, deriva.get(next)).await;
    assert_eq!(got.expect("the thread is free").unwrap(), "next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_knows_its_deadline() {
    let (patient, _begins, ends) = patient();
    let builder = Deriva::builder().store("memory:").compute(patient);
    let deriva = builder.build().await.unwrap();
    let recipe = deriva.recipe("patient", "1").insert().await.unwrap();
    let request = deriva.materialize(recipe);
    let error = request
        .deadline(Duration::from_millis(50))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let ended = tokio::task::spawn_blocking(move || ends.recv_timeout(LONG));
    let error = ended.await.unwrap().expect("the function is told");
    let kinds = [ErrorKind::Timeout, ErrorKind::Cancelled];
    assert!(kinds.contains(&error.kind()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_function_tells_of_its_progress_is_heard() {
    let told = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&told);
    let run = move |_: &[Bytes], _: &Params, context: &CallContext| {
        for done in 0..100_000 {
            context.progress(done, Some(100_000));
        }
        // Until it was heard, or is given up as it was not.
        while heard.load(Ordering::SeqCst) == 0 {
            context.check()?;
            std::thread::yield_now();
        }
        assert!(context.remaining().is_some());
        Ok(Bytes::from("done"))
    };
    let telling = FnFunction::within("telling/1".parse().unwrap(), Weight::Heavy, run);
    let builder = Deriva::builder().store("memory:").compute(telling);
    let deriva = builder.build().await.unwrap();
    let recipe = deriva.recipe("telling", "1").insert().await.unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let request = deriva
        .materialize(recipe)
        .deadline(LONG)
        .progress(move |event| {
            if let Event::Step { addr, done, of } = event {
                seen.lock().unwrap().push((*addr, *done, *of));
                told.fetch_add(1, Ordering::SeqCst);
            }
        });
    request.await.unwrap();
    let events = events.lock().unwrap();
    assert_eq!(events[0], (recipe, 0, Some(100_000)));
    assert!(events.len() < 10_000, "{} is no flood", events.len());
}

/// The most calls of a function that run at once when a request needs four of them, under a budget.
async fn at_once(memory: u64, output_len: u64, meet: usize) -> usize {
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let run = move |_: &[Bytes], params: &Params| {
        seen.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Others that may begin do meanwhile.
        let mut turns = 0;
        while seen.load(Ordering::SeqCst) < meet && (meet == 4 || turns < 1_000) {
            std::thread::yield_now();
            turns += 1;
        }
        inside.fetch_sub(1, Ordering::SeqCst);
        Ok(vec![params.int("n")?.unwrap_or(0) as u8; 1000].into())
    };
    let grow = FnFunction::new("grow/1".parse().unwrap(), Weight::Heavy, run);
    let grow = grow.makes(move |_, _| output_len);
    let deriva = Deriva::builder()
        .store("memory:")
        .memory(memory)
        .jobs(4)
        .compute(grow)
        .build()
        .await
        .unwrap();
    let mut all = deriva.recipe("bytes.concat", "1");
    for n in 0..4 {
        let grown = deriva.recipe("grow", "1").param("n", n);
        all = all.input(grown.insert().await.unwrap());
    }
    let all = all.insert().await.unwrap();
    assert_eq!(deriva.get(all).await.unwrap().len(), 4000);
    most.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_run_at_once_than_there_is_room_for_what_they_make() {
    assert_eq!(at_once(64 << 20, 60 << 20, 2).await, 1);
    assert_eq!(at_once(64 << 20, u64::MAX, 2).await, 1);
    assert_eq!(at_once(64 << 20, 8 << 20, 4).await, 4);
}

#[tokio::test]
async fn a_slice_of_a_stored_blob_reads_that_range_alone() {
    let counting = CountingLayer::new();
    let counts = counting.counts();
    let builder = Deriva::builder().store("memory:").cache_bytes(0);
    let deriva = builder.blob_layer(counting).build().await.unwrap();
    let leaf: Vec<u8> = (0..1 << 20).map(|i: u32| (i / 3) as u8).collect();
    let blob = deriva.put(leaf.clone()).await.unwrap();
    for (offset, len) in [(500_000, 100), (1 << 20, 5), ((1 << 20) - 3, 5)] {
        counts.reset();
        let slice = deriva.recipe("bytes.slice", "1").input(blob);
        let slice = slice.param("offset", offset).param("len", len);
        let slice = slice.insert().await.unwrap();
        deriva.materialize(slice).await.unwrap();
        assert_eq!(counts.of(Operation::BlobGetRange), 1);
        let whole = counts.of(Operation::BlobGet) + counts.of(Operation::BlobGetMany);
        assert_eq!(whole, 0, "the whole blob is not read");
        let (start, len) = (offset as usize, len as usize);
        let expected = &leaf[start..(start + len).min(leaf.len())];
        assert_eq!(deriva.get(slice).await.unwrap(), expected);
    }
}
