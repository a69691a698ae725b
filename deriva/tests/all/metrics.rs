//! The exact value of every family after what is done here, on several instances of one process.

mod audits;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deriva::metrics::prometheus::proto::MetricType;
use deriva::metrics::{Metrics, Registry, families};
use deriva::prelude::*;
use deriva_testkit::{FaultLayer, Operation};
use futures::FutureExt;
use tokio::sync::Notify;

use crate::common::Stores;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// Families for which something that is not zero was expected, and seen.
#[derive(Default)]
struct Seen(BTreeSet<&'static str>);

/// What a registry shows: a number for each sample, by family and the values of its labels; of a histogram how many
/// there were, and their sum under `sum`.
struct Shown(BTreeMap<String, f64>);

impl Shown {
    async fn of(deriva: &Deriva) -> Self {
        let metrics = deriva.metrics().unwrap();
        metrics.refresh(deriva).await.unwrap();
        Self::in_registry(metrics.registry())
    }

    fn in_registry(registry: &Registry) -> Self {
        let mut shown = BTreeMap::new();
        for family in registry.gather() {
            for metric in family.get_metric() {
                let labels = metric.get_label().iter().map(|label| label.value());
                let labels: Vec<&str> = labels.collect();
                let key = [family.name()].into_iter().chain(labels);
                let key = key.collect::<Vec<_>>().join(" ");
                match family.get_field_type() {
                    MetricType::HISTOGRAM => {
                        let histogram = metric.get_histogram();
                        let count = histogram.get_sample_count();
                        let last = histogram.get_bucket().last().unwrap();
                        assert_eq!(last.cumulative_count(), count, "{key}");
                        shown.insert(format!("{key} sum"), histogram.get_sample_sum());
                        shown.insert(key, count as f64);
                    }
                    MetricType::COUNTER => {
                        shown.insert(key, metric.get_counter().get_value());
                    }
                    _ => {
                        shown.insert(key, metric.get_gauge().get_value());
                    }
                }
            }
        }
        Self(shown)
    }

    fn of_key(&self, key: &str) -> f64 {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// These samples have these values.
    fn are(&self, seen: &mut Seen, expected: &[(&str, f64)]) {
        for (key, expected) in expected {
            assert_eq!(self.of_key(key), *expected, "{key} in {:#?}", self.0);
            if *expected != 0.0 {
                seen.add(key);
            }
        }
    }

    /// These samples are more than nothing: times, and what follows from them.
    fn are_some(&self, seen: &mut Seen, keys: &[&str]) {
        for key in keys {
            assert!(self.of_key(key) > 0.0, "{key} in {:#?}", self.0);
            seen.add(key);
        }
    }
}

impl Seen {
    fn add(&mut self, key: &str) {
        let name = key.split(' ').next().unwrap();
        let family = families().find(|family| family.name == name);
        self.0.insert(family.expect(name).name);
    }
}

fn shout(inputs: &[Bytes], _: &Params) -> Result<Bytes> {
    match inputs[0].as_ref() {
        b"bad" => Err(Error::new(ErrorKind::Function, "a bad word")),
        word => Ok(word.to_ascii_uppercase().into()),
    }
}

fn builder() -> DerivaBuilder {
    Deriva::builder()
        .store("memory:")
        .jobs(2)
        .function("shout", "1", shout)
        .light_function("join", "1", |inputs, _| Ok(inputs.concat().into()))
}

async fn apply(deriva: &Deriva, function: &str, inputs: &[CAddr]) -> CAddr {
    let recipe = deriva.recipe(function, "1").inputs(inputs.iter().copied());
    recipe.insert().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_family_has_its_exact_value_after_what_is_done_here() {
    let mut seen = Seen::default();
    requests(&mut seen).await;
    cut_short(&mut seen).await;
    found(&mut seen).await;
    memory(&mut seen).await;
    checks(&mut seen).await;
    audits::stopped_half_way(&mut seen).await;
    upkeep(&mut seen).await;
    tiers(&mut seen).await;
    served(&mut seen).await;
    told::told(&mut seen).await;
    let all: BTreeSet<_> = families().map(|family| family.name).collect();
    let untouched: Vec<_> = all.difference(&seen.0).collect();
    assert!(untouched.is_empty(), "nothing above touches {untouched:?}");
}

/// Calls of a service, which it tells.
async fn served(seen: &mut Seen) {
    let deriva = builder().build().await.unwrap();
    let served = deriva.metrics().unwrap().served();
    served.begin("a", "Get").ends("ok");
    served.begin("a", "Get").ends("ok");
    drop(served.begin("a", "Get"));
    let _lasts = served.begin("a", "Watch");
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_server_calls_total a Get ok", 2.0),
            ("deriva_server_calls_total a Get cancelled", 1.0),
            ("deriva_server_call_duration_seconds a Get", 3.0),
            ("deriva_server_calls_active a Get", 0.0),
            ("deriva_server_calls_active a Watch", 1.0),
            ("deriva_server_call_duration_seconds a Watch", 0.0),
        ],
    );
}

/// Hits, misses, failures, and work that is found elsewhere.
async fn requests(seen: &mut Seen) {
    let deriva = builder().cutoff(Cutoff::Always).build().await.unwrap();
    // Another instance of the same process, of which nothing shows here.
    let other = builder().build().await.unwrap();
    let word = deriva.put("word").await.unwrap();
    let loud = apply(&deriva, "shout", &[word]).await;
    let both = apply(&deriva, "join", &[loud, word]).await;
    for (at, in_other) in [(&deriva, false), (&other, true)] {
        if in_other {
            let word = at.put("word").await.unwrap();
            at.get(word).await.unwrap();
        } else {
            assert_eq!(at.get(both).await.unwrap(), "WORDword");
            at.get(both).await.unwrap();
        }
    }
    // It resolves to what was computed.
    let again = apply(&deriva, "join", &[word]).await;
    let same = apply(&deriva, "shout", &[again]).await;
    deriva.get(same).await.unwrap();
    let bad = deriva.put("bad").await.unwrap();
    let bad = apply(&deriva, "shout", &[bad]).await;
    let above = apply(&deriva, "join", &[bad]).await;
    deriva.get(above).await.unwrap_err();
    let partly = deriva.materialize(above).keep_going().await.unwrap();
    assert_eq!(partly.summary.failed, 1);
    deriva.materialize(both).await.unwrap();
    deriva
        .materialize(bad)
        .deadline(Duration::ZERO)
        .await
        .unwrap_err();
    let lease = deriva.lease();
    lease.protect(word).await;
    deriva.set_root("word", word).await.unwrap();
    let own = ("deriva_leases", 1.0);
    let shown = until_all(&deriva, &[&ENDED[..], &[own]].concat()).await;
    shown.are(
        seen,
        &[
            ("deriva_materialize_total cached", 1.0),
            ("deriva_materialize_total computed", 2.0),
            ("deriva_materialize_total failed", 2.0),
            ("deriva_materialize_total stored", 1.0),
            ("deriva_materialize_total timeout", 1.0),
            ("deriva_materialize_total cancelled", 0.0),
            ("deriva_materialize_duration_seconds", 6.0),
            ("deriva_materialize_active", 0.0),
            ("deriva_materialize_bytes_total", 16.0),
            ("deriva_early_cutoff_total", 1.0),
            ("deriva_skipped_total", 1.0),
            ("deriva_leases", 1.0),
            ("deriva_recipes", 6.0),
            ("deriva_outputs", 4.0),
            ("deriva_blobs", 4.0),
            ("deriva_roots", 1.0),
            ("deriva_cache_hits_total", 1.0),
            ("deriva_executor_slots", 2.0),
            ("deriva_executor_slots_in_use", 0.0),
            ("deriva_compute_duration_seconds shout/1", 1.0),
            ("deriva_compute_duration_seconds join/1", 2.0),
            ("deriva_compute_input_bytes join/1 sum", 12.0),
            ("deriva_compute_output_bytes join/1 sum", 12.0),
            ("deriva_compute_output_bytes shout/1", 1.0),
            ("deriva_compute_failures_total shout/1 function", 2.0),
            (
                &format!("deriva_build_info {}", env!("CARGO_PKG_VERSION")),
                1.0,
            ),
        ],
    );
    let waited = shown.of_key("deriva_executor_wait_seconds");
    assert_eq!(waited, 1.0, "of the step that did not fail");
    seen.add("deriva_executor_wait_seconds");
    shown.are_some(
        seen,
        &[
            "deriva_materialize_nodes",
            "deriva_materialize_depth sum",
            "deriva_plan_duration_seconds",
            "deriva_commit_duration_seconds",
            "deriva_commit_records sum",
            "deriva_memory_budget_bytes",
            "deriva_memory_used_bytes cache",
            "deriva_blob_bytes",
            "deriva_cache_misses_total",
            "deriva_cache_saved_seconds_total",
            "deriva_cache_bytes",
            "deriva_cache_limit_bytes",
            "deriva_cache_entries",
            "deriva_start_time_seconds",
            "deriva_store_operations_total memory dag_get_many ok",
            "deriva_store_duration_seconds memory dag_get_many",
            "deriva_store_items_total memory dag_get_many",
        ],
    );
    let other = Shown::of(&other).await;
    other.are(
        seen,
        &[
            ("deriva_materialize_total stored", 1.0),
            ("deriva_materialize_total computed", 0.0),
            ("deriva_materialize_total failed", 0.0),
            ("deriva_blobs", 1.0),
            ("deriva_store_operations_total memory blob_get ok", 1.0),
            ("deriva_store_bytes_total memory blob_get", 4.0),
        ],
    );
}

/// A function that says when it begins, and waits until the other end is dropped.
fn waiting(builder: DerivaBuilder) -> (DerivaBuilder, Arc<Notify>, std::sync::mpsc::Sender<()>) {
    let (begun, (sender, wait)) = (Arc::new(Notify::new()), std::sync::mpsc::channel());
    let (begins, wait) = (Arc::clone(&begun), Mutex::new(wait));
    let builder = builder.function("wait", "1", move |_, _| {
        begins.notify_one();
        wait.lock().unwrap().recv().ok();
        Ok("waited".into())
    });
    (builder, begun, sender)
}

/// Waits until a sample is what it should be.
async fn until(deriva: &Deriva, key: &str, value: f64) -> Shown {
    until_all(deriva, &[(key, value)]).await
}

/// Waits until some samples are what they should be.
async fn until_all(deriva: &Deriva, expected: &[(&str, f64)]) -> Shown {
    let waited = async {
        loop {
            let shown = Shown::of(deriva).await;
            let mut all = expected.iter();
            if all.all(|(key, value)| shown.of_key(key) == *value) {
                return shown;
            }
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(LONG, waited).await;
    waited.unwrap_or_else(|_| panic!("these are never at once: {expected:?}"))
}

/// What a request holds it gives back when it ends, which may be a moment after who asked has the answer.
const ENDED: [(&str, f64); 3] = [
    ("deriva_materialize_active", 0.0),
    ("deriva_flights", 0.0),
    ("deriva_inflight_bytes", 0.0),
];

/// What is under way shows while it is, and no longer: when it is cancelled, too.
async fn cut_short(seen: &mut Seen) {
    let large = |_: &[Bytes], _: &Params| Ok(vec![7; 1 << 20].into());
    let faults = FaultLayer::new();
    let of_store = faults.faults();
    let (builder, begun, hold) = waiting(builder().jobs(1).layer(faults));
    let builder = builder.light_function("large", "1", large);
    let deriva = builder.build().await.unwrap();
    let large = apply(&deriva, "large", &[]).await;
    let (slow, next) = (
        apply(&deriva, "wait", &[large]).await,
        apply(&deriva, "wait", &[large, large]).await,
    );
    let ask = |addr| {
        let request = deriva.materialize(addr);
        tokio::spawn(async move { request.await })
    };
    let first = ask(slow);
    tokio::time::timeout(LONG, begun.notified()).await.unwrap();
    let (joins, waits) = (ask(slow), ask(next));
    let shown = until(&deriva, "deriva_executor_slots_wanted", 1.0).await;
    shown.are(
        seen,
        &[
            ("deriva_executor_slots_wanted", 1.0),
            ("deriva_executor_slots_in_use", 1.0),
            ("deriva_executor_steps", 1.0),
        ],
    );
    let shown = until(&deriva, "deriva_materialize_active", 3.0).await;
    shown.are(seen, &[("deriva_materialize_active", 3.0)]);
    shown.are_some(
        seen,
        &[
            "deriva_flights",
            "deriva_inflight_bytes",
            "deriva_memory_used_bytes requests",
        ],
    );
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    // Whoever joined has planned by then.
    until(&deriva, "deriva_plan_duration_seconds", 3.0).await;
    of_store.hang(Operation::DagRecord);
    drop(hold);
    let shown = until(&deriva, "deriva_commits_active", 1.0).await;
    shown.are(seen, &[("deriva_commits_active", 1.0)]);
    for request in [first, joins] {
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
    }
    of_store.clear();
    until(&deriva, "deriva_materialize_total cancelled", 3.0).await;
    let shown = until_all(&deriva, &ENDED).await;
    shown.are(
        seen,
        &[
            ("deriva_materialize_total cancelled", 3.0),
            ("deriva_materialize_active", 0.0),
            ("deriva_executor_slots_in_use", 0.0),
            ("deriva_executor_slots_wanted", 0.0),
        ],
    );
}

/// More than fits: stages, values that are written, entries that go.
async fn memory(seen: &mut Seen) {
    let grow = |inputs: &[Bytes], _: &Params| Ok([&inputs[0][..], b"."].concat().into());
    let builder = Deriva::builder()
        .store("memory:")
        .memory(0)
        .store_results(StoreResults::None);
    let builder = builder.light_function("grow", "1", grow);
    let deriva = builder.build().await.unwrap();
    let mut last = deriva.put("").await.unwrap();
    for _ in 0..4000 {
        last = apply(&deriva, "grow", &[last]).await;
    }
    deriva.materialize(last).await.unwrap();
    let shown = until_all(&deriva, &ENDED).await;
    shown.are_some(seen, &["deriva_stages_total", "deriva_spilled_bytes_total"]);
    shown.are(seen, &[("deriva_inflight_bytes", 0.0)]);

    let deriva = Deriva::builder().store("memory:").cache_bytes(1 << 16);
    let deriva = deriva.build().await.unwrap();
    let mut leaves = Vec::new();
    for leaf in 0..20 {
        leaves.push(deriva.put(vec![leaf; 7000]).await.unwrap());
    }
    for leaf in &leaves {
        // Worth more than what is there.
        for _ in 0..=leaf.as_bytes()[0] % 2 {
            deriva.get(*leaf).await.unwrap();
        }
    }
    let stats = deriva.cache_stats();
    let went = stats.evictions as f64;
    assert!(stats.yielded == 0 && went > 0.0, "{stats:?}");
    let pinned = deriva.pin(leaves[0]).await.unwrap();
    let entries = deriva.cache_stats().entries;
    let before = deriva.cache_stats().evictions as f64;
    deriva.cache().evict(u64::MAX);
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_cache_evictions_total room", before),
            ("deriva_cache_evictions_total memory", entries as f64 - 1.0),
            ("deriva_cache_entries", 1.0),
            ("deriva_cache_limit_bytes", 65536.0),
        ],
    );
    shown.are_some(seen, &["deriva_cache_pinned_bytes"]);
    drop(pinned);
    let large = deriva.put(vec![1; 20_000]).await.unwrap();
    deriva.get(large).await.unwrap();
    assert!(deriva.cache().remove(leaves[0]));
    deriva.get(leaves[1]).await.unwrap();
    deriva.cache().set_limit(0);
    let full = deriva.pin(leaves[0]).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Full);
    let worth = deriva.cache_stats().refused_worth as f64;
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_cache_pinned_bytes", 0.0),
            ("deriva_cache_entries", 0.0),
            ("deriva_cache_evictions_total room", before),
            ("deriva_cache_evictions_total memory", entries as f64 - 1.0),
            ("deriva_cache_evictions_total limit", 1.0),
            ("deriva_cache_evictions_total removed", 1.0),
            ("deriva_cache_refused_total large", 1.0),
            ("deriva_cache_refused_total worth", worth),
            ("deriva_cache_refused_total pins", 1.0),
        ],
    );
}

