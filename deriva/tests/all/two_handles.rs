//! Two handles on one store, built apart, are as safe as two clones of one.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::recipe;
use deriva::admin::CollectPolicy;
use deriva::prelude::*;
use deriva::stores::OpenedStore;
use deriva::stores::memory::MemoryStore;
use deriva_testkit::ModelStore;
use parking_lot::{Condvar, Mutex};
use rstest::rstest;

/// Where functions stay until it is opened, and how many came.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<(usize, bool)>, Condvar)>);

impl Gate {
    fn pass(&self) -> usize {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        let before = state.0;
        state.0 += 1;
        while !state.1 {
            changed.wait(&mut state);
        }
        before
    }

    fn open(&self) {
        self.0.0.lock().1 = true;
        self.0.1.notify_all();
    }

    fn came(&self) -> usize {
        self.0.0.lock().0
    }

    async fn reach(&self, count: usize) {
        while self.came() < count {
            tokio::task::yield_now().await;
        }
    }
}

/// Opens the gate also where the test fails, so that it fails and does not hang.
struct Opened<'a>(&'a Gate);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}

fn builder(gate: &Gate) -> DerivaBuilder {
    let gate = gate.clone();
    deriva::builder()
        .jobs(2)
        .function("wait", "1", move |inputs, _| {
            gate.pass();
            Ok(inputs.concat().into())
        })
}

/// Gives both builders one store, in one of the ways to do so.
async fn both(way: &str, builders: [DerivaBuilder; 2]) -> ([Deriva; 2], tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = builders;
    let memory = MemoryStore::new();
    let object = |store: Arc<MemoryStore>| -> (Arc<dyn BlobStore>, Arc<dyn DagStore>) {
        (store.clone(), store)
    };
    let uri = format!("sled:{}", folder.path().join("store").display());
    let [one, two] = match way {
        "object" => {
            let (blobs, dag) = object(Arc::new(memory));
            let one = one.blobs(blobs.clone()).dag(dag.clone());
            [one, two.blobs(blobs).dag(dag)]
        }
        "clones" => {
            let (blobs, dag) = object(Arc::new(memory.clone()));
            let (again, graph) = object(Arc::new(memory));
            [one.blobs(blobs).dag(dag), two.blobs(again).dag(graph)]
        }
        "path" => {
            let folder = folder.path().join(".");
            let written = format!("sled:{}", folder.join("store").display());
            [one.store(&uri), two.store(&written)]
        }
        "layer" => {
            let (blobs, dag) = object(Arc::new(memory));
            let fast = OpenedStore {
                blobs: Some(blobs),
                dag: Some(dag),
            };
            [
                one.store(&uri),
                two.store(&uri).layer(TieredLayer::new(fast)),
            ]
        }
        "files" => {
            let dag: Arc<dyn DagStore> = Arc::new(ModelStore::new());
            let uri = format!("files:{}", folder.path().join("blobs").display());
            let one = one.dag(dag.clone()).blobs(uri.clone());
            [one, two.dag(dag).blobs(uri)]
        }
        // One graph, whose blobs each handle keeps for itself.
        "graph" => {
            let dag: Arc<dyn DagStore> = Arc::new(ModelStore::new());
            let [mine, yours]: [Arc<dyn BlobStore>; 2] =
                [Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new())];
            let one = one.dag(dag.clone()).blobs(mine);
            [one, two.dag(dag).blobs(yours)]
        }
        other => panic!("no way: {other}"),
    };
    let both = [one.build().await.unwrap(), two.build().await.unwrap()];
    (both, folder)
}

