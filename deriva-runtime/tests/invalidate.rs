//! What is forgotten while others are at work: what they write, what they keep in memory, what they compute again.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva_api::{
    BlobLayer, BlobStore, Bytes, CAddr, CollectEvent, DagLayer, DagStore, ErrorKind, Result,
};
use deriva_runtime::{CollectPolicy, Deriva, DerivaBuilder, StoreResults};
use deriva_testkit::{FaultLayer, ModelStore, Operation};
use tokio::sync::watch;
use tokio::task::{JoinHandle, yield_now};

/// A number that can be changed, `twice` of it, and a store that can be made to hang.
struct World {
    deriva: Deriva,
    layer: FaultLayer,
    model: ModelStore,
    version: Arc<AtomicU64>,
    /// Whether `twice` waits, and how often it was called.
    hold: watch::Sender<bool>,
    calls: Arc<AtomicU64>,
    one: CAddr,
    two: CAddr,
}

impl World {
    async fn new(builder: DerivaBuilder) -> Self {
        let (layer, model) = (FaultLayer::new(), ModelStore::new());
        let blobs: Arc<dyn BlobStore> = Arc::new(model.clone());
        let dag: Arc<dyn DagStore> = Arc::new(model.clone());
        let (version, calls) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
        let (now, called) = (Arc::clone(&version), Arc::clone(&calls));
        let (hold, held) = watch::channel(false);
        let deriva = builder
            .blobs(BlobLayer::wrap(&layer, blobs))
            .dag(DagLayer::wrap(&layer, dag))
            .function("version", "1", move |_, _| {
                Ok(now.load(Ordering::SeqCst).to_string().into())
            })
            .function("twice", "1", move |inputs, _| {
                called.fetch_add(1, Ordering::SeqCst);
                while *held.borrow() {
                    std::thread::yield_now();
                }
                Ok([&inputs[0][..], &inputs[0][..]].concat().into())
            })
            .build()
            .await
            .unwrap();
        let leaf = deriva.put("leaf").await.unwrap();
        let one = deriva.recipe("version", "1").input(leaf);
        let one = one.insert().await.unwrap();
        let two = deriva.recipe("twice", "1").input(one);
        let two = two.insert().await.unwrap();
        deriva.get(one).await.unwrap();
        Self {
            deriva,
            layer,
            model,
            version,
            hold,
            calls,
            one,
            two,
        }
    }

    /// Begins something, and waits until `twice` runs for it.
    async fn computing<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.hold.send(true).unwrap();
        let before = self.calls.load(Ordering::SeqCst);
        let task = tokio::spawn(work);
        while self.calls.load(Ordering::SeqCst) == before {
            yield_now().await;
        }
        task
    }

    fn go_on(&self) {
        self.hold.send(false).unwrap();
    }
}

#[tokio::test]
async fn what_is_being_written_is_forgotten_too() {
    let world = World::new(DerivaBuilder::new()).await;
    let World { deriva, .. } = &world;
    world.layer.faults().hang(Operation::DagRecord);
    let request = tokio::spawn(deriva.materialize(world.two).into_future());
    // Its blob is there: it was let through, and is about to record the output.
    let stale = CAddr::of_blob(b"11");
    while BlobStore::get(&world.model, stale).await.unwrap().is_none() {
        yield_now().await;
    }
    world.version.store(2, Ordering::SeqCst);
    let forget = tokio::spawn(deriva.invalidate(world.one).cascade().into_future());
    for _ in 0..200 {
        yield_now().await;
    }
    assert!(!forget.is_finished());
    world.layer.faults().clear();
    request.await.unwrap().unwrap();
    assert_eq!(forget.await.unwrap().unwrap().outputs, 2);
    assert_eq!(deriva.get(world.two).await.unwrap(), "22");
}

/// Asks for an address so that it is kept in memory.
type Keep = fn(Deriva, CAddr) -> futures::future::BoxFuture<'static, Result<Bytes>>;

