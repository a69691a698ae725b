//! Passing faults are retried and counted, others are told at once; nobody waits for real.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    BlobLayer, BlobStore, Bytes, CAddr, Clock, DagLayer, DagStore, ErrorKind, Record,
};
use deriva_layers::RetryLayer;
use deriva_testkit::{FaultLayer, Faults, ManualClock, ModelStore, Operation};
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt};

use crate::support::{blob, kind, output, recipe};

struct Bench {
    clock: ManualClock,
    layer: RetryLayer,
    faults: Faults,
    model: ModelStore,
    blobs: Arc<dyn BlobStore>,
    dag: Arc<dyn DagStore>,
}

fn bench(settings: impl FnOnce(RetryLayer) -> RetryLayer) -> Bench {
    let clock = ManualClock::new();
    let layer = settings(RetryLayer::new().clock(Arc::new(clock.clone())));
    let (faults, model) = (FaultLayer::new(), ModelStore::new());
    let blobs = BlobLayer::wrap(&faults, Arc::new(model.clone()));
    let dag = DagLayer::wrap(&faults, Arc::new(model.clone()));
    Bench {
        blobs: BlobLayer::wrap(&layer, blobs),
        dag: DagLayer::wrap(&layer, dag),
        clock,
        layer,
        faults: faults.faults(),
        model,
    }
}

impl Bench {
    fn run<F: Future>(&self, future: F) -> F::Output {
        block_on(self.clock.skip_through(future))
    }

    /// Calls with a passing fault, attempts beyond the first, calls given up.
    fn counts(&self) -> (u64, u64, u64) {
        let retries = self.layer.retries();
        (retries.calls(), retries.repeated(), retries.given_up())
    }
}

const UNAVAILABLE: ErrorKind = ErrorKind::Unavailable;

#[test]
fn every_call_is_made_again_after_a_passing_fault() {
    let bench = bench(|layer| layer);
    let one = recipe("f/1", &[CAddr::MIN]);
    let (addr, id) = (one.addr(), one.function());
    let record = Record {
        addr,
        resolved: None,
        output: output("made"),
    };
    let (blobs, dag, faults) = (&bench.blobs, &bench.dag, &bench.faults);
    let retried: Vec<Operation> = Operation::ALL
        .iter()
        .copied()
        .filter(|operation| !matches!(operation, Operation::BlobWrite | Operation::BlobFinish))
        .collect();
    for operation in &retried {
        faults.fail_nth(*operation, 1, UNAVAILABLE);
    }
    bench.run(async {
        let stored = blob(1, 10);
        blobs.put(std::slice::from_ref(&stored)).await.unwrap();
        let writer = blobs.writer(None).await.unwrap();
        writer.finish().await.unwrap();
        assert!(blobs.get(stored.addr()).await.unwrap().is_some());
        assert!(blobs.get_many(&[stored.addr()]).await.unwrap()[0].is_some());
        let range = deriva_api::ByteRange::ALL;
        assert!(
            blobs
                .get_range(stored.addr(), range)
                .await
                .unwrap()
                .is_some()
        );
        assert!(blobs.stat(&[stored.addr()]).await.unwrap()[0].is_some());
        assert!(blobs.verify(&[stored.addr()]).await.unwrap()[0].is_right());
        assert_eq!(blobs.list(None).count().await, 2);
        assert_eq!(blobs.usage().await.unwrap().unwrap().blobs, 2);
        blobs.remove(&[stored.addr()]).await.unwrap();
        blobs.flush().await.unwrap();

        dag.insert(&[one]).await.unwrap();
        dag.record(&[record]).await.unwrap();
        assert!(dag.get_many(&[addr]).await.unwrap()[0].is_some());
        assert!(dag.outputs(&[addr]).await.unwrap()[0].is_some());
        assert_eq!(dag.dependents(CAddr::MIN, None).count().await, 1);
        assert_eq!(dag.by_function(&id, None).count().await, 1);
        assert_eq!(dag.list(None).count().await, 1);
        dag.set_root("root", addr).await.unwrap();
        assert_eq!(dag.roots(None).count().await, 1);
        assert!(dag.remove_root("root").await.unwrap());
        assert_eq!(dag.usage().await.unwrap().unwrap().recipes, 1);
        assert_eq!(dag.forget(&[addr]).await.unwrap(), 1);
        assert_eq!(dag.remove(&[addr]).await.unwrap(), 1);
        dag.flush().await.unwrap();
    });
    let count = retried.len() as u64;
    assert_eq!(faults.injected(), count, "every fault was met");
    assert_eq!(bench.counts(), (count, count, 0));
}

