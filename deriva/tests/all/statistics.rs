//! How much was checked: counted once, whoever counts, and still known when the process is not.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deriva::admin::CollectPolicy;
use deriva::authors::{BoxStream, async_trait};
use deriva::determinism::{FunctionChecks, Verification};
use deriva::layers::{BlobLayer, DagLayer};
use deriva::prelude::*;
use deriva::stores::{BlobCheck, BlobUsage, BlobWriter, Capabilities};
use deriva::{BlobStat, ByteRange};
use deriva_testkit::{CountingLayer, Damage, FaultLayer, ModelStore, Operation};
use futures::TryStreamExt;

use crate::common::recipe;

const DUAL: Determinism = Determinism::Dual;
const CHECKS: &str = "deriva:checks/";

/// `honest/1` and `light/1` join their inputs, `lie/1` counts its calls.
fn builder() -> DerivaBuilder {
    let calls = AtomicU64::new(0);
    let honest = |inputs: &[Bytes], _: &Params| Ok(inputs.concat().into());
    let builder = Deriva::builder().jobs(2).function("honest", "1", honest);
    let builder = builder.light_function("light", "1", honest);
    builder.function("lie", "1", move |_, _| {
        Ok(calls.fetch_add(1, Ordering::Relaxed).to_string().into())
    })
}

fn on(store: &ModelStore) -> DerivaBuilder {
    let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) =
        (Arc::new(store.clone()), Arc::new(store.clone()));
    builder().blobs(blobs).dag(dag)
}

/// Checks a recipe that nobody has asked for before.
async fn check(deriva: &Deriva, function: &str, input: &str) -> Result<CAddr> {
    let leaf = deriva.put(input.to_owned()).await?;
    let addr = deriva.recipe(function, "1").input(leaf).insert().await?;
    deriva
        .materialize(addr)
        .determinism(DUAL)
        .await
        .map(|_| addr)
}

fn checked(deriva: &Deriva) -> u64 {
    deriva.verification().total.checked
}

/// Waits for what was left to do, and closes the store.
async fn close(deriva: Deriva) {
    let left = deriva.given_back(Duration::from_secs(30)).await;
    assert!(left.is_zero(), "{left:?}");
}

async fn counts(deriva: &Deriva) -> Vec<(String, CAddr)> {
    let roots: Vec<_> = deriva.dag().roots(None).try_collect().await.unwrap();
    let is_ours = |(name, _): &(String, CAddr)| name.starts_with(CHECKS);
    roots.into_iter().filter(is_ours).collect()
}

#[tokio::test]
async fn what_was_checked_is_known_after_a_restart_and_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for uri in [
        format!("sled:{}", path("sled")),
        format!("redb:{}?durability=buffered", path("redb")),
        format!(
            "split(blobs=files:{}, dag=redb:{})",
            path("blobs"),
            path("graph")
        ),
    ] {
        let mut before = Verification::default();
        // Nothing excludes anything.
        before.total.rate_at_most = 1.0;
        for round in 1..=3 {
            let deriva = builder().store(&uri).build().await.unwrap();
            assert_eq!(deriva.verification(), before, "{uri}");
            assert_eq!(deriva.status().await.unwrap().verification, before);
            check(&deriva, "honest", &format!("{round}")).await.unwrap();
            check(&deriva, "light", &format!("{round}")).await.unwrap();
            let lie = check(&deriva, "lie", &format!("{round}"))
                .await
                .unwrap_err();
            assert_eq!(lie.kind(), ErrorKind::Nondeterministic);
            before = deriva.verification();
            let FunctionChecks {
                checked,
                agreed,
                violated,
                ..
            } = before.total;
            assert_eq!((checked, agreed, violated), (3 * round, 2 * round, round));
            assert!(before.total.last_violation_millis > Some(0));
            assert_eq!(before.functions.len(), 3);
            assert_eq!(counts(&deriva).await.len(), 1);
            close(deriva).await;
        }
        let deriva = builder().store(&uri).build().await.unwrap();
        assert_eq!(deriva.verification(), before, "{uri}");
        // Another process audits.
        let audited = deriva.audit().await.unwrap();
        assert_eq!((audited.agreed, audited.violated), (6, 0));
        close(deriva).await;
        let deriva = builder().store(&uri).build().await.unwrap();
        assert_eq!(checked(&deriva), before.total.checked + 6, "{uri}");
    }
}