#[tokio::test]
async fn what_was_found_before_is_not_kept_in_memory_by_whatever_way() {
    let ways: [(&str, Keep); 2] = [
        ("get", |deriva, addr| {
            Box::pin(async move { deriva.get(addr).await })
        }),
        ("pin", |deriva, addr| {
            Box::pin(async move { Ok(deriva.pin(addr).await?.bytes().clone()) })
        }),
    ];
    for (name, keep) in ways {
        // What is not recorded is not among what is forgotten.
        let builder = DerivaBuilder::new();
        let world = World::new(builder.store_results_of("twice", "1", StoreResults::None)).await;
        let World { deriva, .. } = &world;
        let kept = world.computing(keep(deriva.clone(), world.two)).await;
        world.version.store(2, Ordering::SeqCst);
        deriva.invalidate(world.one).cascade().await.unwrap();
        world.go_on();
        kept.await.unwrap().unwrap();
        assert_eq!(deriva.get(world.two).await.unwrap(), "22", "{name}");
    }
}

/// However often something is forgotten beside it, a pin comes to its end.
#[tokio::test]
async fn a_pin_ends_though_something_is_forgotten_beside_every_search() {
    let builder = DerivaBuilder::new();
    let world = World::new(builder.store_results_of("twice", "1", StoreResults::None)).await;
    let (deriva, two) = (world.deriva.clone(), world.two);
    let mut pin = world.computing(async move { deriva.pin(two).await }).await;
    for round in 2.. {
        world.version.store(round, Ordering::SeqCst);
        let forget = world.deriva.invalidate(world.one).cascade();
        forget.await.unwrap();
        // Lets this search go on, and waits for the next.
        let before = world.calls.load(Ordering::SeqCst);
        world.go_on();
        while !pin.is_finished() && world.calls.load(Ordering::SeqCst) == before {
            yield_now().await;
        }
        world.hold.send(true).unwrap();
        if pin.is_finished() {
            break;
        }
        assert!(round < 1000, "it searches without end");
    }
    world.go_on();
    let pinned = (&mut pin).await.unwrap().unwrap();
    assert!(!pinned.bytes().is_empty());
    let stats = world.deriva.cache_stats();
    assert!(stats.pinned_bytes > 0);
    drop(pinned);
    assert_eq!(world.deriva.cache_stats().pinned_bytes, 0);
    let now = world.version.load(Ordering::SeqCst);
    let fresh = world.deriva.get(world.two).await.unwrap();
    assert_eq!(fresh, format!("{now}{now}"));
}

/// A lost output is looked up, then computed again and compared. What a request looked up it leases, so that no
/// collection forgets it in between: a function that gives something else is told of, and nothing is excused.
#[tokio::test]
async fn a_quota_forgets_nothing_that_is_being_computed_again() {
    let world = World::new(DerivaBuilder::new()).await;
    let World { deriva, two, .. } = &world;
    let top = deriva.recipe("twice", "1").input(*two);
    let top = top.insert().await.unwrap();
    deriva.get(top).await.unwrap();
    deriva.set_root("top", top).await.unwrap();
    let recorded = deriva.dag().outputs(&[world.one, *two]).await.unwrap();
    let lost = recorded[1].unwrap().addr;
    // The collection has listed what is there, the blob that is lost then among it.
    world.layer.faults().hang(Operation::DagRoots);
    let policy = CollectPolicy::default().derived_bytes_at_most(0);
    let listed = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&listed);
    let collection = deriva.collect().policy(policy).progress(move |event| {
        let is_listed = matches!(event, CollectEvent::Listed { .. });
        told.fetch_add(u64::from(is_listed), Ordering::SeqCst);
    });
    let collection = tokio::spawn(collection.into_future());
    while listed.load(Ordering::SeqCst) == 0 {
        yield_now().await;
    }
    BlobStore::remove(&world.model, &[lost]).await.unwrap();
    deriva.cache().clear();
    let request = world
        .computing(deriva.materialize(*two).into_future())
        .await;
    world.layer.faults().clear();
    collection.await.unwrap().unwrap();
    let after = deriva.dag().outputs(&[world.one, *two]).await.unwrap();
    assert_eq!(after, recorded);
    world.go_on();
    assert_eq!(request.await.unwrap().unwrap().summary.healed, 1);

    // What is not the same any more is told of, also beside such a collection.
    let one = recorded[0].unwrap().addr;
    BlobStore::remove(&world.model, &[one, lost]).await.unwrap();
    world.version.store(2, Ordering::SeqCst);
    let (done, collected) = tokio::join!(
        deriva.materialize(*two).into_future(),
        deriva.collect().policy(policy).into_future()
    );
    collected.unwrap();
    assert_eq!(done.unwrap_err().kind(), ErrorKind::Nondeterministic);
}
