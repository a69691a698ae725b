//! Invalidation beside requests: nothing that was computed from a forgotten output comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{Stores, recipe};
use deriva::prelude::*;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::watch;

/// `version` gives a number that can be changed, `held` waits while it is held.
struct World {
    deriva: Deriva,
    version: Arc<AtomicU64>,
    hold: watch::Sender<bool>,
    holding: Arc<AtomicU64>,
    leaf: CAddr,
    one: CAddr,
    two: CAddr,
}

impl World {
    async fn new(uri: &str) -> Self {
        let version = Arc::new(AtomicU64::new(1));
        let now = Arc::clone(&version);
        let (hold, held) = watch::channel(false);
        let holding = Arc::new(AtomicU64::new(0));
        let entered = Arc::clone(&holding);
        let deriva = Deriva::builder()
            .store(uri)
            .jobs(4)
            .function("version", "1", move |_, _| {
                Ok(now.load(Ordering::SeqCst).to_string().into())
            })
            .function("held", "1", move |inputs, _| {
                entered.fetch_add(1, Ordering::SeqCst);
                while *held.borrow() {
                    std::thread::yield_now();
                }
                match inputs[0].as_ref() {
                    b"0" => Err(Error::new(ErrorKind::Function, "as it should")),
                    _ => Ok(inputs[0].clone()),
                }
            })
            .function("copy", "1", |inputs, _| Ok(inputs[0].clone()))
            .build()
            .await
            .unwrap();
        let leaf = deriva.put("leaf").await.unwrap();
        let one = recipe(&deriva, "version", &[leaf]).await;
        let two = recipe(&deriva, "held", &[one]).await;
        deriva.get(one).await.unwrap();
        Self {
            deriva,
            version,
            hold,
            holding,
            leaf,
            one,
            two,
        }
    }