#[tokio::test]
async fn several_handles_on_one_store_count_once() {
    let store = ModelStore::new();
    let (one, two) = (
        on(&store).build().await.unwrap(),
        on(&store).build().await.unwrap(),
    );
    for (n, deriva) in [&one, &two, &one].into_iter().enumerate() {
        check(deriva, "honest", &n.to_string()).await.unwrap();
        assert_eq!((checked(&one), checked(&two)), (n as u64 + 1, n as u64 + 1));
    }
    let requests = (0..20).map(|n| {
        let deriva = if n % 2 == 0 { &one } else { &two };
        async move { check(deriva, "light", &n.to_string()).await }
    });
    futures::future::try_join_all(requests).await.unwrap();
    assert_eq!((checked(&two), counts(&one).await.len()), (23, 1));
    close(one).await;
    check(&two, "honest", "after the other is gone")
        .await
        .unwrap();
    close(two).await;
    assert_eq!(checked(&on(&store).build().await.unwrap()), 24);
}

/// What a process that may be killed at its n-th call from now on leaves behind, or one that goes on after that failed.
async fn faulty(nth: u64, is_lost: bool, goes_on: bool) -> bool {
    let store = ModelStore::new();
    let before = on(&store).build().await.unwrap();
    check(&before, "honest", "before").await.unwrap();
    close(before).await;
    let layer = FaultLayer::new();
    let deriva = on(&store).layer(layer.clone()).build().await.unwrap();
    assert_eq!(checked(&deriva), 1);
    let leaf = deriva.put("leaf").await.unwrap();
    let addr = recipe(&deriva, "honest", &[leaf]).await;
    match is_lost {
        false => layer.faults().fail_call(nth, ErrorKind::Unavailable),
        true => layer.faults().lose_call(nth, ErrorKind::Unavailable),
    }
    let done = deriva.materialize(addr).determinism(DUAL).await;
    let is_over = layer.faults().injected() == 0;
    layer.faults().clear();
    let mut counted = checked(&deriva);
    assert!(counted == 2 || done.is_err(), "{done:?}");
    if goes_on {
        check(&deriva, "honest", "after").await.unwrap();
        assert_eq!(checked(&deriva), counted + 1);
        counted += 1;
    }
    close(deriva).await;
    let next = on(&store).build().await.unwrap();
    match goes_on || is_over {
        true => assert_eq!(checked(&next), counted, "{nth} {is_lost}"),
        false => assert!([1, counted].contains(&checked(&next)), "{nth} {is_lost}"),
    }
    assert_eq!(counts(&next).await.len(), 1);
    is_over
}

#[tokio::test]
async fn wherever_a_process_ends_nothing_is_counted_twice_or_lost() {
    for (is_lost, goes_on) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut nth = 1;
        while !faulty(nth, is_lost, goes_on).await {
            nth += 1;
        }
        assert!(nth > 5, "{nth} calls");
    }
}