/// Says that all was there already.
#[derive(Debug)]
struct Remembers(Arc<dyn Executor>);

impl Remembers {
    fn around(inner: Arc<dyn Executor>) -> Arc<dyn Executor> {
        Arc::new(Self(inner))
    }
}

impl std::fmt::Display for Remembers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "remembers({})", self.0)
    }
}

#[async_trait]
impl Executor for Remembers {
    fn supports(&self, function: &FunctionId) -> bool {
        self.0.supports(function)
    }

    fn operands(&self) -> deriva::executors::Operands {
        self.0.operands()
    }

    fn width(&self) -> usize {
        self.0.width()
    }

    async fn execute(&self, step: Step) -> Result<Executed> {
        let mut executed = self.0.execute(step).await?;
        executed.reused = true;
        Ok(executed)
    }
}

/// What is found by joining, and by the executor.
async fn found(seen: &mut Seen) {
    let deriva = builder().executor_layer(Remembers::around);
    let deriva = deriva.build().await.unwrap();
    let word = deriva.put("word").await.unwrap();
    let loud = apply(&deriva, "shout", &[word]).await;
    deriva.materialize(loud).await.unwrap();
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_executor_hits_total", 1.0),
            ("deriva_materialize_total computed", 1.0),
            ("deriva_compute_duration_seconds shout/1", 0.0),
        ],
    );
    let (builder, begun, hold) = waiting(builder());
    let deriva = builder.build().await.unwrap();
    let slow = apply(&deriva, "wait", &[]).await;
    let ask = || {
        let request = deriva.materialize(slow);
        tokio::spawn(async move { request.await })
    };
    let first = ask();
    tokio::time::timeout(LONG, begun.notified()).await.unwrap();
    let second = ask();
    until(&deriva, "deriva_plan_duration_seconds", 2.0).await;
    drop(hold);
    for request in [first, second] {
        request.await.unwrap().unwrap();
    }
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_singleflight_joined_total", 1.0),
            ("deriva_materialize_total computed", 2.0),
            ("deriva_compute_duration_seconds wait/1", 1.0),
        ],
    );
}

