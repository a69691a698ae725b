//! Every number that a user can set, at the ends of its range and beyond: it works, or it is `Invalid`, with the
//! range, when that is built for which it was set. `docs/reference/settings.md` lists them.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use deriva::SystemClock;
use deriva::admin::CollectPolicy;
use deriva::authors::async_trait;
use deriva::events::Timeline;
use deriva::executors::{Executed, Executor, InlineExecutor, Operands, PoolExecutor, Step};
use deriva::layers::BlobLayer;
use deriva::prelude::*;
use deriva::stores::StoreUri;
use deriva_testkit::{FaultLayer, ManualClock, ModelStore, Operation};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(240);
/// The range of jobs.
const JOBS: &str = "1 to 1024";

/// Does `work` on a runtime of its own, and fails where it does not end.
fn ends<F: Future>(what: impl fmt::Debug, work: impl FnOnce() -> F + Send + 'static) -> F::Output
where
    F::Output: Send + 'static,
{
    let (sender, done) = mpsc::channel();
    thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let tokio = builder.worker_threads(2).enable_all().build().unwrap();
        let ended = tokio.block_on(work());
        tokio.shutdown_background();
        sender.send(ended)
    });
    done.recv_timeout(LONG).unwrap_or_else(|error| match error {
        RecvTimeoutError::Timeout => panic!("{what:?} does not end"),
        RecvTimeoutError::Disconnected => panic!("{what:?} panicked"),
    })
}