#[test]
fn what_does_not_pass_is_told_at_once() {
    for kind_of_fault in ErrorKind::ALL
        .into_iter()
        .filter(|kind| *kind != UNAVAILABLE)
    {
        let bench = bench(|layer| layer);
        bench.faults.fail_nth(Operation::BlobGet, 1, kind_of_fault);
        let refused = bench.run(bench.blobs.get(CAddr::MIN));
        assert_eq!(kind(refused), Some(kind_of_fault));
        assert_eq!(bench.counts(), (0, 0, 0));
        assert_eq!(bench.clock.now(), Duration::ZERO);
        assert!(bench.run(bench.blobs.get(CAddr::MIN)).is_ok());
    }
}

#[test]
fn a_fault_that_stays_is_given_up_after_the_set_number_of_attempts() {
    let bench = bench(|layer| layer.attempts(3).without_jitter());
    bench.faults.fail_all(Operation::BlobPut, UNAVAILABLE);
    let refused = bench.run(bench.blobs.put(&[blob(1, 1)]));
    assert_eq!(kind(refused), Some(UNAVAILABLE));
    assert_eq!(bench.faults.injected(), 3);
    assert_eq!(bench.counts(), (1, 2, 1));
}

#[test]
fn delays_grow_by_the_factor_up_to_the_longest() {
    let seconds = Duration::from_secs;
    let bench = bench(|layer| {
        let layer = layer.attempts(6).first_delay(seconds(1)).factor(3.0);
        layer.max_delay(seconds(10)).without_jitter()
    });
    bench.faults.fail_all(Operation::DagUsage, UNAVAILABLE);
    assert!(bench.run(bench.dag.usage()).is_err());
    // 1 + 3 + 9 + 10 + 10
    assert_eq!(bench.clock.now(), seconds(33));
}

#[test]
fn jitter_prolongs_each_delay_and_repeats_itself_by_its_seed() {
    let waited = |seed| {
        let bench = bench(|layer| layer.jitter(seed));
        bench.faults.fail_all(Operation::BlobFlush, UNAVAILABLE);
        let waits = [(); 2].map(|()| {
            let before = bench.clock.now();
            assert!(bench.run(bench.blobs.flush()).is_err());
            bench.clock.now() - before
        });
        // 50 + 100 + 200 + 400 ms, and up to as much again.
        for wait in waits {
            assert!((750..1500).contains(&wait.as_millis()), "{wait:?}");
        }
        waits
    };
    let [first, second] = waited(1);
    assert_ne!(first, second, "calls do not come back together");
    assert_eq!([first, second], waited(1));
    assert_ne!([first, second], waited(2));
}

#[test]
fn a_single_attempt_is_no_retry() {
    let bench = bench(|layer| layer.attempts(0));
    bench.faults.fail_nth(Operation::BlobGet, 1, UNAVAILABLE);
    let refused = bench.run(bench.blobs.get(CAddr::MIN));
    assert_eq!(kind(refused), Some(UNAVAILABLE));
    assert_eq!(bench.counts(), (1, 0, 1));
}