/// Checks by each mode, what differs, and what follows.
async fn checks(seen: &mut Seen) {
    let builder = || {
        let calls = AtomicU64::new(0);
        let lie = move |_: &[Bytes], _: &Params| {
            let call = calls.fetch_add(1, SeqCst);
            Ok(call.to_string().into())
        };
        self::builder().function("lie", "1", lie).perturb(false)
    };
    let deriva = builder().quarantine_after(1).build().await.unwrap();
    let word = deriva.put("word").await.unwrap();
    for (function, mode) in [
        ("shout", Determinism::Dual),
        ("join", Determinism::Quorum { agree: 2, of: 3 }),
        ("lie", Determinism::Sampled { rate: 1.0 }),
    ] {
        let addr = apply(&deriva, function, &[word]).await;
        let done = deriva.materialize(addr).determinism(mode).await;
        assert_eq!(done.is_err(), function == "lie");
    }
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_determinism_checks_total dual agreed", 1.0),
            ("deriva_determinism_checks_total quorum agreed", 1.0),
            ("deriva_determinism_checks_total sampled violated", 1.0),
            ("deriva_determinism_checks_total sampled agreed", 0.0),
            ("deriva_determinism_violations_total lie/1", 1.0),
            ("deriva_quarantined_functions", 1.0),
            ("deriva_ledger_entries", 1.0),
        ],
    );
    deriva
        .release_function(&FunctionId::new("lie", "1").unwrap())
        .await
        .unwrap();
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_quarantined_functions", 0.0),
            ("deriva_ledger_entries", 0.0),
            ("deriva_determinism_violations_total lie/1", 1.0),
        ],
    );

    // It is doubted, and served.
    let deriva = builder().on_violation(OnViolation::Report).build().await;
    let deriva = deriva.unwrap();
    let lie = apply(&deriva, "lie", &[]).await;
    let done = deriva.materialize(lie).determinism(Determinism::Dual).await;
    assert_eq!(done.unwrap().doubted, [lie]);
    let shown = Shown::of(&deriva).await;
    shown.are(seen, &[("deriva_doubted_outputs_total", 1.0)]);

    // An audit finds that the second call differs; what has no input any more cannot be audited.
    let deriva = builder().build().await.unwrap();
    let word = deriva.put("word").await.unwrap();
    let lie = apply(&deriva, "lie", &[]).await;
    let honest = apply(&deriva, "shout", &[word]).await;
    let gone = apply(&deriva, "join", &[honest, honest]).await;
    for addr in [lie, honest, gone] {
        deriva.materialize(addr).await.unwrap();
    }
    let output = deriva.dag().outputs(&[honest]).await.unwrap();
    deriva.get(lie).await.unwrap();
    deriva.audit().await.unwrap();
    let blob = output[0].unwrap().addr;
    deriva.blobs().remove(&[blob]).await.unwrap();
    deriva.audit().addr(gone).await.unwrap();
    deriva.audit().addr(word).await.unwrap_err();
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_audits_total done", 2.0),
            ("deriva_audits_total failed", 1.0),
            ("deriva_audits_total cancelled", 0.0),
            ("deriva_audits_active", 0.0),
            ("deriva_audit_duration_seconds", 2.0),
            ("deriva_determinism_violations_total lie/1", 1.0),
            ("deriva_determinism_checks_total audit violated", 1.0),
            ("deriva_audit_outputs_total violated", 1.0),
        ],
    );
    shown.are_some(seen, &["deriva_audit_outputs_total skipped"]);
}