/// What a setting is to do.
#[derive(Clone, Copy, Debug)]
enum Then {
    Works,
    /// It is refused, with this range.
    Invalid(&'static str),
}
use Then::{Invalid, Works};

impl Then {
    fn check<T>(self, what: impl fmt::Debug, result: Result<T>) {
        match (self, result) {
            (Works, Ok(_)) => {}
            (Works, Err(error)) => panic!("{what:?}: {error:?}"),
            (Invalid(range), Ok(_)) => panic!("{what:?} is not refused: {range}"),
            (Invalid(range), Err(error)) => {
                let told = (error.kind(), error.context("range"));
                assert_eq!(told, (ErrorKind::Invalid, Some(range)), "{what:?}: {error}");
                assert!(error.context("given").is_some(), "{what:?}: {error}");
            }
        }
    }
}

/// Eighty steps, light and heavy, with values of some KiB, and one over them all.
async fn graph(deriva: &Deriva) -> Result<CAddr> {
    let mut tops = Vec::new();
    for n in 0..20_u8 {
        let leaf = deriva.put(vec![b'a' + n; 3000]).await?;
        let mut addr = leaf;
        for name in [
            "text.upper",
            "compress.gzip",
            "compress.gunzip",
            "text.lower",
        ] {
            addr = deriva.recipe(name, "1").input(addr).insert().await?;
        }
        tops.extend([leaf, addr]);
    }
    deriva
        .recipe("bytes.concat", "1")
        .inputs(tops)
        .insert()
        .await
}

fn expected() -> Vec<u8> {
    (0..20_u8).flat_map(|n| vec![b'a' + n; 6000]).collect()
}

/// A small materialization, to its end.
async fn materializes(builder: DerivaBuilder) -> Result<()> {
    let deriva = builder.build().await?;
    let top = graph(&deriva).await?;
    for _ in 0..2 {
        assert_eq!(deriva.get(top).await?, expected());
    }
    Ok(())
}

fn memory() -> DerivaBuilder {
    Deriva::builder().store("memory:")
}

#[test]
fn of_the_builder() {
    type Set = fn(DerivaBuilder, u64) -> DerivaBuilder;
    let budget: Set = |builder, bytes| builder.memory(bytes);
    let nothing_kept: Set =
        |builder, bytes| builder.memory(bytes).store_results(StoreResults::None);
    let cache: Set = |builder, bytes| builder.cache_bytes(bytes);
    let jobs: Set = |builder, jobs| builder.jobs(jobs as usize);
    let mut cases: Vec<(&str, Set, u64, Then)> = Vec::new();
    for bytes in [0, 1, 7, 8, 4096, u64::MAX] {
        cases.push(("memory", budget, bytes, Works));
        cases.push(("memory, no results", nothing_kept, bytes, Works));
    }
    for bytes in [0, 1, 4096, u64::MAX] {
        cases.push(("cache_bytes", cache, bytes, Works));
    }
    for (number, then) in [
        (0, Invalid(JOBS)),
        (1, Works),
        (1024, Works),
        (1025, Invalid(JOBS)),
        (u64::MAX, Invalid(JOBS)),
    ] {
        cases.push(("jobs", jobs, number, then));
    }
    for (name, set, number, then) in cases {
        let made = ends((name, number), move || materializes(set(memory(), number)));
        then.check((name, number), made);
    }
}

#[test]
fn of_a_request() {
    type Set = fn(deriva::Materialize) -> deriva::Materialize;
    let worth = |per_mib| StoreResults::Worth { per_mib };
    static WORTH: LazyLock<[StoreResults; 3]> = LazyLock::new(|| {
        [Duration::ZERO, Duration::from_nanos(1), Duration::MAX]
            .map(|per_mib| StoreResults::Worth { per_mib })
    });
    assert_eq!(WORTH[2], worth(Duration::MAX));
    let cases: [(&str, Set, Then); 14] = [
        ("jobs 0", |it| it.jobs(0), Invalid(JOBS)),
        ("jobs 1", |it| it.jobs(1), Works),
        ("jobs 1024", |it| it.jobs(1024), Works),
        ("jobs 1025", |it| it.jobs(1025), Invalid(JOBS)),
        ("jobs beyond", |it| it.jobs(usize::MAX), Invalid(JOBS)),
        ("priority, least", |it| it.priority(i32::MIN), Works),
        ("priority, most", |it| it.priority(i32::MAX), Works),
        ("a long deadline", |it| it.deadline(Duration::MAX), Works),
        ("worth 0", |it| it.store_results(WORTH[0]), Works),
        ("worth 1", |it| it.store_results(WORTH[1]), Works),
        ("worth most", |it| it.store_results(WORTH[2]), Works),
        (
            "timeline 0",
            |it| it.timeline(Timeline::with_limit(0)),
            Works,
        ),
        (
            "timeline 1",
            |it| it.timeline(Timeline::with_limit(1)),
            Works,
        ),
        (
            "timeline most",
            |it| it.timeline(Timeline::with_limit(usize::MAX)),
            Works,
        ),
    ];
    for (name, set, then) in cases {
        let made = ends(name, move || async move {
            let deriva = memory().build().await?;
            let top = graph(&deriva).await?;
            set(deriva.materialize(top)).await?.results[0].clone()
        });
        then.check(name, made.map(|stat| assert_eq!(stat.len, 120_000)));
    }
    for deadline in [Duration::ZERO, Duration::from_nanos(1)] {
        let made = ends(deadline, move || async move {
            let hanging = FaultLayer::new();
            hanging.faults().hang(Operation::DagRecord);
            let deriva = memory().layer(hanging).build().await?;
            let top = graph(&deriva).await?;
            deriva.materialize(top).deadline(deadline).await
        });
        assert_eq!(made.unwrap_err().kind(), ErrorKind::Timeout);
    }
}

#[test]
fn of_executors() {
    let functions = || Arc::new(deriva::functions::builtin());
    let clock = || Arc::new(SystemClock::new());
    for (threads, then) in [
        (0, Works),
        (1, Works),
        (1024, Works),
        (1025, Invalid("0 to 1024")),
        (usize::MAX, Invalid("0 to 1024")),
    ] {
        let pool = ends(threads, move || async move {
            PoolExecutor::new(functions(), clock(), threads).map(drop)
        });
        then.check(threads, pool);
    }
    for width in [0, 1, usize::MAX] {
        let made = ends(width, move || {
            let inline = InlineExecutor::new(functions(), clock());
            materializes(memory().executor(Arc::new(Wide(inline, width))))
        });
        Works.check(width, made);
    }
}

/// Says that it is so wide.
#[derive(Debug)]
struct Wide(InlineExecutor, usize);

impl fmt::Display for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wide")
    }
}

#[async_trait]
impl Executor for Wide {
    fn supports(&self, function: &FunctionId) -> bool {
        self.0.supports(function)
    }

    fn operands(&self) -> Operands {
        self.0.operands()
    }

    fn width(&self) -> usize {
        self.1
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        self.0.execute(step).await
    }
}

