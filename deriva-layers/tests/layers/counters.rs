//! What layers count of themselves: each its own, for each store that is wrapped.

use std::fmt::Display;
use std::sync::Arc;

use deriva_api::{
    BlobLayer, BlobStore, ByteRange, CAddr, ErrorKind, Layers, OpenedStore, Record, Result,
    StoreCounters, TierCounters,
};
use deriva_layers::intercept::{Intercept, Operation};
use deriva_layers::{
    LimitLayer, ReadOnlyLayer, RetryLayer, TieredLayer, TimeoutLayer, intercept_layer,
};
use deriva_testkit::ModelStore;
use futures::executor::block_on;

use crate::support::{blob, blobs, dag, model, output, recipe};

/// Is put around a store unasked, and does not show.
#[derive(Clone, Debug)]
struct Hidden;

impl Hidden {
    fn interceptor(&self, _store: &dyn Display) -> Self {
        self.clone()
    }
}

impl Intercept for Hidden {
    const NAME: &'static str = "hidden";
    const IS_SHOWN: bool = false;

    type Attempts = ();

    async fn attempt<T, F>(&self, _: Operation, call: impl FnOnce() -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        call().await
    }
}

intercept_layer!(Hidden);

/// What there is: retries, timeouts, tiers.
fn kinds(counters: &StoreCounters) -> [bool; 3] {
    assert!(counters.commits.is_none() && counters.disk.is_none());
    [
        counters.retries.is_some(),
        counters.timeouts.is_some(),
        counters.tiers.is_some(),
    ]
}

#[test]
fn each_layer_tells_of_itself_and_a_hidden_one_as_the_store_inside() {
    let stack = Layers::new()
        .layer(Hidden)
        .layer(RetryLayer::new())
        .layer(TimeoutLayer::default())
        .layer(LimitLayer::default())
        .layer(ReadOnlyLayer::new())
        .layer(TieredLayer::new(model()));
    let mut seen = Vec::new();
    let opened = stack.wrap_each(model(), |made| seen.push(made));
    assert_eq!(opened.to_string(), seen[5].to_string());
    let told = seen.iter().map(|made| {
        let (blobs, dag) = (made.blobs.as_ref().unwrap(), made.dag.as_ref().unwrap());
        assert_eq!(kinds(&blobs.counters()), kinds(&dag.counters()));
        kinds(&blobs.counters())
    });
    let (none, retries) = ([false; 3], [true, false, false]);
    let (timeouts, tiers) = ([false, true, false], [false, false, true]);
    let expected = [tiers, none, none, timeouts, retries, retries];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let [outside, inside] = [&seen[5], &seen[4]].map(|made| made.blobs.as_ref().unwrap());
    let retries = |store: &Arc<dyn BlobStore>| store.counters().retries.unwrap();
    assert!(Arc::ptr_eq(&retries(outside), &retries(inside)));
}