/// Collections, scrubs and invalidations, and what they heal and take.
async fn upkeep(seen: &mut Seen) {
    let faults = FaultLayer::new();
    let of_store = faults.faults();
    let deriva = builder().layer(faults).build().await.unwrap();
    let (word, other) = (
        deriva.put("word").await.unwrap(),
        deriva.put("other").await.unwrap(),
    );
    let loud = apply(&deriva, "shout", &[word]).await;
    let unneeded = apply(&deriva, "shout", &[other]).await;
    for addr in [loud, unneeded] {
        deriva.materialize(addr).await.unwrap();
    }
    deriva.set_root("loud", loud).await.unwrap();
    let lost = deriva.dag().outputs(&[loud]).await.unwrap()[0].unwrap();
    deriva.blobs().remove(&[lost.addr]).await.unwrap();
    assert_eq!(deriva.get(loud).await.unwrap(), "WORD");
    deriva.blobs().remove(&[lost.addr]).await.unwrap();
    deriva.scrub().await.unwrap();
    deriva.scrub().bytes_per_second(0).await.unwrap_err();
    deriva.collect().dry_run().await.unwrap();
    deriva.collect().await.unwrap();
    let known = deriva.dag().outputs(&[loud]).await.unwrap()[0].unwrap();
    let dropped = known.cost.as_secs_f64();
    assert!(dropped > 0.0);
    deriva.invalidate(loud).dry_run().await.unwrap();
    deriva.invalidate(loud).await.unwrap();
    deriva.invalidate(unneeded).await.unwrap_err();
    // What collections and scrubs ask first, and what invalidations do.
    of_store.hang(Operation::DagList);
    of_store.hang(Operation::DagGetMany);
    let mut under_way = (
        Box::pin(deriva.collect().into_future()),
        Box::pin(deriva.scrub().into_future()),
        Box::pin(deriva.invalidate(loud).into_future()),
    );
    assert!((&mut under_way.0).now_or_never().is_none());
    assert!((&mut under_way.1).now_or_never().is_none());
    assert!((&mut under_way.2).now_or_never().is_none());
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_collections_active", 1.0),
            ("deriva_scrubs_active", 1.0),
            ("deriva_invalidations_active", 1.0),
        ],
    );
    drop(under_way);
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_materialize_total healed", 2.0),
            ("deriva_collections_active", 0.0),
            ("deriva_collections_total done", 1.0),
            ("deriva_collections_total cancelled", 1.0),
            ("deriva_collection_duration_seconds", 1.0),
            ("deriva_collected_total recipes", 1.0),
            ("deriva_collected_total outputs", 1.0),
            ("deriva_collected_total blobs", 1.0),
            ("deriva_collected_bytes_total", 5.0),
            ("deriva_scrubs_active", 0.0),
            ("deriva_scrubs_total done", 1.0),
            ("deriva_scrubs_total failed", 1.0),
            ("deriva_scrubs_total cancelled", 1.0),
            ("deriva_scrub_duration_seconds", 1.0),
            ("deriva_healed_total", 2.0),
            ("deriva_scrubbed_total recipes", 2.0),
            ("deriva_scrub_findings_total missing", 1.0),
            ("deriva_scrub_findings_total healed", 1.0),
            ("deriva_invalidations_active", 0.0),
            ("deriva_invalidations_total done", 1.0),
            ("deriva_invalidations_total failed", 1.0),
            ("deriva_invalidation_duration_seconds", 1.0),
            ("deriva_invalidated_outputs_total", 1.0),
            ("deriva_invalidated_bytes_total", 4.0),
            ("deriva_invalidated_rebuild_seconds_total", dropped),
        ],
    );
    shown.are_some(
        seen,
        &[
            "deriva_scrubbed_bytes_total",
            "deriva_collected_rebuild_seconds_total",
        ],
    );
}

