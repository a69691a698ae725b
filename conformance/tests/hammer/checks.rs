//! Checks beside what is not checked, of functions that lie and of such that do not, while outputs are forgotten, vanish, and are
//! collected.
//!
//! A lie names the call that gave it, so it is known again wherever it turns up. Whoever is told of a violation has
//! seen which answers differ. From then on:
//!
//! - No request that begins later is served one of these answers, or anything made from one, checked or not.
//! - A recipe that fails where it is found to lie is refused, whatever it is called and whoever asks, unless a quorum
//!   agreed on an answer; then there is that answer or none.
//! - One of which violations are only reported is computed anew, and what comes of it is doubted.
//!
//! What honest functions give is right at all times, and none of them is ever found to lie.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use conformance::UriFixture;
use conformance::proof::{Family, lies_in, with_liars};
use deriva::admin::CollectPolicy;
use deriva::determinism::Violation;
use deriva::events::Event;
use deriva::{
    Blob, CAddr, Clock, Cutoff, Deriva, Determinism, ErrorKind, Materialized, Result, SystemClock,
};
use deriva_testkit::{SplitMix64, YieldLayer, give_way};
use futures::future::{Either, join_all, select};
use parking_lot::Mutex;
use rstest::rstest;

use super::{CLIENTS, GIVEN_BACK, seconds, watch};

/// Families that clients ask for, and families that roots keep; older ones are collected.
const ASKED: usize = 6;
const ROOTED: usize = 9;
/// Requests after which there is a new family.
const REQUESTS: u64 = 40;
/// Requests that there are however long they take.
const LEAST: u64 = 300;

#[rstest]
#[case("memory", "")]
#[case("sled", "?durability=buffered")]
fn what_was_told_to_be_a_lie_is_served_to_nobody(#[case] scheme: &str, #[case] options: &str) {
    let fixture = UriFixture::new(scheme, options);
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let hammer = Arc::new(tokio.block_on(Hammer::new(&fixture.uri())));
    let (stop, watchdog) = watch(&hammer.progress);
    tokio.block_on(hammer.run());
    // R1: what dropped requests left behind ends, and everything is given back.
    let left = tokio.block_on(hammer.deriva.given_back(GIVEN_BACK));
    assert!(left.is_zero(), "not given back: {left:?}");
    tokio.block_on(hammer.check());
    drop(hammer);
    drop(tokio);
    stop.send(()).unwrap();
    watchdog.join().unwrap();
}

struct Hammer {
    deriva: Deriva,
    clock: SystemClock,
    families: Mutex<Vec<Arc<Family>>>,
    /// Held by who adds a family.
    growing: tokio::sync::Mutex<()>,
    told: Mutex<Told>,
    /// Counts what is told, and requests that begin.
    moments: AtomicU64,
    requests: AtomicU64,
    progress: Arc<AtomicU64>,
    over: AtomicBool,
    /// Requests that were refused, that were answered with something doubted, and that were answered with a lie that
    /// nobody knew yet.
    refused: AtomicU64,
    doubted: AtomicU64,
    unknown: AtomicU64,
}

/// What was told, and when first.
#[derive(Default)]
struct Told {
    /// By recipe: also what a quorum agreed on then.
    violations: HashMap<CAddr, (u64, Option<CAddr>)>,
    /// Answers that are not what was agreed on.
    lies: HashMap<CAddr, u64>,
}

/// How something is asked for.
struct Asking {
    addr: CAddr,
    mode: Determinism,
    cutoff: Cutoff,
    perturb: bool,
    keep_going: bool,
    jobs: usize,
    /// How long somebody waits for it.
    patience: u64,
}