    /// Begins a request and waits until it computes `two`, from the old output of `one`.
    async fn computing<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.hold.send(true).unwrap();
        let before = self.holding.load(Ordering::SeqCst);
        let task = tokio::spawn(request);
        while self.holding.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
        task
    }

    async fn output(&self, addr: CAddr) -> Option<Bytes> {
        let output = self.deriva.dag().outputs(&[addr]).await.unwrap()[0]?;
        Some(self.deriva.blobs().read_all(output.addr).await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_being_computed_from_a_forgotten_output_is_not_recorded() {
    for cascade in [false, true] {
        for stores in Stores::all() {
            let world = World::new(&stores.uri()).await;
            let (deriva, two) = (world.deriva.clone(), world.two);
            let request = world.computing(async move { deriva.get(two).await }).await;
            world.version.store(2, Ordering::SeqCst);
            let forget = world.deriva.invalidate(world.one);
            match cascade {
                true => forget.cascade().await.unwrap(),
                false => forget.await.unwrap(),
            };
            world.hold.send(false).unwrap();
            assert_eq!(request.await.unwrap().unwrap(), "2");
            assert_eq!(world.output(two).await.unwrap(), "2");
            assert_eq!(world.deriva.get(two).await.unwrap(), "2");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_later_joins_no_request_that_relies_on_a_forgotten_output() {
    for store_results in [StoreResults::All, StoreResults::None] {
        let world = World::new("memory:").await;
        let (deriva, two) = (world.deriva.clone(), world.two);
        let early = deriva.materialize(two).store_results(store_results);
        let early = world.computing(early.into_future()).await;
        world.version.store(2, Ordering::SeqCst);
        world.deriva.invalidate(world.one).await.unwrap();
        let late = tokio::spawn({
            let deriva = deriva.clone();
            async move { deriva.get(two).await }
        });
        // It has time to join.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        world.hold.send(false).unwrap();
        early.await.unwrap().unwrap();
        assert_eq!(late.await.unwrap().unwrap(), "2", "{store_results:?}");
        assert_eq!(world.output(two).await.unwrap(), "2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_later_hears_of_no_failure_on_a_forgotten_output() {
    let world = World::new("memory:").await;
    world.version.store(0, Ordering::SeqCst);
    world.deriva.invalidate(world.one).await.unwrap();
    let (deriva, two) = (world.deriva.clone(), world.two);
    let early = world.computing(async move { deriva.get(two).await }).await;
    world.version.store(2, Ordering::SeqCst);
    world.deriva.invalidate(world.one).await.unwrap();
    let deriva = world.deriva.clone();
    let late = tokio::spawn(async move { deriva.get(two).await });
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    world.hold.send(false).unwrap();
    assert_eq!(
        early.await.unwrap().unwrap_err().kind(),
        ErrorKind::Function
    );
    assert_eq!(late.await.unwrap().unwrap(), "2");
}

/// An output that was taken over from under another name, and not recorded yet, is no way back either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_was_cut_off_before_is_not_recorded_after() {
    let world = World::new("memory:").await;
    let deriva = &world.deriva;
    let (a, b) = (
        recipe(deriva, "copy", &[world.leaf]).await,
        recipe(deriva, "copy", &[world.leaf, world.leaf]).await,
    );
    let (va, vb) = (
        recipe(deriva, "version", &[a]).await,
        recipe(deriva, "version", &[b]).await,
    );
    deriva.get(va).await.unwrap();
    // It cuts `vb` off, and then waits for `held`.
    let top = recipe(deriva, "held", &[vb]).await;
    let request = deriva.materialize(top);
    let request = world.computing(request.into_future()).await;
    world.version.store(2, Ordering::SeqCst);
    deriva.invalidate(va).await.unwrap();
    deriva.invalidate(vb).cascade().await.unwrap();
    world.hold.send(false).unwrap();
    request.await.unwrap().unwrap();
    for addr in [va, vb, top] {
        assert_eq!(deriva.get(addr).await.unwrap(), "2");
    }
}

/// Requests of all sorts, new recipes and invalidations at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_every_answer_is_as_new_as_the_last_invalidation_before_it() {
    for stores in Stores::all() {
        hammer(&stores.uri()).await;
    }
}

async fn hammer(uri: &str) {
    const ROUNDS: u64 = 40;
    let world = Arc::new(World::new(uri).await);
    let top = recipe(&world.deriva, "copy", &[world.two]).await;
    let over = recipe(&world.deriva, "copy", &[top]).await;
    // As of which version everything is forgotten that is older.
    let floor = Arc::new(AtomicU64::new(1));
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for reader in 0..4u64 {
        let (world, floor, stop) = (Arc::clone(&world), Arc::clone(&floor), Arc::clone(&stop));
        readers.push(tokio::spawn(async move {
            let deriva = &world.deriva;
            let mut asked = 0u64;
            while !stop.load(Ordering::SeqCst) {
                asked += 1;
                let oldest = floor.load(Ordering::SeqCst);
                let own = deriva.put(format!("{reader} {asked}")).await.unwrap();
                let below = [top, over, world.two][asked as usize % 3];
                let addr = match asked % 4 {
                    0 => recipe(deriva, "copy", &[below, own]).await,
                    1 => top,
                    2 => over,
                    _ => world.two,
                };
                let cutoff = [Cutoff::Always, Cutoff::Auto, Cutoff::Never][asked as usize % 3];
                let bytes = match (reader + asked) % 5 {
                    0 => {
                        let request = deriva.materialize(addr).cutoff(cutoff);
                        let request = request.store_results(StoreResults::None).await;
                        request.unwrap();
                        continue;
                    }
                    1 => {
                        // Given up in the middle.
                        let request = deriva.materialize(addr).cutoff(cutoff).into_future();
                        let _ =
                            tokio::time::timeout(Duration::from_micros(50 * asked % 1000), request)
                                .await;
                        continue;
                    }
                    2 => {
                        let request = deriva.materialize(addr).cutoff(cutoff).await.unwrap();
                        let stat = request.results[0].as_ref().unwrap();
                        deriva.blobs().read_all(stat.addr).await.unwrap()
                    }
                    _ => deriva.get(addr).await.unwrap(),
                };
                let version: u64 = std::str::from_utf8(&bytes).unwrap().parse().unwrap();
                assert!(version >= oldest, "{version} after {oldest}, by {reader}");
            }
            asked
        }));
    }
    for round in 2..ROUNDS + 2 {
        world.version.store(round, Ordering::SeqCst);
        let done = world.deriva.invalidate(world.one).cascade().await.unwrap();
        assert!(done.recipes >= 4);
        floor.store(round, Ordering::SeqCst);
        world.deriva.get(over).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    // What is recorded is as new, too.
    let nodes: Vec<_> = world.deriva.dag().list(None).try_collect().await.unwrap();
    let outputs = nodes.into_iter().filter_map(|(_, node)| node.output);
    let mut versions =
        futures::stream::iter(outputs).then(|output| world.deriva.blobs().read_all(output.addr));
    while let Some(bytes) = versions.next().await {
        assert_eq!(bytes.unwrap(), (ROUNDS + 1).to_string());
    }
}