/// Each store of a stack counts for itself; a store that is opened again begins with nothing counted.
async fn tiers(seen: &mut Seen) {
    let stores = Stores::new("sled");
    let uri = format!("retry(tiered(fast=memory:, slow={}))", stores.uri());
    for again in [false, true] {
        let deriva = Deriva::builder().store(&uri).build().await.unwrap();
        let word = CAddr::of_blob(b"word");
        if !again {
            deriva.put("word").await.unwrap();
        } else {
            let shown = Shown::of(&deriva).await;
            shown.are(
                seen,
                &[
                    ("deriva_blobs", 1.0),
                    ("deriva_materialize_total stored", 0.0),
                ],
            );
        }
        deriva.get(word).await.unwrap();
        // A view of the store that the instrument does not change.
        assert!(deriva.blobs().to_string().starts_with("retry(tiered("));
        let shown = Shown::of(&deriva).await;
        shown.are(
            seen,
            &[
                ("deriva_materialize_total stored", 1.0),
                ("deriva_store_bytes_total retry blob_get", 4.0),
                ("deriva_store_operations_total retry blob_get ok", 1.0),
                ("deriva_store_operations_total tiered blob_get ok", 1.0),
                (
                    "deriva_store_bytes_total fast blob_get",
                    if again { 0.0 } else { 4.0 },
                ),
                (
                    "deriva_store_bytes_total slow blob_get",
                    if again { 4.0 } else { 0.0 },
                ),
            ],
        );
    }
    let faults = FaultLayer::new();
    let of_store = faults.faults();
    let deriva = Deriva::builder().store("memory:").layer(faults);
    let deriva = deriva.build().await.unwrap();
    of_store.fail_all(Operation::BlobGet, ErrorKind::Corrupt);
    deriva.get(CAddr::of_blob(b"gone")).await.unwrap_err();
    let shown = Shown::of(&deriva).await;
    let outside = "deriva_store_operations_total faults blob_get corrupt";
    shown.are(seen, &[(outside, 1.0)]);
}