#[tokio::test]
async fn a_store_that_fails_meanwhile_fails_no_request() {
    let store = ModelStore::new();
    let layer = FaultLayer::new();
    let deriva = on(&store).layer(layer.clone()).build().await.unwrap();
    layer
        .faults()
        .fail_all(Operation::DagSetRoot, ErrorKind::Unavailable);
    for n in 0..3 {
        check(&deriva, "honest", &n.to_string()).await.unwrap();
    }
    deriva.audit().await.unwrap();
    assert_eq!((checked(&deriva), counts(&deriva).await), (6, Vec::new()));
    layer.faults().clear();
    // With the next one, whatever it checks; or when somebody asks.
    check(&deriva, "light", "last").await.unwrap();
    assert_eq!(counts(&deriva).await.len(), 1);
    layer
        .faults()
        .fail_all(Operation::DagSetRoot, ErrorKind::Unavailable);
    check(&deriva, "light", "really").await.unwrap();
    layer.faults().clear();
    deriva.flush().await.unwrap();
    close(deriva).await;
    assert_eq!(checked(&on(&store).build().await.unwrap()), 8);
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out_and_left_alone() {
    let store = ModelStore::new();
    let first = on(&store).build().await.unwrap();
    check(&first, "honest", "first").await.unwrap();
    let before = counts(&first).await;
    close(first).await;
    let later = Blob::new(r#"{"deriva_checks": 2, "functions": "all of them"}"#);
    BlobStore::put(&store, std::slice::from_ref(&later))
        .await
        .unwrap();
    for (name, addr) in [
        ("aaaa", later.addr()),
        ("gone", CAddr::of_blob(b"gone")),
        ("other", CAddr::of_blob(b"first")),
    ] {
        store
            .set_root(&format!("{CHECKS}{name}"), addr)
            .await
            .unwrap();
    }
    let layer = FaultLayer::new();
    layer.faults().damage(before[0].1, Damage::FlipBit(3));
    let deriva = on(&store).layer(layer.clone()).build().await.unwrap();
    assert_eq!((checked(&deriva), counts(&deriva).await.len()), (0, 4));
    check(&deriva, "honest", "second").await.unwrap();
    check(&deriva, "honest", "third").await.unwrap();
    let mut all = counts(&deriva).await;
    assert_eq!((checked(&deriva), all.len()), (2, 5));
    close(deriva).await;
    // Nothing of it was changed.
    all.retain(|root| before.contains(root));
    assert_eq!(all, before);
    let whole = on(&store).build().await.unwrap();
    assert_eq!(checked(&whole), 3);
    check(&whole, "honest", "fourth").await.unwrap();
    close(whole).await;
    let again = on(&store).build().await.unwrap();
    assert_eq!((checked(&again), counts(&again).await.len()), (4, 5));
}

#[tokio::test]
async fn a_store_that_may_only_be_read_is_read_and_not_written() {
    let store = ModelStore::new();
    let filled = on(&store).build().await.unwrap();
    check(&filled, "honest", "filled").await.unwrap();
    let leaf = filled.put("leaf").await.unwrap();
    let addr = recipe(&filled, "honest", &[leaf]).await;
    let digest = filled.state_digest().await.unwrap();
    let (roots, usage) = (counts(&filled).await, filled.blobs().usage().await.unwrap());
    close(filled).await;
    let layer = ReadOnlyLayer::new();
    let deriva = on(&store).layer(layer).build().await.unwrap();
    assert_eq!(checked(&deriva), 1);
    let done = deriva.materialize(addr).determinism(DUAL).await.unwrap();
    assert_eq!((done.summary.checked, checked(&deriva)), (1, 2));
    deriva.audit().dry_run().await.unwrap();
    assert_eq!(checked(&deriva), 3);
    assert_eq!(deriva.state_digest().await.unwrap(), digest);
    assert_eq!(
        (counts(&deriva).await, deriva.blobs().usage().await.unwrap()),
        (roots, usage)
    );
    close(deriva).await;
    assert_eq!(checked(&on(&store).build().await.unwrap()), 1);
}

#[tokio::test]
async fn nothing_is_read_or_written_where_nothing_is_checked() {
    let store = ModelStore::new();
    let layer = CountingLayer::new();
    let deriva = on(&store).layer(layer.clone()).build().await.unwrap();
    let asked = layer.counts();
    assert_eq!(
        (asked.of(Operation::DagRoots), asked.of(Operation::BlobGet)),
        (1, 0)
    );
    let leaf = deriva.put("leaf").await.unwrap();
    let addr = recipe(&deriva, "honest", &[leaf]).await;
    deriva.get(addr).await.unwrap();
    deriva.flush().await.unwrap();
    assert_eq!(layer.counts().of(Operation::DagSetRoot), 0);
    let puts = layer.counts().of(Operation::BlobPut);
    check(&deriva, "honest", "checked").await.unwrap();
    // The input, the output, and what was counted.
    let asked = layer.counts();
    assert_eq!(asked.of(Operation::BlobPut) - puts, 3);
    assert_eq!(
        (
            asked.of(Operation::DagSetRoot),
            asked.of(Operation::DagRoots)
        ),
        (1, 1)
    );
}

/// A function that waits from its second recipe on until it is let go.
fn waits(open: &Arc<AtomicBool>, seen: &Arc<Mutex<Vec<Bytes>>>) -> DerivaBuilder {
    let (open, seen) = (Arc::clone(open), Arc::clone(seen));
    builder().function("waits", "1", move |inputs, _| {
        let mut begun = seen.lock().unwrap();
        if !begun.contains(&inputs[0]) {
            begun.push(inputs[0].clone());
        }
        let is_first = begun[0] == inputs[0];
        drop(begun);
        while !is_first && !open.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Ok([&inputs[0][..], b"!"].concat().into())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_counts_what_it_checked() {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("sled:{}", folder.path().join("store").display());
    for (round, is_late) in [(1, false), (2, true)] {
        let (open, seen) = (Arc::default(), Arc::default());
        let deriva = waits(&open, &seen).store(&uri).build().await.unwrap();
        let leaf = deriva.put(round.to_string()).await.unwrap();
        let first = recipe(&deriva, "waits", &[leaf]).await;
        let second = recipe(&deriva, "waits", &[first]).await;
        let request = deriva.materialize(second).determinism(DUAL);
        let request = match is_late {
            true => request.deadline(Duration::from_secs(2)),
            false => request,
        };
        let request = tokio::spawn(request.into_future());
        while seen.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        match is_late {
            true => {
                let late = request.await.unwrap().unwrap_err();
                assert_eq!(late.kind(), ErrorKind::Timeout);
            }
            false => {
                request.abort();
                request.await.unwrap_err();
            }
        }
        open.store(true, Ordering::SeqCst);
        close(deriva).await;
        let next = builder().store(&uri).build().await.unwrap();
        assert_eq!(checked(&next), round);
        close(next).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_finished_for_others_is_counted() {
    let store = ModelStore::new();
    let (open, seen) = (Arc::default(), Arc::default());
    let deriva = waits(&open, &seen);
    let deriva = deriva.blobs(Arc::new(store.clone()) as Arc<dyn BlobStore>);
    let deriva = deriva.dag(Arc::new(store.clone()) as Arc<dyn DagStore>);
    let deriva = deriva.build().await.unwrap();
    let leaf = deriva.put("leaf").await.unwrap();
    let first = recipe(&deriva, "waits", &[leaf]).await;
    let second = recipe(&deriva, "waits", &[first]).await;
    let leader = deriva.materialize(second).determinism(DUAL);
    let leader = tokio::spawn(leader.into_future());
    while seen.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    let is_planned = Arc::new(AtomicBool::new(false));
    let tells = Arc::clone(&is_planned);
    let waiter = deriva.materialize(second).determinism(DUAL);
    let waiter = waiter.progress(move |event| {
        tells.fetch_or(matches!(event, Event::Planned { .. }), Ordering::SeqCst);
    });
    let waiter = tokio::spawn(waiter.into_future());
    while !is_planned.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    leader.abort();
    leader.await.unwrap_err();
    open.store(true, Ordering::SeqCst);
    waiter.await.unwrap().unwrap();
    close(deriva).await;
    assert_eq!(checked(&on(&store).build().await.unwrap()), 2);
}

#[tokio::test]
async fn what_was_counted_before_goes_with_the_next_collection_and_nothing_else_does() {
    let store = ModelStore::new();
    let deriva = on(&store).build().await.unwrap();
    let kept = check(&deriva, "honest", "0").await.unwrap();
    deriva.set_root("kept", kept).await.unwrap();
    let blobs = deriva.blobs().usage().await.unwrap().unwrap().blobs;
    for n in 1..600 {
        let kept = check(&deriva, "honest", &n.to_string()).await.unwrap();
        deriva.set_root(&format!("kept/{n}"), kept).await.unwrap();
    }
    // Somebody keeps one of them, for what it is worth.
    let (_, held) = counts(&deriva).await.remove(0);
    deriva.set_root("mine", held).await.unwrap();
    check(&deriva, "honest", "last").await.unwrap();
    let loose = deriva.put("nobody names it").await.unwrap();
    let digest = deriva.state_digest().await.unwrap();
    let dry = deriva.collect().dry_run().await.unwrap();
    let collected = deriva.collect().await.unwrap();
    // The last recipe has no root: it goes with its output, which is its input as well.
    assert_eq!((collected.recipes, collected.blobs), (1, 599 + 1));
    assert_eq!(
        (dry.recipes, dry.blobs, dry.bytes),
        (1, 599 + 1, collected.bytes)
    );
    let left = deriva.blobs().usage().await.unwrap().unwrap().blobs;
    assert_eq!(
        left,
        blobs + 599 + 2,
        "outputs, `mine`, and what nobody names"
    );
    for addr in [loose, held] {
        deriva.get(addr).await.unwrap();
    }
    let without = deriva.state_digest().await.unwrap();
    assert_ne!(without, digest, "a recipe and its output are gone");
    close(deriva).await;
    assert_eq!(checked(&on(&store).build().await.unwrap()), 601);
}

#[tokio::test]
async fn checks_change_neither_the_digest_nor_the_number_of_roots() {
    let mut digests = Vec::new();
    for mode in [Determinism::Off, DUAL] {
        let deriva = builder().store("memory:").build().await.unwrap();
        let policy = CollectPolicy::default().unreferenced_blobs(true);
        for n in 0..3 {
            let leaf = deriva.put(n.to_string()).await.unwrap();
            let addr = recipe(&deriva, "honest", &[leaf]).await;
            deriva.materialize(addr).determinism(mode).await.unwrap();
            deriva.set_root(&n.to_string(), addr).await.unwrap();
            digests.push((n, deriva.state_digest().await.unwrap()));
        }
        if mode == DUAL {
            assert_eq!(deriva.audit().await.unwrap().agreed, 3);
        }
        digests.push((3, deriva.state_digest().await.unwrap()));
        deriva.collect().policy(policy).await.unwrap();
        digests.push((4, deriva.state_digest().await.unwrap()));
        let status = deriva.status().await.unwrap();
        let counted = deriva.dag().usage().await.unwrap().unwrap().roots;
        let own = u64::from(mode == DUAL);
        assert_eq!((status.roots, counted), (Some(3), 3 + own));
    }
    assert_eq!(digests[..5], digests[5..]);
    assert_eq!(digests[2].1, digests[4].1);
}

#[tokio::test]
async fn the_digest_has_what_a_note_holds_and_something_else_needs() {
    let layered = |store: &ModelStore| on(store).keep_evidence().on_violation(OnViolation::Report);
    let (one, two) = (ModelStore::new(), ModelStore::new());
    let (one, two) = (
        layered(&one).build().await.unwrap(),
        layered(&two).build().await.unwrap(),
    );
    let mut lies = Vec::new();
    for deriva in [&one, &two] {
        let leaf = deriva.put("leaf").await.unwrap();
        lies.push(recipe(deriva, "lie", &[leaf]).await);
    }
    let before = two.state_digest().await.unwrap();
    assert_eq!(one.state_digest().await.unwrap(), before);
    let done = one.materialize(lies[0]).determinism(DUAL).await.unwrap();
    assert_eq!(done.summary.violations, 1);
    let entry = &one.ledger().await.unwrap()[0];
    assert_eq!(entry.evidence.len(), 2);
    assert_eq!(one.state_digest().await.unwrap(), before);
    // As soon as it is an input, it is no mere note.
    let evidence = entry.evidence[0];
    for deriva in [&one, &two] {
        recipe(deriva, "honest", &[evidence]).await;
    }
    assert_ne!(
        one.state_digest().await.unwrap(),
        two.state_digest().await.unwrap()
    );
    two.put(one.get(evidence).await.unwrap()).await.unwrap();
    assert_eq!(
        one.state_digest().await.unwrap(),
        two.state_digest().await.unwrap()
    );
    for deriva in [&one, &two] {
        deriva.set_root("named", evidence).await.unwrap();
    }
    assert_eq!(
        one.state_digest().await.unwrap(),
        two.state_digest().await.unwrap()
    );
}

#[tokio::test]
async fn layers_may_lie_between() {
    let store = ModelStore::new();
    let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) =
        (Arc::new(store.clone()), Arc::new(store.clone()));
    let read_only = ReadOnlyLayer::new();
    let writer = on(&store).build().await.unwrap();
    let reader = builder()
        .blobs(BlobLayer::wrap(&read_only, blobs))
        .dag(DagLayer::wrap(&read_only, dag));
    let reader = reader.build().await.unwrap();
    let leaf = writer.put("leaf").await.unwrap();
    let addr = recipe(&writer, "honest", &[leaf]).await;
    // Who may write does so for who may not.
    reader.materialize(addr).determinism(DUAL).await.unwrap();
    assert!(counts(&writer).await.is_empty());
    check(&writer, "honest", "writer").await.unwrap();
    close(reader).await;
    close(writer).await;
    assert_eq!(checked(&on(&store).build().await.unwrap()), 2);
}

/// Blobs that other processes may write, too.
#[derive(Debug)]
struct Others(ModelStore);

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("others")
    }
}

#[async_trait]
impl BlobStore for Others {
    fn capabilities(&self) -> Capabilities {
        BlobStore::capabilities(&self.0).shared(true)
    }

    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        self.0.put(blobs).await
    }

    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        self.0.writer(expect).await
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        self.0.get(addr).await
    }

    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        BlobStore::get_many(&self.0, addrs).await
    }

    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        self.0.get_range(addr, range).await
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        self.0.stat(addrs).await
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        self.0.verify(addrs).await
    }

    async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
        BlobStore::remove(&self.0, addrs).await
    }

    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        BlobStore::list(&self.0, after)
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        BlobStore::usage(&self.0).await
    }

    async fn flush(&self) -> Result<()> {
        BlobStore::flush(&self.0).await
    }
}

#[tokio::test]
async fn where_others_write_each_process_has_a_root_of_its_own() {
    let store = ModelStore::new();
    for round in 0..3 {
        let others: Arc<dyn BlobStore> = Arc::new(Others(store.clone()));
        let deriva = on(&store).blobs(others).build().await.unwrap();
        assert_eq!(checked(&deriva), 2 * round);
        for n in 0..2 {
            check(&deriva, "honest", &format!("{round} {n}"))
                .await
                .unwrap();
        }
        assert_eq!(counts(&deriva).await.len() as u64, round + 1);
        close(deriva).await;
    }
    // Who has it alone takes the first of them over.
    for round in 3..5 {
        let deriva = on(&store).build().await.unwrap();
        assert_eq!(checked(&deriva), 3 + round);
        check(&deriva, "honest", &round.to_string()).await.unwrap();
        assert_eq!(
            (checked(&deriva), counts(&deriva).await.len()),
            (4 + round, 3)
        );
        close(deriva).await;
    }
}
