//! The runtime on the stores: known results, restarts, random graphs, faults.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use bytes::Bytes;
use conformance::{UriFixture, open};
use deriva::events::Event;
use deriva::executors::{InlineExecutor, PoolExecutor};
use deriva::layers::{BlobLayer, DagLayer};
use deriva::stores::{BlobStore, DagStore};
use deriva::{CAddr, Deriva, ErrorKind, Result, SystemClock};
use deriva_testkit::{
    CountingLayer, Damage, FaultLayer, ModelStore, Operation, Workload, random, reference,
};
use proptest::prelude::*;

const LAYERED_100_100: [u8; 8] = [0xa7, 0x94, 0x18, 0x2f, 0x58, 0x9a, 0x51, 0xdd];
const LAYERED_1000_100: [u8; 8] = [0x6a, 0x94, 0x1f, 0x4c, 0x6d, 0xa0, 0xf7, 0xc2];

fn layered(width: u64) -> Workload {
    Workload::Layered { width, layers: 100 }
}

async fn load(deriva: &Deriva, workload: Workload) -> CAddr {
    let root = workload.load(&**deriva.blobs(), &**deriva.dag()).await;
    root.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layered_gives_the_known_roots_in_memory() {
    for (width, expected) in [(100, LAYERED_100_100), (1000, LAYERED_1000_100)] {
        let deriva = deriva::builder().store("memory:").build().await.unwrap();
        let root = load(&deriva, layered(width)).await;
        let done = deriva.materialize(root).await.unwrap();
        assert_eq!(done.summary.computed, width * 100 + 1);
        assert_eq!(deriva.get(root).await.unwrap(), expected.as_slice());
    }
}

/// Everything that is recorded is found by the next process: nothing is computed, nothing written.
async fn restart_computes_nothing(width: u64, expected: &[u8]) {
    let fixture = UriFixture::new("sled", "");
    let first = deriva::builder()
        .store(&fixture.uri())
        .build()
        .await
        .unwrap();
    let root = load(&first, layered(width)).await;
    assert_eq!(first.get(root).await.unwrap(), expected);
    let digest = first.state_digest().await.unwrap();
    drop(first);

    let counting = CountingLayer::new();
    let store = open(&fixture.uri()).await.unwrap();
    let second = deriva::builder()
        .blobs(BlobLayer::wrap(&counting, store.blobs.unwrap()))
        .dag(DagLayer::wrap(&counting, store.dag.unwrap()))
        .build()
        .await
        .unwrap();
    let done = second.materialize(root).await.unwrap();
    assert_eq!((done.summary.computed, done.summary.failed), (0, 0));
    assert_eq!(second.get(root).await.unwrap(), expected);
    let counts = counting.counts();
    for operation in [
        Operation::BlobPut,
        Operation::BlobWriter,
        Operation::DagRecord,
        Operation::DagInsert,
    ] {
        assert_eq!(counts.of(operation), 0, "{operation:?}");
    }
    assert!(counts.of(Operation::DagGetMany) + counts.of(Operation::DagOutputs) < 20);
    assert_eq!(second.state_digest().await.unwrap(), digest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layered_on_sled_is_there_after_a_restart() {
    restart_computes_nothing(100, &LAYERED_100_100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wide_layered_on_sled_is_there_after_a_restart() {
    restart_computes_nothing(1000, &LAYERED_1000_100).await;
}

#[tokio::test]
async fn the_same_work_gives_the_same_state_on_every_store() {
    let mut digests = Vec::new();
    let sled = UriFixture::new("sled", "?durability=buffered");
    for uri in ["memory:", &sled.uri()] {
        let deriva = deriva::builder().store(uri).build().await.unwrap();
        let root = load(
            &deriva,
            Workload::Layered {
                width: 10,
                layers: 5,
            },
        )
        .await;
        let before = deriva.state_digest().await.unwrap();
        deriva.materialize(root).await.unwrap();
        let after = deriva.state_digest().await.unwrap();
        assert_ne!(before, after);
        digests.push((before, after));
    }
    assert_eq!(digests[0], digests[1]);
}

/// A million in release builds; fewer where each node takes tens of microseconds.
const CHAIN: u64 = if cfg!(debug_assertions) {
    250_000
} else {
    1_000_000
};

#[test]
fn a_long_chain_needs_no_stack() {
    let walk = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let deriva = deriva::builder().store("memory:").build().await.unwrap();
            let root = load(&deriva, Workload::Chain { length: CHAIN }).await;
            let done = deriva.materialize(root).await.unwrap();
            assert_eq!(done.summary.computed, CHAIN);
        });
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(walk);
    thread.unwrap().join().unwrap();
}

/// Every node of the graph, by the runtime and by the reference.
fn agrees_with_the_reference(graph: &random::Graph, uri: &str, inline: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let functions = Arc::new(deriva_functions::builtin());
        let clock = Arc::new(SystemClock::new());
        let builder = deriva::builder().store(uri);
        let deriva = match inline {
            true => builder.executor(Arc::new(InlineExecutor::new(functions.clone(), clock))),
            false => builder.executor(Arc::new(
                PoolExecutor::new(functions.clone(), clock, 2).unwrap(),
            )),
        };
        let deriva = deriva.build().await.unwrap();
        let model = ModelStore::new();
        BlobStore::put(&model, &graph.leaves).await.unwrap();
        model.insert(&graph.recipes).await.unwrap();
        deriva.put_many(&graph.leaves).await.unwrap();
        deriva.insert(&graph.recipes).await.unwrap();
        let addrs: Vec<CAddr> = graph.recipes.iter().map(|recipe| recipe.addr()).collect();
        let done = deriva
            .materialize_many(addrs.iter().copied())
            .await
            .unwrap();
        for (addr, result) in addrs.iter().zip(done.results) {
            let function = |id: &_| functions.get(id).cloned();
            let expected = reference::materialize(&model, &model, function, *addr)
                .await
                .unwrap();
            assert_eq!(result.unwrap().addr, CAddr::of_blob(&expected));
            assert_eq!(deriva.get(*addr).await.unwrap(), expected);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_agree_with_the_reference(graph in random::graphs(60)) {
        agrees_with_the_reference(&graph, "memory:", true);
        agrees_with_the_reference(&graph, "memory:", false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_agree_with_the_reference_on_sled(graph in random::graphs(60)) {
        let fixture = UriFixture::new("sled", "?durability=buffered&blob_threshold=32");
        agrees_with_the_reference(&graph, &fixture.uri(), false);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_diamond_and_many_requests_run_its_shared_node_once() {
    let runs = Arc::new(AtomicU64::new(0));
    let counted = runs.clone();
    let deriva = deriva::builder()
        .store("memory:")
        .function("test.shared", "1", move |inputs, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(inputs[0].clone())
        })
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("leaf").await.unwrap();
    let shared = deriva
        .recipe("test.shared", "1")
        .input(leaf)
        .insert()
        .await
        .unwrap();
    let left = deriva
        .recipe("text.upper", "1")
        .input(shared)
        .insert()
        .await
        .unwrap();
    let right = deriva
        .recipe("bench.mix", "1")
        .input(shared)
        .insert()
        .await
        .unwrap();
    let top = deriva
        .recipe("bytes.concat", "1")
        .inputs([left, right, shared])
        .insert()
        .await
        .unwrap();
    let requests: Vec<_> = (0..32)
        .map(|_| {
            let deriva = deriva.clone();
            tokio::spawn(async move { deriva.get(top).await })
        })
        .collect();
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.await.unwrap().unwrap());
    }
    assert!(answers[0].starts_with(b"LEAF") && answers[0].ends_with(b"leaf"));
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn independent_branches_overlap() {
    // Neither function returns before the other has begun.
    let barrier = Arc::new(Barrier::new(2));
    let functions = Arc::new({
        let mut functions = deriva_functions::builtin();
        let meet = Meet {
            id: "test.meet/1".parse().unwrap(),
            barrier,
        };
        functions.register(Arc::new(meet)).unwrap();
        functions
    });
    let clock = Arc::new(SystemClock::new());
    let pool = PoolExecutor::new(functions.clone(), clock, 2).unwrap();
    let deriva = deriva::builder()
        .store("memory:")
        .functions((*functions).clone())
        .executor(Arc::new(pool))
        .jobs(2)
        .build()
        .await
        .unwrap();
    let mut branches = Vec::new();
    for text in ["a", "b"] {
        let leaf = deriva.put(text).await.unwrap();
        branches.push(
            deriva
                .recipe("test.meet", "1")
                .input(leaf)
                .insert()
                .await
                .unwrap(),
        );
    }
    let top = deriva
        .recipe("bytes.concat", "1")
        .inputs(branches)
        .insert()
        .await
        .unwrap();
    assert_eq!(deriva.get(top).await.unwrap(), "ab");
}

#[derive(Debug)]
struct Meet {
    id: deriva::FunctionId,
    barrier: Arc<Barrier>,
}

impl deriva::functions::ComputeFunction for Meet {
    fn id(&self) -> &deriva::FunctionId {
        &self.id
    }
    fn weight(&self) -> deriva::functions::Weight {
        deriva::functions::Weight::Heavy
    }
    fn description(&self) -> &str {
        "waits for another call of itself"
    }
    fn params(&self) -> &[deriva::functions::ParamDoc] {
        &[]
    }
    fn check(&self, _: usize, _: &deriva::Params) -> Result<()> {
        Ok(())
    }
    fn call(&self, inputs: &[Bytes], _: &deriva::Params) -> Result<Bytes> {
        self.barrier.wait();
        Ok(inputs[0].clone())
    }
}

/// A deriva over a faulty model, and a root of a small graph in it.
async fn faulty() -> (Deriva, FaultLayer, ModelStore, CAddr) {
    let (layer, model) = (FaultLayer::new(), ModelStore::new());
    let deriva = deriva::builder()
        .blobs(BlobLayer::wrap(&layer, Arc::new(model.clone())))
        .dag(DagLayer::wrap(&layer, Arc::new(model.clone())))
        .cache_bytes(0)
        .build()
        .await
        .unwrap();
    let root = load(
        &deriva,
        Workload::Layered {
            width: 4,
            layers: 3,
        },
    )
    .await;
    (deriva, layer, model, root)
}

#[tokio::test]
async fn faults_surface_as_what_they_are_and_pass() {
    let mut hit = 0;
    for operation in Operation::ALL {
        for kind in [ErrorKind::Unavailable, ErrorKind::Full] {
            let (deriva, layer, model, root) = faulty().await;
            let faults = layer.faults();
            faults.fail_all(*operation, kind);
            let answer = deriva.get(root).await;
            if faults.injected() > 0 {
                hit += 1;
                let error = answer.expect_err("a failed store is not a success");
                assert_eq!(error.kind(), kind, "{operation:?}: {error:?}");
            } else {
                answer.unwrap();
            }
            // Whatever was recorded before the fault has its blob.
            let addrs: Vec<CAddr> = Workload::Layered {
                width: 4,
                layers: 3,
            }
            .recipes()
            .map(|recipe| recipe.unwrap().addr())
            .collect();
            for output in model.outputs(&addrs).await.unwrap().into_iter().flatten() {
                assert!(BlobStore::get(&model, output.addr).await.unwrap().is_some());
            }
            faults.clear();
            assert_eq!(deriva.get(root).await.unwrap().len(), 8);
        }
    }
    assert!(hit >= 8, "only {hit} faults were met");
}

#[tokio::test]
async fn a_damaged_intermediate_is_computed_again_and_a_damaged_leaf_is_corrupt() {
    let (deriva, layer, model, root) = faulty().await;
    let expected = deriva.get(root).await.unwrap();
    let output = model.outputs(&[root]).await.unwrap()[0].unwrap();
    layer.faults().damage(output.addr, Damage::FlipBit(3));
    let read = deriva.get(root).await;
    // The damage stays, as it lies in the layer: what comes back is right, or an error that says so.
    match read {
        Ok(bytes) => assert_eq!(bytes, expected),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}"),
    }
    let leaf = deriva.put("a leaf").await.unwrap();
    layer.faults().damage(leaf, Damage::Truncate(2));
    assert_eq!(
        deriva.get(leaf).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    layer.faults().clear();
    assert_eq!(deriva.get(leaf).await.unwrap(), "a leaf");
}

#[tokio::test]
async fn a_lost_intermediate_is_made_again_with_what_it_needs() {
    let (deriva, _, model, root) = faulty().await;
    let expected = deriva.get(root).await.unwrap();
    let blobs: Vec<CAddr> = Workload::Layered {
        width: 4,
        layers: 3,
    }
    .leaves()
    .map(|leaf| leaf.addr())
    .collect();
    let output = model.outputs(&[root]).await.unwrap()[0].unwrap();
    BlobStore::remove(&model, &[output.addr]).await.unwrap();
    let events = Arc::new(AtomicU64::new(0));
    let seen = events.clone();
    let done = deriva
        .materialize(root)
        .progress(move |event| {
            if matches!(event, Event::Healed { .. }) {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await
        .unwrap();
    assert_eq!(done.summary.healed, 1);
    assert_eq!(events.load(Ordering::Relaxed), 1);
    assert_eq!(deriva.get(root).await.unwrap(), expected);
    BlobStore::remove(&model, &blobs[..1]).await.unwrap();
    BlobStore::remove(&model, &[output.addr]).await.unwrap();
    // The other inputs of the root are recorded still, so the lost leaf is not needed.
    assert_eq!(deriva.get(root).await.unwrap(), expected);
    assert_eq!(
        deriva.get(blobs[0]).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_blob_that_could_not_be_read_for_a_moment_is_not_thrown_away_with_a_damaged_one() {
    let (deriva, layer, model, _) = faulty().await;
    let leaf = deriva.put("leaf").await.unwrap();
    let one = |name| deriva.recipe(name, "1").input(leaf).insert();
    let (upper, hash) = (
        one("text.upper").await.unwrap(),
        one("hash.sha256").await.unwrap(),
    );
    deriva.materialize_many([upper, hash]).await.unwrap();
    let made = model.outputs(&[upper, hash]).await.unwrap();
    let (damaged, whole) = (made[0].unwrap().addr, made[1].unwrap().addr);
    let join = deriva.recipe("bytes.concat", "1").inputs([upper, hash]);
    let join = join.insert().await.unwrap();
    layer.faults().damage(damaged, Damage::FlipBit(0));
    // The first read is that of both, the second and third are those of each.
    let third = 2;
    layer
        .faults()
        .fail_nth(Operation::BlobGetMany, third, ErrorKind::Unavailable);
    let error = deriva.get(join).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(BlobStore::get(&model, whole).await.unwrap().is_some());
    layer.faults().clear();
    assert_eq!(&deriva.get(join).await.unwrap()[..4], b"LEAF");
}

#[tokio::test]
async fn outputs_damaged_on_the_disk_are_healed_also_deep_in_the_graph() {
    let folder = tempfile::TempDir::new().unwrap();
    let uri = format!(
        "sled:{}?blob_threshold=1KiB",
        folder.path().join("s").display()
    );
    let open = || deriva::builder().store(&uri).cache_bytes(0).build();
    let deriva = open().await.unwrap();
    let leaf = deriva.put("0123456789").await.unwrap();
    let long = deriva
        .recipe("bytes.repeat", "1")
        .input(leaf)
        .param("times", 1000);
    let long = long.insert().await.unwrap();
    let top = deriva
        .recipe("text.upper", "1")
        .inputs([long])
        .insert()
        .await
        .unwrap();
    let other = deriva
        .recipe("hash.blake3", "1")
        .input(long)
        .insert()
        .await
        .unwrap();
    let expected = deriva.get(top).await.unwrap();
    drop(deriva);
    let mut damaged = 0;
    let mut folders = vec![folder.path().join("s/files")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.metadata().unwrap().len() == 10_000 {
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[7777] ^= 4;
                std::fs::write(&path, bytes).unwrap();
                damaged += 1;
            }
        }
    }
    assert_eq!(
        damaged, 1,
        "digits have no upper case: both outputs are one blob"
    );
    let deriva = open().await.unwrap();
    let hash = deriva.materialize(other).await.unwrap();
    assert_eq!((hash.summary.healed, hash.summary.computed), (1, 2));
    assert_eq!(deriva.get(top).await.unwrap(), expected);
}
