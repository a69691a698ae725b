//! Clients that do whatever comes to their mind, and check every answer.

use std::future::IntoFuture;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deriva::{
    BlobStore, CAddr, CollectPolicy, Cutoff, DagStore, ErrorKind, Event, Materialize, Materialized,
    Result, StoreResults,
};
use deriva_testkit::{SplitMix64, give_way};
use futures::future::{Either, join_all, select};

use crate::world::World;

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
                let got = deriva.get(addr).await;
                if let Ok(bytes) = &got {
                    assert_eq!(bytes, world.graph.expected[&addr].bytes(), "{addr}");
                }
                self.told("get", &got);
            }
            10..=11 => self.fill().await,
            12..=13 => {
                let addr = self.any();
                let outputs = world.raw.outputs(&[addr]).await.unwrap();
                for output in outputs.into_iter().flatten() {
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
                let done = request.await;
                self.told("invalidate", &done);
            }
            15 => {
                let unreferenced = self.random.below(2) == 0;
                let policy = CollectPolicy::default().unreferenced_blobs(unreferenced);
                let done = deriva.collect().policy(policy).await;
                self.told("collect", &done);
            }
            16 => {
                let (name, addr) = (self.name(), self.any());
                let done = deriva.set_root(&name, addr).await;
                self.told("set_root", &done);
            }
            17 => {
                let done = deriva.remove_root(&self.name()).await;
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

    async fn fill(&self) {
        let World { deriva, graph, .. } = &*self.world;
        let put = deriva.put_many(&graph.leaves).await;
        self.told("put", &put);
        let inserted = deriva.insert(&graph.recipes).await;
        self.told("insert", &inserted);
    }

    async fn materialize(&mut self) {
        let (targets, request) = self.request();
        let done = request.await;
        self.check(&targets, done);
    }

    async fn materialize_and_drop(&mut self) {
        let (targets, request) = self.request();
        let patience = give_way(self.random.below(80));
        match select(pin!(request.into_future()), pin!(patience)).await {
            Either::Left((done, _)) => self.check(&targets, done),
            Either::Right(_) => self.note("drops"),
        }
    }

    fn request(&mut self) -> (Vec<CAddr>, Materialize) {
        let targets: Vec<CAddr> = (0..1 + self.random.below(3)).map(|_| self.any()).collect();
        let mut request = self.world.deriva.materialize_many(targets.clone());
        let random = &mut self.random;
        if random.below(3) == 0 {
            request = request.keep_going();
        }
        if random.below(6) == 0 {
            request = request.deadline(Duration::from_millis(random.below(60)));
        }
        if random.below(3) == 0 {
            request = request.jobs(1 + random.below(4) as usize);
        }
        if random.below(3) == 0 {
            request = request.priority(random.below(3) as i32);
        }
        match random.below(6) {
            0 => request = request.store_results(StoreResults::None),
            1 => request = request.store_results(StoreResults::Roots),
            _ => {}
        }
        if !self.world.cutoff_forced {
            match random.below(6) {
                0 => request = request.cutoff(Cutoff::Always),
                1 => request = request.cutoff(Cutoff::Never),
                _ => {}
            }
        }
        let (world, id) = (Arc::clone(&self.world), self.id);
        let request = request.progress(move |event| {
            if let Some(line) = line(event) {
                world.note(format!("{id}   {line}"));
            }
        });
        (targets, request)
    }

    /// A right answer, or an error that somebody caused.
    fn check(&self, targets: &[CAddr], done: Result<Materialized>) {
        if let Ok(done) = &done {
            for (addr, result) in targets.iter().zip(&done.results) {
                match result {
                    Ok(stat) => assert_eq!(*stat, self.world.graph.expected[addr].stat(), "{addr}"),
                    Err(_) => self.told("  of these", result),
                }
            }
        }
        self.told("materialize", &done);
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
        match result {
            Ok(_) => self.note(&format!("{call}: done")),
            Err(error) => {
                assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Unavailable
                            | ErrorKind::Full
                            | ErrorKind::Function
                            | ErrorKind::Timeout
                            | ErrorKind::NotFound
                    ),
                    "{call}: {error:?}"
                );
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
        _ => return None,
    })
}
