//! Calls that hang fail in time, on the clock that was given; nobody waits for real.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::Layers;
use deriva_api::{BlobLayer, BlobStore, Bytes, CAddr, Clock, DagLayer, DagStore, ErrorKind};
use deriva_layers::{RetryLayer, TimeoutLayer};
use deriva_testkit::{FaultLayer, Faults, ManualClock, ModelStore, Operation};
use futures::FutureExt;
use futures::executor::block_on;
use futures::stream::{StreamExt, TryStreamExt};

use crate::support::{blob, faulty, kind, recipe};

const LIMIT: Duration = Duration::from_secs(3);
const TIMEOUT: Option<ErrorKind> = Some(ErrorKind::Timeout);

struct Bench {
    clock: ManualClock,
    faults: Faults,
    blobs: Arc<dyn BlobStore>,
    dag: Arc<dyn DagStore>,
}

fn bench() -> Bench {
    let (clock, faults) = (ManualClock::new(), FaultLayer::new());
    let layer = TimeoutLayer::new(LIMIT).clock(Arc::new(clock.clone()));
    let store = faulty(&faults, ModelStore::new());
    Bench {
        blobs: BlobLayer::wrap(&layer, store.blobs.unwrap()),
        dag: DagLayer::wrap(&layer, store.dag.unwrap()),
        clock,
        faults: faults.faults(),
    }
}

#[test]
fn a_call_that_hangs_fails_at_the_limit_and_not_before() {
    let bench = bench();
    bench.faults.hang(Operation::BlobGet);
    let mut call = bench.blobs.get(CAddr::MIN);
    assert!((&mut call).now_or_never().is_none());
    bench.clock.advance(LIMIT - Duration::from_millis(1));
    assert!((&mut call).now_or_never().is_none());
    bench.clock.advance(Duration::from_millis(1));
    let error = (&mut call).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.operation(), Some("get"));
    assert_eq!(error.context("limit"), Some("3s"));
    assert_eq!(error.context("store"), Some("faults(model)"));
    assert!(error.advice().is_some());
}

#[test]
fn every_call_has_the_limit() {
    let bench = bench();
    let (blobs, dag, faults) = (&bench.blobs, &bench.dag, &bench.faults);
    let mut hung = 0;
    let mut hangs = |operation: Operation, what: Option<ErrorKind>| {
        assert_eq!(what, TIMEOUT, "{operation:?}");
        hung += 1;
    };
    macro_rules! hangs {
        ($operation:ident, $call:expr) => {{
            faults.clear();
            faults.hang(Operation::$operation);
            let answer = $call.await;
            hangs(Operation::$operation, kind(answer));
        }};
    }
    let one = recipe("f/1", &[]);
    let id = one.function();
    block_on(bench.clock.skip_through(async {
        let writer = blobs.writer(None).await.unwrap();
        hangs!(BlobFinish, writer.finish());
        let mut writer = blobs.writer(None).await.unwrap();
        hangs!(BlobWrite, writer.write(Bytes::from_static(b"piece")));
        hangs!(BlobWriter, blobs.writer(None));
        hangs!(BlobPut, blobs.put(&[]));
        hangs!(BlobGet, blobs.get(CAddr::MIN));
        hangs!(BlobGetMany, blobs.get_many(&[]));
        hangs!(
            BlobGetRange,
            blobs.get_range(CAddr::MIN, deriva_api::ByteRange::ALL)
        );
        hangs!(BlobStat, blobs.stat(&[]));
        hangs!(BlobVerify, blobs.verify(&[]));
        hangs!(BlobRemove, blobs.remove(&[]));
        hangs!(BlobList, blobs.list(None).try_next());
        hangs!(BlobUsage, blobs.usage());
        hangs!(BlobFlush, blobs.flush());
        hangs!(DagInsert, dag.insert(std::slice::from_ref(&one)));
        hangs!(DagGetMany, dag.get_many(&[]));
        hangs!(DagOutputs, dag.outputs(&[]));
        hangs!(DagRecord, dag.record(&[]));
        hangs!(DagForget, dag.forget(&[]));
        hangs!(DagRemove, dag.remove(&[]));
        hangs!(DagDependents, dag.dependents(CAddr::MIN, None).try_next());
        hangs!(DagByFunction, dag.by_function(&id, None).try_next());
        hangs!(DagList, dag.list(None).try_next());
        hangs!(DagSetRoot, dag.set_root("root", CAddr::MIN));
        hangs!(DagRemoveRoot, dag.remove_root("root"));
        hangs!(DagRoots, dag.roots(None).try_next());
        hangs!(DagUsage, dag.usage());
        hangs!(DagFlush, dag.flush());
    }));
    assert_eq!(hung, Operation::ALL.len());
    assert_eq!(bench.clock.now(), LIMIT * hung as u32);
}

#[test]
fn a_call_that_is_slow_but_in_time_is_answered() {
    let bench = bench();
    let (stored, clock) = (blob(1, 10), Arc::new(bench.clock.clone()));
    let almost = LIMIT - Duration::from_millis(1);
    bench.faults.delay(Operation::BlobGet, almost, clock);
    block_on(bench.clock.skip_through(async {
        bench
            .blobs
            .put(std::slice::from_ref(&stored))
            .await
            .unwrap();
        let read = bench.blobs.get(stored.addr()).await.unwrap();
        assert_eq!(read, Some(stored));
    }));
    assert_eq!(bench.clock.now(), almost);
}

#[test]
fn a_stream_ends_with_its_timeout() {
    let bench = bench();
    bench.faults.hang(Operation::DagList);
    let items: Vec<_> = block_on(bench.clock.skip_through(bench.dag.list(None).collect()));
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].as_ref().unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_timeout_is_not_retried() {
    let (clock, faults) = (ManualClock::new(), FaultLayer::new());
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let layers = Layers::new()
        .layer(RetryLayer::new().clock(Arc::clone(&shared)))
        .layer(TimeoutLayer::new(LIMIT).clock(shared));
    let store = layers.wrap(faulty(&faults, ModelStore::new()));
    faults.faults().hang(Operation::BlobGet);
    let answer = block_on(clock.skip_through(store.blobs.unwrap().get(CAddr::MIN)));
    assert_eq!(kind(answer), TIMEOUT);
    assert_eq!(clock.now(), LIMIT);
}

#[test]
fn the_system_clock_ends_a_hanging_call_on_any_runtime() {
    let faults = FaultLayer::new();
    faults.faults().hang(Operation::BlobFlush);
    let layer = TimeoutLayer::new(Duration::from_millis(5));
    let store = faulty(&faults, ModelStore::new());
    let store = BlobLayer::wrap(&layer, store.blobs.unwrap());
    assert_eq!(kind(block_on(store.flush())), TIMEOUT);
}