fn everything() -> CollectPolicy {
    CollectPolicy::default().unreferenced_blobs(true)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_through_one_takes_nothing_that_a_request_through_the_other_needs(
    #[values("object", "clones", "path", "layer", "files", "graph")] way: &str,
    #[values(0, 1)] asking: usize,
) {
    let gate = Gate::default();
    let (handles, _folder) = both(way, [builder(&gate), builder(&gate)]).await;
    let _opened = Opened(&gate);
    let (asking, collecting) = (&handles[asking], &handles[1 - asking]);
    let first = asking.put("first").await.unwrap();
    let late = asking.put("late").await.unwrap();
    let leased = asking.put("leased").await.unwrap();
    let lease = asking.lease();
    lease.protect(leased).await;
    let below = recipe(asking, "wait", &[first]).await;
    let top = recipe(asking, "bytes.concat", &[below, late]).await;
    let request = tokio::spawn(asking.materialize(top).into_future());
    gate.reach(1).await;
    let collected = collecting.collect().policy(everything()).await.unwrap();
    assert_eq!((collected.recipes, collected.blobs), (0, 0));
    gate.open();
    request.await.unwrap().unwrap();
    assert_eq!(asking.get(top).await.unwrap(), "firstlate");
    assert_eq!(asking.get(leased).await.unwrap(), "leased");
    // Once nobody needs it, it goes, and both see that.
    drop(lease);
    let collected = collecting.collect().policy(everything()).await.unwrap();
    assert_eq!(collected.recipes, 2);
    for handle in &handles {
        let error = handle.get(top).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_invalidated_through_one_is_served_by_neither(
    #[values("object", "clones", "path", "layer", "files", "graph")] way: &str,
    #[values(0, 1)] cached: usize,
) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = || {
        let calls = Arc::clone(&calls);
        deriva::builder().function("count", "1", move |_, _| {
            Ok(calls.fetch_add(1, Ordering::SeqCst).to_string().into())
        })
    };
    let (handles, _folder) = both(way, [counting(), counting()]).await;
    let (cached, other) = (&handles[cached], &handles[1 - cached]);
    let top = recipe(cached, "count", &[]).await;
    let above = recipe(cached, "bytes.concat", &[top, top]).await;
    for _ in 0..3 {
        assert_eq!(cached.get(top).await.unwrap(), "0");
        assert_eq!(cached.get(above).await.unwrap(), "00");
    }
    let invalidated = other.invalidate(top).cascade().await.unwrap();
    assert_eq!(invalidated.outputs, 2);
    assert_eq!(cached.get(above).await.unwrap(), "11");
    assert_eq!(cached.get(top).await.unwrap(), "1");
}

/// A request that began before an invalidation through the other handle records nothing that relies on what was
/// forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_through_one_bars_a_request_through_the_other() {
    let (gate, calls) = (Gate::default(), Gate::default());
    calls.open();
    let counting = || {
        let calls = calls.clone();
        builder(&gate).function("count", "1", move |_, _| {
            Ok(calls.pass().to_string().into())
        })
    };
    let ([one, two], _folder) = both("path", [counting(), counting()]).await;
    let _opened = Opened(&gate);
    let below = recipe(&one, "count", &[]).await;
    let top = recipe(&one, "wait", &[below]).await;
    let request = tokio::spawn(one.materialize(top).into_future());
    gate.reach(1).await;
    two.invalidate(below).cascade().await.unwrap();
    gate.open();
    request.await.unwrap().unwrap();
    assert_eq!(
        calls.came(),
        2,
        "the request went on with what was forgotten"
    );
    assert_eq!(two.get(top).await.unwrap(), "1");
}

/// Begins a request, and waits until it is planned: by then it has joined what others compute.
async fn planned(
    deriva: &Deriva,
    addr: CAddr,
) -> tokio::task::JoinHandle<Result<deriva::Materialized>> {
    let planned = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&planned);
    let request = deriva.materialize(addr).progress(move |event| {
        let is_planned = matches!(event, Event::Planned { .. });
        counted.fetch_add(usize::from(is_planned), Ordering::SeqCst);
    });
    let request = tokio::spawn(request.into_future());
    while planned.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    request
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recipe_that_both_are_asked_for_is_computed_once(
    #[values("object", "clones", "path", "layer", "files")] way: &str,
    #[values(0, 1)] leading: usize,
) {
    let gate = Gate::default();
    let (handles, _folder) = both(way, [builder(&gate), builder(&gate)]).await;
    let _opened = Opened(&gate);
    let (leading, joining) = (&handles[leading], &handles[1 - leading]);
    let leaf = leading.put("once").await.unwrap();
    let shared = recipe(leading, "wait", &[leaf]).await;
    let top = recipe(joining, "bytes.concat", &[shared, leaf]).await;
    let leader = tokio::spawn(leading.materialize(shared).into_future());
    gate.reach(1).await;
    let joiner = planned(joining, top).await;
    gate.open();
    leader.await.unwrap().unwrap();
    let done = joiner.await.unwrap().unwrap();
    assert_eq!((done.summary.computed, done.summary.joined), (1, 1));
    assert_eq!(joining.get(top).await.unwrap(), "onceonce");
    assert_eq!(gate.came(), 1);
}

/// What two handles know under one name may differ. What the store has of it is for both; a failure, and bytes
/// that nobody stored, are for the handle alone whose function they come from.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_and_what_is_not_kept_are_not_shared(#[values(false, true)] fails: bool) {
    let gate = Gate::default();
    let held = gate.clone();
    let one = deriva::builder()
        .store_results(StoreResults::None)
        .function("mine", "1", move |_, _| {
            held.pass();
            match fails {
                true => Err(Error::new(ErrorKind::Function, "in one handle alone")),
                false => Ok("one".into()),
            }
        });
    let two = deriva::builder().function("mine", "1", |_, _| Ok("two".into()));
    let ([one, two], _folder) = both("path", [one, two]).await;
    let _opened = Opened(&gate);
    let top = recipe(&one, "mine", &[]).await;
    let leader = tokio::spawn(one.materialize(top).into_future());
    gate.reach(1).await;
    let joiner = planned(&two, top).await;
    gate.open();
    assert_eq!(leader.await.unwrap().is_err(), fails);
    let done = joiner.await.unwrap().unwrap();
    assert_eq!(done.summary.computed, 1);
    assert_eq!(two.get(top).await.unwrap(), "two");
}