/// A piece that failed may have been taken: only the caller can begin anew.
#[test]
fn a_writer_is_not_fed_twice() {
    let bench = bench(|layer| layer);
    bench.run(async {
        bench.faults.fail_nth(Operation::BlobWrite, 1, UNAVAILABLE);
        let mut writer = bench.blobs.writer(None).await.unwrap();
        let refused = writer.write(Bytes::from_static(b"piece")).await;
        assert_eq!(kind(refused), Some(UNAVAILABLE));
        drop(writer);
        bench.faults.fail_nth(Operation::BlobFinish, 1, UNAVAILABLE);
        let writer = bench.blobs.writer(None).await.unwrap();
        assert_eq!(kind(writer.finish().await), Some(UNAVAILABLE));
    });
    assert_eq!(bench.counts(), (0, 0, 0));
    assert_eq!(bench.run(bench.blobs.list(None).count()), 0);
}

/// The first attempt took effect and its answer was lost: the state is right, and what is counted is
/// what the last attempt found.
#[test]
fn calls_whose_answer_was_lost_can_be_repeated() {
    let bench = bench(|layer| layer);
    let one = recipe("f/1", &[]);
    let addr = one.addr();
    let record = Record {
        addr,
        resolved: None,
        output: output("made"),
    };
    let stored = blob(1, 10);
    let lose = |operation| bench.faults.lose_nth(operation, 1, UNAVAILABLE);
    bench.run(async {
        for operation in [
            Operation::BlobPut,
            Operation::BlobRemove,
            Operation::DagInsert,
            Operation::DagRecord,
            Operation::DagForget,
            Operation::DagRemove,
            Operation::DagSetRoot,
            Operation::DagRemoveRoot,
        ] {
            lose(operation);
        }
        let (blobs, dag) = (&bench.blobs, &bench.dag);
        blobs.put(std::slice::from_ref(&stored)).await.unwrap();
        assert_eq!(blobs.usage().await.unwrap().unwrap().blobs, 1);
        blobs.remove(&[stored.addr()]).await.unwrap();
        assert_eq!(blobs.usage().await.unwrap().unwrap().blobs, 0);
        assert_eq!(dag.insert(&[one]).await.unwrap(), [addr]);
        assert!(dag.record(&[record]).await.unwrap().is_empty());
        dag.set_root("root", addr).await.unwrap();
        let usage = dag.usage().await.unwrap().unwrap();
        assert_eq!((usage.recipes, usage.outputs, usage.roots), (1, 1, 1));
        assert!(!dag.remove_root("root").await.unwrap());
        assert_eq!(dag.forget(&[addr]).await.unwrap(), 0);
        assert_eq!(dag.remove(&[addr]).await.unwrap(), 0);
        let usage = dag.usage().await.unwrap().unwrap();
        assert_eq!((usage.recipes, usage.outputs, usage.roots), (0, 0, 0));
    });
    assert_eq!(bench.counts(), (8, 8, 0));
}

#[test]
fn a_caller_that_goes_away_while_waiting_ends_the_retries() {
    let bench = bench(|layer| layer);
    bench.faults.fail_all(Operation::BlobGet, UNAVAILABLE);
    let mut call = bench.blobs.get(CAddr::MIN);
    assert!(futures::FutureExt::now_or_never(&mut call).is_none());
    drop(call);
    bench.clock.advance(Duration::from_secs(1000));
    assert_eq!(bench.faults.injected(), 1);
    assert_eq!(bench.counts(), (1, 0, 0));
}

mod streams {
    use super::*;
    use crate::support::{blobs, opened};
    use async_trait::async_trait;
    use deriva_api::{
        Blob, BlobCheck, BlobStat, BlobUsage, BlobWriter, BoxStream, ByteRange, Capabilities,
        Error, Result,
    };
    use std::fmt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A store whose lists have a transient failure after every second item.
    #[derive(Debug)]
    struct Stuttering {
        inner: Arc<dyn BlobStore>,
        opened: AtomicUsize,
        items: usize,
    }