#[test]
fn of_layers() {
    type Wrap = fn(DerivaBuilder) -> DerivaBuilder;
    fn tiered(set: fn(TieredLayer) -> TieredLayer) -> Result<TieredLayer> {
        let memory: StoreUri = "memory:".parse()?;
        let opened = futures::executor::block_on(deriva::stores::builtin().open(&memory));
        Ok(set(TieredLayer::new(opened?)))
    }
    let cases: [(&str, Wrap); 17] = [
        ("limit 0", |it| it.layer(LimitLayer::new(0))),
        ("limit 1", |it| it.layer(LimitLayer::new(1))),
        ("limit most", |it| it.layer(LimitLayer::new(usize::MAX))),
        ("timeout 0", |it| {
            it.layer(TimeoutLayer::new(Duration::ZERO))
        }),
        ("timeout most", |it| {
            it.layer(TimeoutLayer::new(Duration::MAX))
        }),
        ("attempts 0", |it| it.layer(RetryLayer::new().attempts(0))),
        ("attempts 1", |it| it.layer(RetryLayer::new().attempts(1))),
        ("attempts most", |it| {
            it.layer(RetryLayer::new().attempts(usize::MAX))
        }),
        ("max_blob 0", |it| {
            it.layer(tiered(|it| it.max_blob(0)).unwrap())
        }),
        ("max_blob 1", |it| {
            it.layer(tiered(|it| it.max_blob(1)).unwrap())
        }),
        ("max_blob most", |it| {
            it.layer(tiered(|it| it.max_blob(u64::MAX)).unwrap())
        }),
        ("capacity 0", |it| {
            it.layer(tiered(|it| it.capacity(0)).unwrap())
        }),
        ("capacity 1", |it| {
            it.layer(tiered(|it| it.capacity(1)).unwrap())
        }),
        ("capacity most", |it| {
            it.layer(tiered(|it| it.capacity(u64::MAX)).unwrap())
        }),
        ("max_nodes 0", |it| {
            it.layer(tiered(|it| it.max_nodes(0)).unwrap())
        }),
        ("max_nodes 1", |it| {
            it.layer(tiered(|it| it.max_nodes(1)).unwrap())
        }),
        ("max_nodes most", |it| {
            it.layer(tiered(|it| it.max_nodes(u64::MAX)).unwrap())
        }),
    ];
    for (name, wrap) in cases {
        let made = ends(name, move || materializes(wrap(memory())));
        Works.check(name, made);
    }
}

/// A store that hangs runs out of time at once, and of a time without end it does not.
#[tokio::test]
async fn of_a_timeout_where_there_is_something_to_wait_for() {
    let store = |limit| {
        let (faults, clock) = (FaultLayer::new(), ManualClock::new());
        let slow = Duration::from_secs(1 << 40);
        faults
            .faults()
            .delay(Operation::BlobStat, slow, Arc::new(clock.clone()));
        let timeout = TimeoutLayer::new(limit).clock(Arc::new(clock.clone()));
        let slow = BlobLayer::wrap(&faults, Arc::new(ModelStore::new()));
        (BlobLayer::wrap(&timeout, slow), clock)
    };
    for (limit, ended) in [
        (Duration::ZERO, Some(ErrorKind::Timeout)),
        (Duration::from_nanos(1), Some(ErrorKind::Timeout)),
        (Duration::MAX, None),
    ] {
        let (store, clock) = store(limit);
        let stat = clock.skip_through(store.stat(&[CAddr::MIN])).await;
        assert_eq!(stat.err().map(|error| error.kind()), ended, "{limit:?}");
    }
}

/// Calls with a transient failure are made again as often as was said, whatever the delays are.
#[tokio::test]
async fn of_a_retry_where_there_is_something_to_repeat() {
    let delays = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];
    let factors = [
        f32::NAN,
        f32::NEG_INFINITY,
        -1.0,
        0.0,
        1.0,
        f32::MAX,
        f32::INFINITY,
    ];
    for (first, most) in delays
        .into_iter()
        .flat_map(|first| delays.map(|most| (first, most)))
    {
        for factor in factors {
            for jitter in [None, Some(0), Some(u64::MAX)] {
                let (faults, clock) = (FaultLayer::new(), ManualClock::new());
                let layer = RetryLayer::new().attempts(4).factor(factor);
                let layer = layer.first_delay(first).max_delay(most);
                let layer = layer.clock(Arc::new(clock.clone()));
                let layer = match jitter {
                    None => layer.without_jitter(),
                    Some(seed) => layer.jitter(seed),
                };
                faults
                    .faults()
                    .fail_all(Operation::BlobStat, ErrorKind::Unavailable);
                let store = BlobLayer::wrap(&faults, Arc::new(ModelStore::new()));
                let store = BlobLayer::wrap(&layer, store);
                let stat = clock.skip_through(store.stat(&[CAddr::MIN])).await;
                assert_eq!(stat.unwrap_err().kind(), ErrorKind::Unavailable);
                assert_eq!(
                    faults.faults().injected(),
                    4,
                    "{first:?} {most:?} {factor} {jitter:?}"
                );
            }
        }
    }
}