/// A layer for one kind of store leaves the other as it is, and both orders are the same.
#[test]
fn what_each_layer_made_is_shown_from_the_inside_outwards() {
    let stack = Layers::new()
        .blob_layer(RetryLayer::new())
        .dag_layer(LimitLayer::default())
        .layer(TimeoutLayer::default());
    let mut seen = Vec::new();
    let opened = stack.wrap_each(model(), |made| seen.push(made.to_string()));
    let inside = "timeout(model)";
    let expected = [
        inside,
        &format!("limit({inside})"),
        &format!("retry({inside})"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(opened.to_string(), stack.wrap(model()).to_string());
    let no_graph = OpenedStore {
        dag: None,
        ..model()
    };
    let opened = stack.wrap(no_graph);
    assert!(opened.dag.is_none());
    assert_eq!(opened.to_string(), "retry(timeout(model))");
    assert_eq!(
        blobs(&stack, model()).to_string(),
        opened.blobs.unwrap().to_string()
    );
}

/// Fast hits and misses, slow hits and misses, promoted, written, evicted.
fn numbers(of: &TierCounters) -> [u64; 7] {
    [
        &of.fast_hits,
        &of.fast_misses,
        &of.slow_hits,
        &of.slow_misses,
        &of.promoted,
        &of.written,
        &of.evicted,
    ]
    .map(|counter| counter.get())
}

#[test]
fn reads_of_blobs_count_where_they_are_answered() {
    block_on(async {
        let slow = ModelStore::new();
        let (short, long) = (blob(1, 100), blob(2, 5000));
        BlobStore::put(&slow, &[short.clone(), long.clone()])
            .await
            .unwrap();
        let layer = TieredLayer::new(model()).max_blob(1000);
        let store = blobs(&layer, crate::support::opened(slow));
        let counters = store.counters().tiers.unwrap();
        let absent = CAddr::of_blob(b"absent");
        store.get(short.addr()).await.unwrap();
        assert_eq!(numbers(&counters), [0, 1, 1, 0, 1, 0, 0]);
        store
            .get_many(&[short.addr(), long.addr(), absent])
            .await
            .unwrap();
        assert_eq!(numbers(&counters), [1, 3, 2, 1, 1, 0, 0]);
        // The length is looked up, and then a part of what is too long is read, or nothing.
        for (addr, hit) in [(long.addr(), true), (absent, false)] {
            for offset in [10, 2000] {
                let range = ByteRange::new(offset, 5);
                let read = store.get_range(addr, range).await.unwrap();
                assert_eq!(read.is_some(), hit);
            }
        }
        assert_eq!(numbers(&counters), [1, 7, 4, 3, 1, 0, 0]);
        store.put(&[blob(3, 10), blob(4, 5000)]).await.unwrap();
        let mut writer = store.writer(None).await.unwrap();
        writer.write("written".into()).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(numbers(&counters), [1, 7, 4, 3, 1, 2, 0]);
        let traffic = layer.traffic();
        assert_eq!((traffic.hits(), traffic.misses()), (1, 7));
    });
}

#[test]
fn reads_of_the_graph_count_where_they_are_answered() {
    block_on(async {
        let layer = TieredLayer::new(model()).max_nodes(1);
        let store = dag(&layer, model());
        let counters = store.counters().tiers.unwrap();
        let recipes = [recipe("f/1", &[]), recipe("g/1", &[])];
        let addrs = store.insert(&recipes).await.unwrap();
        let record = |addr| Record {
            addr,
            resolved: None,
            output: output("made"),
        };
        store.record(&[record(addrs[0])]).await.unwrap();
        store.get_many(&addrs).await.unwrap();
        assert_eq!(numbers(&counters), [0, 2, 2, 0, 1, 0, 0]);
        store.outputs(&addrs).await.unwrap();
        assert_eq!(numbers(&counters), [1, 3, 2, 1, 1, 0, 0]);
        // There is no room for the second, so all go.
        store.record(&[record(addrs[1])]).await.unwrap();
        store.get_many(&addrs[1..]).await.unwrap();
        assert_eq!(numbers(&counters), [1, 4, 3, 1, 1, 0, 1]);
    });
}

/// Two stores that one layer wraps count for themselves, and the layer knows both.
#[test]
fn stores_that_share_a_layer_do_not_share_counters() {
    block_on(async {
        let layer = TieredLayer::new(model());
        let [one, other] = [blobs(&layer, model()), blobs(&layer, model())];
        let absent = CAddr::of_blob(b"absent");
        one.get(absent).await.unwrap();
        one.get(absent).await.unwrap();
        other.get(absent).await.unwrap();
        let misses = |store: &Arc<dyn BlobStore>| {
            let counters = store.counters().tiers.unwrap();
            counters.fast_misses.get()
        };
        assert_eq!((misses(&one), misses(&other)), (2, 1));
        assert_eq!(layer.traffic().misses(), 3);

        let retry = RetryLayer::new().attempts(1);
        let faults = deriva_testkit::FaultLayer::new();
        let failing = BlobLayer::wrap(
            &retry,
            BlobLayer::wrap(&faults, Arc::new(ModelStore::new())),
        );
        let well = BlobLayer::wrap(&retry, Arc::new(ModelStore::new()));
        let get = deriva_testkit::Operation::BlobGet;
        faults.faults().fail_all(get, ErrorKind::Unavailable);
        failing.get(absent).await.unwrap_err();
        well.get(absent).await.unwrap();
        let spent = |store: &Arc<dyn BlobStore>| store.counters().retries.unwrap().spent.get();
        assert_eq!((spent(&failing), spent(&well)), (1, 0));
        assert_eq!(retry.retries().given_up(), 1);
    });
}