impl Asking {
    fn new(family: &Family, random: &mut SplitMix64) -> Self {
        let addrs: Vec<CAddr> = (family.suspects())
            .chain(family.honest.iter().map(|(addr, _)| *addr))
            .collect();
        let modes = ["off", "off", "off", "dual", "sampled:0.5", "quorum:2/3"];
        let mode = match random.below(6) as usize {
            // Of these a quorum alone knows what is right.
            3.. if family.lies_once() => "quorum:2/3",
            at => modes[at],
        };
        let cutoffs = [Cutoff::Auto, Cutoff::Always, Cutoff::Never];
        Self {
            addr: addrs[random.below(addrs.len() as u64) as usize],
            mode: mode.parse().unwrap(),
            cutoff: cutoffs[random.below(3) as usize],
            perturb: random.below(2) == 0,
            keep_going: random.below(3) == 0,
            jobs: 1 + random.below(4) as usize,
            patience: match random.below(4) {
                0 => random.below(400),
                _ => u64::MAX,
            },
        }
    }
}

impl Hammer {
    async fn new(uri: &str) -> Self {
        let builder = deriva::builder().store(uri).jobs(4);
        let mut builder = with_liars(builder, "hammer").unwrap();
        if uri.starts_with("memory") {
            // It takes its time as others do, so that more comes between.
            builder = builder.layer(YieldLayer::new(1, 20));
        }
        Self {
            deriva: builder.build().await.unwrap(),
            clock: SystemClock::new(),
            families: Mutex::default(),
            growing: tokio::sync::Mutex::default(),
            told: Mutex::default(),
            moments: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            progress: Arc::default(),
            over: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            doubted: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        }
    }

    async fn run(self: &Arc<Self>) {
        for _ in 0..ASKED {
            self.next_family().await;
        }
        let collector = tokio::spawn(Arc::clone(self).collect());
        let clients = (0..CLIENTS).map(|id| tokio::spawn(Arc::clone(self).client(id)));
        for ended in join_all(clients.collect::<Vec<_>>()).await {
            ended.unwrap();
        }
        self.over.store(true, Relaxed);
        collector.await.unwrap();
    }

    async fn client(self: Arc<Self>, id: u64) {
        let mut random = SplitMix64::new(id);
        while self.clock.now() < seconds(2) || self.requests.load(Relaxed) < LEAST {
            if self.requests.fetch_add(1, Relaxed) % REQUESTS == REQUESTS - 1 {
                self.next_family().await;
            }
            self.act(&mut random).await;
            self.progress.fetch_add(1, Relaxed);
        }
    }

    /// A family more to ask for, and one fewer that is kept.
    async fn next_family(&self) {
        let _alone = self.growing.lock().await;
        let nth = self.families.lock().len();
        let family = Family::new(nth as u64).unwrap();
        let lease = self.deriva.lease();
        let addrs = family.recipes.iter().map(|recipe| recipe.addr());
        lease.protect_many(addrs.chain([family.leaf.addr()])).await;
        self.deriva
            .put_many(std::slice::from_ref(&family.leaf))
            .await
            .unwrap();
        self.deriva.insert(&family.recipes).await.unwrap();
        for recipe in &family.recipes {
            let root = format!("{nth} {}", recipe.addr());
            self.deriva.set_root(&root, recipe.addr()).await.unwrap();
        }
        let old = {
            let mut families = self.families.lock();
            families.push(Arc::new(family));
            nth.checked_sub(ROOTED)
                .map(|at| (at, Arc::clone(&families[at])))
        };
        let Some((nth, old)) = old else { return };
        for recipe in &old.recipes {
            let root = format!("{nth} {}", recipe.addr());
            self.deriva.remove_root(&root).await.unwrap();
        }
    }