#[test]
fn of_upkeep() {
    type Work = fn(Deriva) -> futures::future::BoxFuture<'static, Result<()>>;
    macro_rules! work {
        ($deriva:ident => $work:expr) => {
            |$deriva| Box::pin(async move { $work.await.map(drop) })
        };
    }
    let cases: [(&str, Work, Then); 25] = [
        (
            "rate 0",
            work!(it => it.scrub().bytes_per_second(0)),
            Invalid("1 to 18446744073709551615"),
        ),
        (
            "rate 1",
            work!(it => async move {
                let first = it.scrub().bytes_per_second(1).limit_bytes(0);
                tokio::time::timeout(Duration::from_millis(50), first.into_future()).await.unwrap_or(Ok(Default::default()))
            }),
            Works,
        ),
        (
            "rate most",
            work!(it => it.scrub().bytes_per_second(u64::MAX)),
            Works,
        ),
        (
            "limit_bytes 0",
            work!(it => it.scrub().limit_bytes(0)),
            Works,
        ),
        (
            "limit_bytes 1",
            work!(it => it.scrub().limit_bytes(1)),
            Works,
        ),
        (
            "limit_bytes most",
            work!(it => it.scrub().limit_bytes(u64::MAX)),
            Works,
        ),
        (
            "limit_time 0",
            work!(it => it.scrub().limit_time(Duration::ZERO)),
            Works,
        ),
        (
            "limit_time most",
            work!(it => it.scrub().limit_time(Duration::MAX)),
            Works,
        ),
        (
            "quota 0",
            work!(it => it.collect().policy(CollectPolicy::default().derived_bytes_at_most(0))),
            Works,
        ),
        (
            "quota 1",
            work!(it => it.collect().policy(CollectPolicy::default().derived_bytes_at_most(1))),
            Works,
        ),
        (
            "quota most",
            work!(it => it.collect().policy(CollectPolicy::default().derived_bytes_at_most(u64::MAX))),
            Works,
        ),
        (
            "age 0",
            work!(it => it.collect().policy(CollectPolicy::default().older_than(Duration::ZERO))),
            Works,
        ),
        (
            "age 1",
            work!(it => it.collect().policy(CollectPolicy::default().older_than(Duration::from_nanos(1)))),
            Works,
        ),
        (
            "age most",
            work!(it => it.collect().policy(CollectPolicy::default().older_than(Duration::MAX))),
            Works,
        ),
        (
            "differences 0",
            work!(it => it.diff_up_to(CAddr::MIN, CAddr::of_blob(b"x"), 0)),
            Works,
        ),
        (
            "differences 1",
            work!(it => it.diff_up_to(CAddr::MIN, CAddr::of_blob(b"x"), 1)),
            Works,
        ),
        (
            "differences most",
            work!(it => it.diff_up_to(CAddr::MIN, CAddr::of_blob(b"x"), usize::MAX)),
            Works,
        ),
        (
            "graph depth 0",
            work!(it => it.graph(CAddr::MIN).depth(0)),
            Works,
        ),
        (
            "graph depth most",
            work!(it => it.graph(CAddr::MIN).depth(u32::MAX)),
            Works,
        ),
        (
            "graph limit 0",
            work!(it => it.graph(CAddr::MIN).limit(0)),
            Invalid("1 to 4294967295"),
        ),
        (
            "graph limit 1",
            work!(it => it.graph(CAddr::MIN).limit(1)),
            Works,
        ),
        (
            "graph limit most",
            work!(it => it.graph(CAddr::MIN).limit(u32::MAX)),
            Works,
        ),
        (
            "cache, no limit",
            work!(it => async move { it.cache().set_limit(0); deriva::Result::Ok(it.cache().evict(u64::MAX)) }),
            Works,
        ),
        (
            "cache, limit 1",
            work!(it => async move { it.cache().set_limit(1); deriva::Result::Ok(it.cache().shrink_to(0)) }),
            Works,
        ),
        (
            "cache, most",
            work!(it => async move { it.cache().set_limit(u64::MAX); deriva::Result::Ok(it.cache().shrink_to(u64::MAX)) }),
            Works,
        ),
    ];
    for (name, work, then) in cases {
        let made = ends(name, move || async move {
            let deriva = memory().build().await?;
            let top = graph(&deriva).await?;
            deriva.get(top).await?;
            deriva.set_root("top", top).await?;
            work(deriva.clone()).await?;
            assert_eq!(deriva.get(top).await?, expected());
            drop(deriva.pin(top).await);
            Ok(())
        });
        then.check(name, made);
    }
}