    impl fmt::Display for Stuttering {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "stuttering({})", self.inner)
        }
    }

    #[async_trait]
    impl BlobStore for Stuttering {
        fn capabilities(&self) -> Capabilities {
            self.inner.capabilities()
        }
        async fn put(&self, blobs: &[Blob]) -> Result<()> {
            self.inner.put(blobs).await
        }
        async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
            self.inner.writer(expect).await
        }
        async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
            self.inner.get(addr).await
        }
        async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>> {
            self.inner.get_many(addrs).await
        }
        async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
            self.inner.get_range(addr, range).await
        }
        async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
            self.inner.stat(addrs).await
        }
        async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
            self.inner.verify(addrs).await
        }
        async fn remove(&self, addrs: &[CAddr]) -> Result<()> {
            self.inner.remove(addrs).await
        }
        fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
            self.opened.fetch_add(1, Ordering::Relaxed);
            let fault = Err(Error::new(UNAVAILABLE, "the list broke off"));
            let items = self.inner.list(after).take(self.items);
            items.chain(futures::stream::iter([fault])).boxed()
        }
        async fn usage(&self) -> Result<Option<BlobUsage>> {
            self.inner.usage().await
        }
        async fn flush(&self) -> Result<()> {
            self.inner.flush().await
        }
    }

    fn stuttering(items: usize) -> (ManualClock, RetryLayer, Arc<dyn BlobStore>, Vec<BlobStat>) {
        let model = ModelStore::new();
        let put: Vec<_> = (0..5).map(|seed| blob(seed, 10)).collect();
        block_on(BlobStore::put(&model, &put)).unwrap();
        let mut stats: Vec<_> = put.iter().map(Blob::stat).collect();
        stats.sort_by_key(|stat| stat.addr);
        let clock = ManualClock::new();
        let layer = RetryLayer::new().attempts(3).clock(Arc::new(clock.clone()));
        let broken = Stuttering {
            inner: opened(model).blobs.unwrap(),
            opened: AtomicUsize::new(0),
            items,
        };
        let mut store = opened(ModelStore::new());
        store.blobs = Some(Arc::new(broken));
        let store = blobs(&layer, store);
        (clock, layer, store, stats)
    }

    #[test]
    fn a_list_goes_on_behind_its_last_item() {
        let (clock, layer, store, expected) = stuttering(2);
        // The fault after the last item never ends: it is given up there, with all items seen.
        let listed: Vec<_> = block_on(clock.skip_through(store.list(None).collect()));
        let items: Vec<_> = listed
            .iter()
            .filter_map(|item| item.as_ref().ok())
            .collect();
        assert_eq!(items, expected.iter().collect::<Vec<_>>());
        assert!(listed.last().unwrap().is_err() && listed.len() == 6);
        assert_eq!(layer.retries().given_up(), 1);
        let resumed: Vec<_> =
            block_on(clock.skip_through(store.list(Some(expected[2].addr)).take(2).try_collect()))
                .unwrap();
        assert_eq!(resumed, expected[3..]);
    }

    #[test]
    fn a_list_that_makes_no_progress_is_given_up() {
        let (clock, layer, store, _) = stuttering(0);
        let listed: Vec<_> = block_on(clock.skip_through(store.list(None).collect()));
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].as_ref().unwrap_err().kind(), UNAVAILABLE);
        assert_eq!(
            (layer.retries().repeated(), layer.retries().given_up()),
            (2, 1)
        );
    }

    #[test]
    fn roots_and_edges_resume_too() {
        let bench = bench(|layer| layer);
        bench.run(async {
            bench.model.set_root("a", CAddr::MIN).await.unwrap();
            bench
                .model
                .set_root("b", CAddr::of_blob(b"b"))
                .await
                .unwrap();
            bench.faults.fail_nth(Operation::DagRoots, 1, UNAVAILABLE);
            let roots: Vec<_> = bench.dag.roots(Some("a")).try_collect().await.unwrap();
            assert_eq!(roots, [("b".to_owned(), CAddr::of_blob(b"b"))]);
        });
    }
}