    async fn act(self: &Arc<Self>, random: &mut SplitMix64) {
        let (nth, family) = {
            let families = self.families.lock();
            let nth = families.len() - 1 - random.below(ASKED as u64) as usize;
            (nth, Arc::clone(&families[nth]))
        };
        let asking = Asking::new(&family, random);
        let lease = self.deriva.lease();
        lease.protect(asking.addr).await;
        // Not that one which roots keep no more.
        if nth + ROOTED <= self.families.lock().len() {
            return;
        }
        match random.below(16) {
            // What honest functions give may be the leaf, which nobody makes again.
            0 if family.suspects().any(|addr| addr == asking.addr) => {
                self.vanish(asking.addr).await;
            }
            1 => {
                let forgotten = self.deriva.invalidate(asking.addr).cascade();
                assert!(!forgotten.await.unwrap().dry_run);
            }
            2..=4 => {
                let began = self.moments.fetch_add(1, Relaxed);
                let got = self.deriva.get(asking.addr).await;
                self.judge(&family, asking.addr, began, got.map(|bytes| (bytes, None)));
            }
            _ => self.request(&family, asking).await,
        }
    }

    async fn request(self: &Arc<Self>, family: &Family, asking: Asking) {
        let began = self.moments.fetch_add(1, Relaxed);
        let hammer = Arc::clone(self);
        let request = self.deriva.materialize(asking.addr);
        let request = request
            .determinism(asking.mode)
            .cutoff(asking.cutoff)
            .perturb(asking.perturb)
            .jobs(asking.jobs)
            .progress(move |event| hammer.hear(event));
        let request = match asking.keep_going {
            true => request.keep_going(),
            false => request,
        };
        let patience = pin!(give_way(asking.patience));
        let Either::Left((done, _)) = select(pin!(request.into_future()), patience).await else {
            return;
        };
        let answer = match done {
            Ok(done) => self.answer(done).await,
            Err(error) => Err(error),
        };
        // What was stored may have vanished before it was read.
        let Some(answer) = answer.transpose() else {
            return;
        };
        let answer = answer.map(|(bytes, doubted)| (bytes, Some(doubted)));
        self.judge(family, asking.addr, began, answer);
    }

    /// The bytes, where they are still to be had, and whether they are doubted.
    async fn answer(&self, mut done: Materialized) -> Result<Option<(Bytes, bool)>> {
        let stat = done.results.swap_remove(0)?;
        let blob = match done.held.swap_remove(0) {
            None => self.deriva.blobs().get(stat.addr).await?,
            held => held,
        };
        let doubted = !done.doubted.is_empty();
        Ok(blob.map(|blob| (blob.into_bytes(), doubted)))
    }

    fn hear(&self, event: &Event) {
        self.progress.fetch_add(1, Relaxed);
        if let Event::Violated { violation, .. } = event {
            self.hear_of(violation);
        }
    }

    fn hear_of(&self, violation: &Violation) {
        let function = violation.function.name();
        assert!(function.starts_with("lie."), "blamed: {violation}");
        let mut told = self.told.lock();
        let now = self.moments.fetch_add(1, Relaxed);
        let accepted = violation.accepted;
        let first = told.violations.entry(violation.recipe);
        // What was accepted once and not again is accepted no more.
        first.or_insert((now, accepted)).1 = accepted;
        let answers = violation.answers.iter().filter_map(|answer| answer.addr);
        for lie in answers.filter(|answer| accepted != Some(*answer)) {
            told.lies.entry(lie).or_insert(now);
        }
    }

