//! Clients that do whatever comes to their mind, and check every answer.

use std::future::IntoFuture;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use deriva::admin::CollectPolicy;
use deriva::events::{Event, Reuse};
use deriva::stores::{BlobStore, DagStore};
use deriva::{
    CAddr, Cutoff, Determinism, ErrorKind, Materialize, Materialized, Result, StoreResults,
};
use deriva_testkit::{SplitMix64, give_way};
use futures::future::{Either, join_all, select};

use super::acknowledged::{Asked, Seen};
use super::world::{PLANNED, World};

pub(crate) async fn run(world: &Arc<World>) {
    let count = 2 + world.seed % 5;
    let start = |id| tokio::spawn(Client::new(world, id).run());
    let clients: Vec<_> = (0..count).map(start).collect();
    for ended in join_all(clients).await {
        ended.unwrap();
    }
}

struct Client {
    world: Arc<World>,
    id: u64,
    random: SplitMix64,
}

impl Client {
    fn new(world: &Arc<World>, id: u64) -> Self {
        Self {
            world: Arc::clone(world),
            id,
            random: SplitMix64::new(world.seed.wrapping_mul(1000) + id),
        }
    }

    async fn run(mut self) {
        // Most have something to work on.
        if self.random.below(4) > 0 {
            self.fill().await;
        }
        for _ in 0..4 + self.random.below(5) {
            self.step().await;
        }
    }

    async fn step(&mut self) {
        let world = Arc::clone(&self.world);
        let deriva = &world.deriva;
        match self.random.below(20) {
            0..=5 => self.materialize().await,
            6..=7 => self.materialize_and_drop().await,
            8..=9 => {
                let addr = self.any();
                self.read(addr).await;
            }
            10..=11 => self.fill().await,
            12..=13 => {
                let addr = self.any();
                let outputs = world.raw.outputs(&[addr]).await.unwrap();
                for output in outputs.into_iter().flatten() {
                    world.vanished.lock().insert(output.addr);
                    BlobStore::remove(&world.raw, &[output.addr]).await.unwrap();
                }
                self.note("a blob vanishes");
            }
            14 => {
                let addr = self.any();
                let mut request = deriva.invalidate(addr);
                if self.random.below(2) == 0 {
                    request = request.cascade();
                }
                let undoing = world.undoing.begin();
                if let Some(done) = self.in_patience(request.into_future()).await {
                    drop(undoing);
                    if done.is_ok() {
                        world.check_forgotten(addr).await;
                    }
                    self.told("invalidate", &done);
                } else {
                    // For all that is known it goes on.
                    std::mem::forget(undoing);
                }
            }
            15 => {
                let unreferenced = self.random.below(2) == 0;
                let policy = CollectPolicy::default().unreferenced_blobs(unreferenced);
                let request = deriva.collect().policy(policy);
                let undoing = world.undoing.begin();
                match self.in_patience(request.into_future()).await {
                    Some(done) => {
                        drop(undoing);
                        self.told("collect", &done);
                    }
                    None => std::mem::forget(undoing),
                }
            }
            16 => {
                let (name, addr) = (self.name(), self.any());
                let since = world.rooting.now();
                let rooting = world.rooting.begin();
                let done = deriva.set_root(&name, addr).await;
                drop(rooting);
                if done.is_ok() {
                    world.check_root(since.but_me(), &name, Some(addr)).await;
                }
                self.told("set_root", &done);
            }
            17 => {
                let name = self.name();
                let since = world.rooting.now();
                let rooting = world.rooting.begin();
                let done = deriva.remove_root(&name).await;
                drop(rooting);
                if done.is_ok() {
                    world.check_root(since.but_me(), &name, None).await;
                }
                self.told("remove_root", &done);
            }
            18 => {
                let kind = [ErrorKind::Unavailable, ErrorKind::Full][self.random.below(2) as usize];
                let nth = 1 + self.random.below(15);
                match self.random.below(2) {
                    0 => world.faults.fail_call(nth, kind),
                    _ => world.faults.lose_call(nth, kind),
                }
                self.note("a fault is set");
            }
            _ => give_way(self.random.below(30)).await,
        }
    }