/// The blobs of each are its own, so what one computed the other computes again and compares.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_that_share_the_graph_alone_bring_their_own_blobs() {
    let gate = Gate::default();
    let ([one, two], _folder) = both("graph", [builder(&gate), builder(&gate)]).await;
    let _opened = Opened(&gate);
    let leaf = one.put("both").await.unwrap();
    two.put("both").await.unwrap();
    let top = recipe(&one, "wait", &[leaf, leaf]).await;
    let leader = tokio::spawn(one.materialize(top).into_future());
    gate.reach(1).await;
    let joiner = planned(&two, top).await;
    gate.open();
    leader.await.unwrap().unwrap();
    joiner.await.unwrap().unwrap();
    for handle in [&one, &two] {
        assert_eq!(handle.get(top).await.unwrap(), "bothboth");
    }
    assert_eq!(gate.came(), 2);
}

#[tokio::test]
async fn blobs_that_two_graphs_name_are_not_collected() {
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let graph = || -> Arc<dyn DagStore> { Arc::new(ModelStore::new()) };
    let open = async |dag: Arc<dyn DagStore>| {
        let builder = deriva::builder().blobs(blobs.clone()).dag(dag);
        builder.build().await.unwrap()
    };
    let (one, two) = (open(graph()).await, open(graph()).await);
    let leaf = one.put("of one").await.unwrap();
    let top = recipe(&one, "text.upper", &[leaf]).await;
    one.set_root("kept", top).await.unwrap();
    for handle in [&one, &two] {
        let error = handle.collect().policy(everything()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        handle.collect().dry_run().await.unwrap();
    }
    assert_eq!(one.get(top).await.unwrap(), "OF ONE");
    two.put("of nobody").await.unwrap();
    drop(two);
    let collected = one.collect().policy(everything()).await.unwrap();
    assert_eq!(collected.blobs, 1);
    assert_eq!(one.get(top).await.unwrap(), "OF ONE");
}

/// Both have the same flights, so a function could wait for itself by way of the other handle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_asks_the_other_handle_for_itself_is_told() {
    let slot: Arc<std::sync::OnceLock<(Deriva, CAddr)>> = Arc::default();
    let asked = Arc::clone(&slot);
    let asking = deriva::builder().function("itself", "1", move |_, _| {
        let (deriva, addr) = asked.get().unwrap().clone();
        futures::executor::block_on(deriva.get(addr))
    });
    let ([one, two], _folder) = both("path", [asking, deriva::builder()]).await;
    let top = recipe(&one, "itself", &[]).await;
    slot.set((two, top)).unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(60), one.get(top)).await;
    let error = answer.expect("nobody waits for ever").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
}

/// A store that was closed and is opened again has nothing of the handles before.
#[tokio::test]
async fn what_was_open_before_holds_nothing_back() {
    let store = MemoryStore::new();
    for _ in 0..3 {
        let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) =
            (Arc::new(store.clone()), Arc::new(store.clone()));
        let deriva = deriva::builder().blobs(blobs).dag(dag);
        let deriva = deriva.build().await.unwrap();
        let leaf = deriva.put("leaf").await.unwrap();
        deriva.lease().protect(leaf).await;
        let collected = deriva.collect().policy(everything()).await.unwrap();
        assert_eq!(collected.blobs, 1);
    }
}