    /// Judges an answer that was asked for at a moment; with it, where that is known, whether it is doubted.
    fn judge(
        &self,
        family: &Family,
        addr: CAddr,
        began: u64,
        answer: Result<(Bytes, Option<bool>)>,
    ) {
        if let Some((_, expected)) = family.honest.iter().find(|(honest, _)| *honest == addr) {
            let (bytes, doubted) = answer.unwrap();
            assert_eq!(&bytes, expected);
            assert!(doubted != Some(true), "{addr} is doubted");
            return;
        }
        let told = self.told.lock();
        let known = |addr: &CAddr| told.violations.get(addr).filter(|(at, _)| *at < began);
        // The first name is that of the computation itself; what lies above it needs that one.
        let known = family.lies.iter().find_map(known);
        let (bytes, doubted) = match answer {
            Ok(answer) => answer,
            // It vanished while it was read.
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                let is_of_lies = error.kind() == ErrorKind::Nondeterministic;
                // Where two records meet, neither is served, also of what is to be reported alone.
                let of_records = error.context("found_by") == Some("record")
                    || error.context("recorded").is_some();
                assert!(
                    is_of_lies && (family.fails() || of_records),
                    "{addr}: {error:?}"
                );
                self.refused.fetch_add(1, Relaxed);
                return;
            }
        };
        let lies = lies_in(&bytes);
        for lie in &lies {
            let content = [lie.as_bytes(), family.leaf.bytes()].concat();
            let told = told.lies.get(&Blob::new(content).addr());
            let was_told = told.is_some_and(|at| *at < began);
            assert!(!was_told, "{addr} is served after it was told: {lie}");
        }
        match known {
            None => drop(self.unknown.fetch_add(u64::from(!lies.is_empty()), Relaxed)),
            Some((_, accepted)) if family.fails() => {
                assert!(
                    family.lies_once() && lies.is_empty(),
                    "{addr}: {accepted:?}"
                );
            }
            Some(_) => {
                assert!(doubted != Some(false), "{addr} is not doubted: {lies:?}");
                self.doubted.fetch_add(1, Relaxed);
            }
        }
    }

    async fn vanish(&self, addr: CAddr) {
        let outputs = self.deriva.dag().outputs(&[addr]).await.unwrap();
        for output in outputs.into_iter().flatten() {
            self.deriva.blobs().remove(&[output.addr]).await.unwrap();
        }
    }

    async fn collect(self: Arc<Self>) {
        while !self.over.load(Relaxed) {
            let policy = CollectPolicy::default().unreferenced_blobs(true);
            self.deriva.collect().policy(policy).await.unwrap();
            self.progress.fetch_add(1, Relaxed);
            give_way(20).await;
        }
    }

    /// What is left: all that was told is in the ledger, and nothing of it is recorded.
    async fn check(&self) {
        let ledger = self.deriva.ledger().await.unwrap();
        for entry in &ledger {
            let violation = entry.violation.as_ref().unwrap();
            assert!(
                violation.function.name().starts_with("lie."),
                "blamed: {violation}"
            );
        }
        let told = self.told.lock().violations.clone();
        for recipe in told.keys() {
            let is_entered = ledger.iter().any(|entry| entry.recipe == *recipe);
            assert!(is_entered, "{recipe} was told, and is not in the ledger");
        }
        let families = self.families.lock().clone();
        for family in families.iter().rev().take(ROOTED - 1) {
            for (addr, expected) in &family.honest {
                assert_eq!(&self.deriva.get(*addr).await.unwrap(), expected);
            }
            if family.lies.iter().any(|lie| told.contains_key(lie)) {
                self.nothing_recorded(family).await;
            }
        }
        let counts = [&self.refused, &self.doubted, &self.unknown].map(|count| count.load(Relaxed));
        eprintln!(
            "{} requests of {} families, {} violations: {counts:?} refused, doubted, not known yet",
            self.requests.load(Relaxed),
            families.len(),
            told.len(),
        );
        assert!(told.len() > 3 && !counts.contains(&0), "nothing went wrong");
    }

    /// But for what a quorum agreed on, and what was made from that.
    async fn nothing_recorded(&self, family: &Family) {
        let suspects: Vec<CAddr> = family.suspects().collect();
        let outputs = self.deriva.dag().outputs(&suspects).await.unwrap();
        for (addr, output) in suspects.iter().zip(outputs) {
            let Some(output) = output else { continue };
            assert!(family.lies_once(), "{addr} is recorded, or rests on a lie");
            if let Some(blob) = self.deriva.blobs().get(output.addr).await.unwrap() {
                assert_eq!(lies_in(blob.bytes()), [""; 0], "{addr}");
            }
        }
    }
}