#[test]
fn of_store_uris() {
    const CACHE: &str = "at least 1.0 MiB";
    const MOST: &str = "at most 16.0 TiB";
    let mut cases: Vec<(&str, String, Then)> = Vec::new();
    for (scheme, threshold, too_high) in [
        ("sled", 32 << 10, "at most 32.0 KiB"),
        ("redb", 1 << 20, "at most 1.0 MiB"),
    ] {
        for (option, then) in [
            ("cache=0".to_owned(), Invalid(CACHE)),
            ("cache=1048575".to_owned(), Invalid(CACHE)),
            ("cache=1MiB".to_owned(), Works),
            ("cache=16TiB".to_owned(), Works),
            ("cache=17592186044417".to_owned(), Invalid(MOST)),
            (format!("cache={}", u64::MAX), Invalid(MOST)),
            ("cache=99999999EiB".to_owned(), Invalid(MOST)),
            ("blob_threshold=0".to_owned(), Works),
            ("blob_threshold=1".to_owned(), Works),
            (format!("blob_threshold={threshold}"), Works),
            (
                format!("blob_threshold={}", threshold + 1),
                Invalid(too_high),
            ),
            (format!("blob_threshold={}", u64::MAX), Invalid(too_high)),
        ] {
            cases.push((scheme, option, then));
        }
    }
    for (scheme, option, then) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store").display().to_string();
        let uri = format!("{scheme}:{path}?durability=buffered&{option}");
        let made = ends((scheme, &option), move || {
            materializes(Deriva::builder().store(&uri))
        });
        then.check((scheme, option), made);
    }
}

/// Every number among the params of every function.
#[test]
fn of_functions() {
    let ints = [i64::MIN, -1, 0, 1, 2, i64::from(u32::MAX), i64::MAX];
    let floats = [f64::MIN, -1.0, -0.0, f64::MIN_POSITIVE, 0.5, 1.0, f64::MAX];
    let (mut tried, mut refused) = (0, 0);
    for function in deriva::functions::builtin().iter() {
        for doc in function.params() {
            let is_number = doc.kind == "int" || doc.kind == "number" || doc.kind == "float";
            if !is_number {
                continue;
            }
            let mut others = Params::new();
            for other in function
                .params()
                .iter()
                .filter(|it| it.required && it.name != doc.name)
            {
                match &*other.kind {
                    "text" => others.insert(other.name.to_string(), "a"),
                    _ => others.insert(other.name.to_string(), 1),
                }
            }
            let ints = ints.map(Value::Int).into_iter();
            for value in ints.chain(floats.map(Value::Float)) {
                let (id, params) = (function.id().clone(), others.clone());
                let params = params.with(doc.name.to_string(), value.clone());
                let what = (id.to_string(), doc.name.to_string(), value);
                let made = ends(what.clone(), move || async move {
                    let deriva = memory().build().await?;
                    let leaf = deriva.put("1 b\n22 a\n").await?;
                    let recipe = deriva.recipe(id.name(), id.version()).input(leaf);
                    deriva.get(recipe.params(params).insert().await?).await
                });
                tried += 1;
                if let Err(error) = made {
                    refused += 1;
                    assert_eq!(error.kind(), ErrorKind::Invalid, "{what:?}: {error:?}");
                    assert!(
                        error.context("expected").is_some() || error.context("found").is_some(),
                        "{what:?}: {error:?}"
                    );
                }
            }
        }
    }
    assert!(tried > 100 && refused > 50, "{tried} {refused}");
}