#[tokio::test]
async fn one_has_its_metrics_and_no_other() {
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::in_registry(registry.clone()).unwrap());
    let again = Metrics::in_registry(registry.clone()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let build = |metrics: &Arc<Metrics>| {
        let builder = Deriva::builder().store("memory:");
        builder.instrument(Arc::clone(metrics)).build()
    };
    let deriva = build(&metrics).await.unwrap();
    let error = build(&metrics).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let leaf = deriva.put("word").await.unwrap();
    deriva.get(leaf).await.unwrap();
    deriva.get(leaf).await.unwrap();
    let cached = "deriva_materialize_total cached";
    assert_eq!(Shown::of(&deriva).await.of_key(cached), 1.0);
    drop(deriva);
    // What was seen of it stays.
    let shown = Shown::in_registry(&registry);
    assert_eq!(shown.of_key(cached), 1.0, "{:#?}", shown.0);
    let without = Deriva::builder().store("memory:").without_instrument();
    assert!(without.build().await.unwrap().metrics().is_none());
}

/// A build that fails leaves the metrics as they were: they can be given to the next.
#[tokio::test]
async fn metrics_of_a_build_that_failed_are_free_for_another() {
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::in_registry(registry.clone()).unwrap());
    let builder = || builder().instrument(Arc::clone(&metrics));
    // Its store is opened, and then it turns out that a function is not there.
    let fails = builder().cutoff_of("unknown", "1", Cutoff::Never);
    let error = fails.build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let error = builder().store("no such scheme:").build().await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
    let folder = tempfile::tempdir().unwrap();
    let store = format!("files:{}", folder.path().join("store").display());
    // A build that nobody waits for any more. It would fail, too, as there is no graph.
    let given_up = Deriva::builder().blobs(store);
    let given_up = given_up.instrument(Arc::clone(&metrics)).build();
    drop(given_up.now_or_never());

    let deriva = builder().build().await.unwrap();
    let leaf = deriva.put("word").await.unwrap();
    deriva.blobs().get(leaf).await.unwrap();
    let shown = Shown::of(&deriva).await;
    let gets = "deriva_store_operations_total memory blob_get ok";
    assert_eq!(shown.of_key(gets), 1.0, "{:#?}", shown.0);
    assert!(!shown.0.keys().any(|key| key.contains("memory-2")));
    // One that is built has them for good.
    drop(deriva);
    let error = builder().build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(Shown::in_registry(&registry).of_key(gets), 1.0);
}

#[tokio::test]
async fn functions_beyond_the_limit_are_counted_together() {
    let metrics = Arc::new(Metrics::new().unwrap().functions(2));
    let mut builder = Deriva::builder()
        .store("memory:")
        .instrument(Arc::clone(&metrics));
    for name in ["a", "b", "c", "d"] {
        let name = name.to_owned();
        builder = builder.light_function(&name.clone(), "1", move |_, _| {
            Ok(Bytes::from(name.clone()))
        });
    }
    let deriva = builder.build().await.unwrap();
    for name in ["a", "b", "c", "d", "a", "d"] {
        let leaf = deriva.put(format!("for {name}")).await.unwrap();
        let addr = apply(&deriva, name, &[leaf]).await;
        deriva.materialize(addr).await.unwrap();
    }
    let shown = Shown::of(&deriva).await;
    for (function, calls) in [("a/1", 1.0), ("b/1", 1.0), ("other", 2.0), ("c/1", 0.0)] {
        let key = format!("deriva_compute_duration_seconds {function}");
        assert_eq!(shown.of_key(&key), calls, "{key} in {:#?}", shown.0);
    }
}