    /// What `work` answers, or nothing where it is dropped before: one in eight is.
    async fn in_patience<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        if self.random.below(8) > 0 {
            return Some(work.await);
        }
        let patience = give_way(self.random.below(60));
        match select(pin!(work), pin!(patience)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => {
                self.note("drops it");
                None
            }
        }
    }

    async fn fill(&mut self) {
        let world = Arc::clone(&self.world);
        let World { deriva, graph, .. } = &*world;
        let since = world.undoing.now();
        let put = match self.random.below(3) {
            0 => self.stream().await,
            _ => deriva.put_many(&graph.leaves).await,
        };
        if put.is_ok() {
            world.check_added(since, &graph.leaves, &[]).await;
        }
        self.told("put", &put);
        let since = world.undoing.now();
        let inserted = deriva.insert(&graph.recipes).await;
        if inserted.is_ok() {
            world.check_added(since, &[], &graph.recipes).await;
        }
        self.told("insert", &inserted);
    }

    /// Puts all leaves from readers; some are begun and given up.
    async fn stream(&mut self) -> Result<()> {
        let world = Arc::clone(&self.world);
        for leaf in &world.graph.leaves {
            let read = || world.deriva.put_reader(leaf.bytes().as_ref());
            match self.in_patience(read()).await {
                Some(stat) => assert_eq!(stat?, leaf.stat()),
                None => drop(read().await?),
            }
        }
        Ok(())
    }

    /// Reads in one of the ways there are, and checks what was read.
    async fn read(&mut self, addr: CAddr) {
        let world = Arc::clone(&self.world);
        let deriva = &world.deriva;
        let (name, got) = match self.random.below(3) {
            0 => ("get", deriva.get(addr).await),
            1 => ("pin", self.pinned(addr).await),
            _ => ("open", self.opened(addr).await),
        };
        if let Ok(bytes) = &got {
            assert_eq!(bytes, world.graph.expected[&addr].bytes(), "{addr}");
        }
        self.told(name, &got);
    }

    async fn pinned(&mut self, addr: CAddr) -> Result<bytes::Bytes> {
        let pinned = self.world.deriva.pin(addr).await?;
        give_way(self.random.below(20)).await;
        Ok(pinned.bytes().clone())
    }

    async fn opened(&mut self, addr: CAddr) -> Result<bytes::Bytes> {
        let mut reader = self.world.deriva.open(addr).await?;
        // Whatever is collected meanwhile.
        give_way(self.random.below(60)).await;
        let chunk = reader.next_chunk().await?;
        Ok(chunk.unwrap_or_default())
    }

    async fn materialize(&mut self) {
        let (asked, request) = self.request().await;
        // What is found to differ is undone.
        let world = Arc::clone(&self.world);
        let undoing = asked.checks.then(|| world.undoing.begin());
        let done = request.await;
        drop(undoing);
        self.check(&asked, done).await;
    }

    async fn materialize_and_drop(&mut self) {
        let (asked, request) = self.request().await;
        let world = Arc::clone(&self.world);
        let undoing = asked.checks.then(|| world.undoing.begin());
        let patience = give_way(self.random.below(80));
        match select(pin!(request.into_future()), pin!(patience)).await {
            Either::Left((done, _)) => {
                drop(undoing);
                self.check(&asked, done).await;
            }
            Either::Right(_) => {
                self.note("drops");
                asked.leave(&self.world);
                // For all that is known something is undone still.
                std::mem::forget(undoing);
            }
        }
    }

    async fn request(&mut self) -> (Asked, Materialize) {
        let targets: Vec<CAddr> = (0..1 + self.random.below(3)).map(|_| self.any()).collect();
        let named: Vec<_> = targets.iter().map(CAddr::short).collect();
        self.note(&format!("asks for {}", named.join(", ")));
        let mut request = self.world.deriva.materialize_many(targets.clone());
        let mut asked = Asked::new(&self.world, targets).await;
        let random = &mut self.random;
        if random.below(3) == 0 {
            request = request.keep_going();
        }
        if random.below(6) == 0 {
            request = request.deadline(Duration::from_millis(random.below(60)));
            asked.has_deadline = true;
        }
        if random.below(3) == 0 {
            request = request.jobs(1 + random.below(4) as usize);
        }
        if random.below(3) == 0 {
            request = request.priority(random.below(3) as i32);
        }
        match random.below(6) {
            0 => asked.results = StoreResults::None,
            1 => asked.results = StoreResults::Roots,
            _ => {}
        }
        request = request.store_results(asked.results);
        if !self.world.cutoff_forced {
            match random.below(6) {
                0 => request = request.cutoff(Cutoff::Always),
                1 => request = request.cutoff(Cutoff::Never),
                _ => {}
            }
        }
        if self.world.checks && self.random.below(2) == 0 {
            let mode = match self.random.below(4) {
                0 => Determinism::Sampled { rate: 0.5 },
                1 => Determinism::Quorum { agree: 2, of: 3 },
                _ => Determinism::Dual,
            };
            self.note(&format!("  checks: {mode}"));
            request = request.determinism(mode);
            asked.checks = true;
        }
        if self.random.below(20) == 0 {
            asked.is_doomed = true;
            let left = AtomicU64::new(self.random.below(8));
            // The last event that it tells.
            request = request.progress(move |_| {
                let is_last = left.fetch_sub(1, Relaxed) == 0;
                assert!(!is_last, "{PLANNED}");
            });
        }
        let (world, id) = (Arc::clone(&self.world), self.id);
        let seen = Arc::clone(&asked.seen);
        let request = request.progress(move |event| {
            if let Some(line) = line(event) {
                world.note(format!("{id}   {line}"));
            }
            let (addr, is_cutoff) = match event {
                Event::Computed { addr, .. } => (*addr, false),
                Event::Reused { addr, how, .. } => (*addr, *how == Reuse::Cutoff),
                _ => return,
            };
            seen.lock().push(Seen { addr, is_cutoff });
        });
        (asked, request)
    }

    /// A right answer, or an error that somebody caused.
    async fn check(&self, asked: &Asked, done: Result<Materialized>) {
        asked.check(&self.world, &done).await;
        let excuses = |kind| asked.excuses(&self.world, kind);
        if let Ok(done) = &done {
            for (addr, result) in asked.targets.iter().zip(&done.results) {
                match result {
                    Ok(stat) => assert_eq!(*stat, self.world.graph.expected[addr].stat(), "{addr}"),
                    Err(_) => self.told_unless("  of these", result, excuses),
                }
            }
        }
        self.told_unless("materialize", &done, excuses);
    }

    fn any(&mut self) -> CAddr {
        let recipes = &self.world.graph.recipes;
        recipes[self.random.below(recipes.len() as u64) as usize].addr()
    }

    fn name(&mut self) -> String {
        format!("root {}", self.random.below(4))
    }

    fn note(&self, what: &str) {
        self.world.note(format!("{} {what}", self.id));
    }

    fn told<T>(&self, call: &str, result: &Result<T>) {
        self.told_unless(call, result, |kind| {
            kind != ErrorKind::Timeout && kind != ErrorKind::Internal
        });
    }

    /// Notes an answer, which may be an error that somebody caused; `excuses` knows of more.
    fn told_unless<T>(&self, call: &str, result: &Result<T>, excuses: impl Fn(ErrorKind) -> bool) {
        match result {
            Ok(_) => self.note(&format!("{call}: done")),
            Err(error) => {
                let caused = matches!(
                    error.kind(),
                    ErrorKind::Unavailable
                        | ErrorKind::Full
                        | ErrorKind::Function
                        | ErrorKind::Timeout
                        | ErrorKind::NotFound
                        | ErrorKind::Internal
                ) || (self.world.checks
                    && error.kind() == ErrorKind::Nondeterministic);
                assert!(caused && excuses(error.kind()), "{call}: {error:?}");
                self.note(&format!("{call}: {:?}", error.kind()));
            }
        }
        if let Some(broken) = self.world.chance.broken() {
            panic!("{broken}");
        }
    }
}

fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Planned { compute, reused } => format!("planned {compute}, {reused}"),
        Event::Started { addr, .. } => format!("started {}", addr.short()),
        Event::Computed { addr, .. } => format!("computed {}", addr.short()),
        Event::Reused { addr, how, .. } => format!("reused {} {how:?}", addr.short()),
        Event::Healed { addr } => format!("healed {}", addr.short()),
        Event::Failed { addr, error } => format!("failed {} {:?}", addr.short(), error.kind()),
        Event::Skipped { addr } => format!("skipped {}", addr.short()),
        Event::Violated { addr, .. } => format!("violated {}", addr.short()),
        _ => return None,
    })
}
