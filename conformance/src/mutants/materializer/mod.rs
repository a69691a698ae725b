//! The mutants' materializer: as little of a runtime as keeps every promise, and beside it what breaks it.
//!
//! A request plans the whole graph in maps (`plan.rs`) and runs it (`run.rs`). Each step is a task of its own
//! that ends whatever becomes of the request, and others join it (`step.rs`). Who asked hears of it (`tell.rs`). What adds
//! passes the gate together, what takes away passes it alone (`collect.rs`). Steps are checked in `determinism.rs`, and what
//! was found to differ is remembered in `ledger.rs`.

mod collect;
mod determinism;
mod ledger;
mod plan;
mod run;
mod slots;
mod step;
mod tell;

use std::collections::HashMap;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deriva_api::{
    Audited, Blob, BlobStore, BlobStoreExt, CAddr, Clock, ComputeFunction, DagStore, Determinism,
    Error, ErrorKind, FunctionId, LedgerEntry, Materialized, Materializer, OnViolation,
    OpenedStore, Recipe, Request, Result,
};
use deriva_testkit::{MaterializerFixture, Setup};
use futures::TryFutureExt;
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::RwLock;

use self::ledger::Entry;
use self::slots::{Priority, Slots};
use self::step::Flight;
use super::fixture::StoreFixture;
use super::list::Break;

#[derive(Clone)]
struct Small(Arc<Shared>);

struct Shared {
    broken: Option<Break>,
    blobs: Arc<dyn BlobStore>,
    dag: Arc<dyn DagStore>,
    functions: Vec<Arc<dyn ComputeFunction>>,
    clock: Arc<dyn Clock>,
    tokio: Handle,
    jobs: usize,
    slots: Arc<Slots>,
    stores: Arc<Stores>,
    flights: Arc<Flights>,
    /// For breaks alone: answers and failures of before, and which request is to run what.
    answers: Mutex<HashMap<CAddr, Bytes>>,
    failures: Mutex<HashMap<CAddr, Error>>,
    claims: Mutex<HashMap<CAddr, u64>>,
    memory: Mutex<Vec<Entry>>,
    determinism: Determinism,
    on_violation: OnViolation,
    requests_may_lower: bool,
    sampling_key: [u8; 32],
}

/// The steps that run, each with its number, its priority and how it is checked.
type Flights = Mutex<HashMap<CAddr, (u64, Flight, Priority, Determinism)>>;

/// What all materializers over the same stores share.
#[derive(Default)]
struct Stores {
    gate: RwLock<()>,
    flights: Arc<Flights>,
    leases: Mutex<HashMap<u64, Vec<CAddr>>>,
    numbers: Mutex<u64>,
    /// Whose turn it is to change the ledger.
    turn: tokio::sync::Mutex<()>,
}

impl Small {
    fn open(
        stores: OpenedStore,
        setup: Setup,
        broken: Option<Break>,
        shared: Arc<Stores>,
    ) -> Result<Self> {
        let absent = || Error::new(ErrorKind::Invalid, "a store is missing");
        if broken != Some(Break::takes_modes_that_are_none) {
            setup.determinism.check()?;
        }
        Ok(Self(Arc::new(Shared {
            broken,
            blobs: stores.blobs.ok_or_else(absent)?,
            dag: stores.dag.ok_or_else(absent)?,
            functions: setup.functions,
            clock: setup.clock,
            tokio: Handle::current(),
            jobs: setup.jobs,
            slots: Slots::new(setup.jobs),
            flights: match broken {
                Some(Break::joins_nothing_of_others) => Arc::default(),
                _ => Arc::clone(&shared.flights),
            },
            stores: shared,
            answers: Mutex::default(),
            failures: Mutex::default(),
            claims: Mutex::default(),
            memory: Mutex::default(),
            determinism: setup.determinism,
            on_violation: setup.on_violation,
            requests_may_lower: setup.requests_may_lower,
            sampling_key: setup.sampling_key,
        })))
    }

    fn broken(&self, how: Break) -> bool {
        self.0.broken == Some(how)
    }

    fn function(&self, id: &FunctionId) -> Option<&Arc<dyn ComputeFunction>> {
        let known = |function: &&Arc<dyn ComputeFunction>| function.id() == id;
        self.0.functions.iter().find(known)
    }

    /// A number that nobody else gets.
    fn number(&self) -> u64 {
        let mut numbers = self.0.stores.numbers.lock();
        *numbers += 1;
        *numbers
    }

    async fn fulfil(&self, request: Request) -> Result<Materialized> {
        let one_thread = Handle::try_current()
            .is_ok_and(|tokio| tokio.runtime_flavor() == RuntimeFlavor::CurrentThread);
        if self.broken(Break::wants_many_threads) && one_thread {
            return Err(Error::new(ErrorKind::Unsupported, "there is one thread"));
        }
        if request.jobs == Some(0) && !self.broken(Break::runs_requests_for_no_steps) {
            let what = "a request for one step at once or more was expected";
            return Err(Error::new(ErrorKind::Invalid, what).with("jobs", 0));
        }
        let id = request.request_id.as_deref();
        if let Some(id) = id.filter(|_| !self.broken(Break::takes_any_request_id)) {
            Request::check_id(id)?;
        }
        self.check_modes(&request)?;
        let _lease = match self.broken(Break::leases_nothing_while_it_runs) {
            true => self.hold(&[]).await,
            false => self.hold(&request.targets).await,
        };
        // What stays where it is not taken out again: for breaks alone.
        let dropped = self.broken(Break::keeps_a_lease_where_a_request_is_dropped);
        let kept = dropped.then(|| ManuallyDrop::new(self.note(&request.targets)));
        let plan = self.plan(&request);
        let done = plan.and_then(|plan| self.run(plan, &request)).await;
        drop(kept.map(ManuallyDrop::into_inner));
        let keeps = match done.as_ref().err().map(Error::kind) {
            None => false,
            Some(ErrorKind::Full) => self.broken(Break::keeps_a_lease_where_the_store_fails),
            Some(_) => self.broken(Break::keeps_a_lease_where_a_request_fails),
        };
        if keeps {
            std::mem::forget(self.note(&request.targets));
        }
        done
    }

    async fn in_time(&self, request: Request) -> Result<Materialized> {
        let deadline = match self.broken(Break::takes_no_notice_of_deadlines) {
            true => None,
            false => request.deadline,
        };
        let late = self.late(deadline);
        if self.broken(Break::goes_on_when_nobody_asks) {
            let own = self.clone();
            let task = self.0.tokio.spawn(async move { own.fulfil(request).await });
            return task.await.unwrap_or_else(|gone| {
                Err(Error::new(ErrorKind::Cancelled, "it was given up").caused_by(gone))
            });
        }
        tokio::select! {
            biased;
            done = self.fulfil(request) => done,
            error = late => Err(error),
        }
    }
}

#[async_trait]
impl Materializer for Small {
    async fn put(&self, blobs: &[Blob]) -> Result<()> {
        let _together = self.0.stores.gate.read().await;
        self.0.blobs.put(blobs).await
    }

    async fn insert(&self, recipes: &[Recipe]) -> Result<()> {
        let _together = self.0.stores.gate.read().await;
        self.0.dag.insert(recipes).await.map(drop)
    }

    async fn materialize(&self, request: Request) -> Result<Materialized> {
        let id = request.request_id.clone();
        let named = |error: Error| match &id {
            Some(id) if !self.broken(Break::names_no_request) => error.with("request", id),
            _ => error,
        };
        let mut done = self.in_time(request).await.map_err(named)?;
        if !self.broken(Break::names_no_request_in_results) {
            let results = std::mem::take(&mut done.results).into_iter();
            done.results = results.map(|result| result.map_err(named)).collect();
        }
        Ok(done)
    }

    async fn get(&self, addr: CAddr) -> Result<Bytes> {
        if let Some(answer) = self.0.answers.lock().get(&addr) {
            return Ok(answer.clone());
        }
        let _lease = self.hold(&[addr]).await;
        let done = self.materialize(Request::new([addr])).await?;
        let none = || {
            Err(Error::new(
                ErrorKind::Internal,
                "a request without a result",
            ))
        };
        let is_doubted = !done.doubted.is_empty();
        if let Some(Some(held)) = done.held.into_iter().next()
            && is_doubted
        {
            return Ok(held.into_bytes());
        }
        let stat = done.results.into_iter().next().unwrap_or_else(none)?;
        let bytes = match self.broken(Break::serves_lost_blobs_as_empty) {
            true => (self.0.blobs.get(stat.addr).await?).map_or(Bytes::new(), Blob::into_bytes),
            false => self.0.blobs.read_all(stat.addr).await?,
        };
        if self.broken(Break::serves_what_was_forgotten)
            || self.broken(Break::hears_of_its_own_forgetting_alone)
        {
            self.0.answers.lock().insert(addr, bytes.clone());
        }
        Ok(bytes)
    }

    async fn forget(&self, addr: CAddr) -> Result<()> {
        if self.broken(Break::hears_of_its_own_forgetting_alone) {
            self.0.answers.lock().remove(&addr);
        }
        self.take_output(addr).await
    }

    async fn ledger(&self) -> Result<Vec<LedgerEntry>> {
        self.entries().await
    }

    async fn release(&self, recipe: CAddr) -> Result<()> {
        self.let_go(recipe).await
    }

    async fn audit(&self, addr: CAddr) -> Result<Audited> {
        self.compare_again(addr).await
    }

    async fn lease(&self, addrs: &[CAddr]) -> Result<Box<dyn Send + Sync>> {
        Ok(Box::new(self.hold(addrs).await))
    }

    async fn collect(&self) -> Result<()> {
        self.take_what_nobody_needs().await
    }

    fn in_use(&self) -> Vec<(&'static str, u64)> {
        let flights = self.0.flights.lock().len() as u64;
        let leases = self.0.stores.leases.lock().len() as u64;
        let slots = self.0.jobs - self.0.slots.free();
        vec![
            ("flights", flights),
            ("leases", leases),
            ("slots", slots as u64),
        ]
    }
}

impl fmt::Debug for Small {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mutant ({:?})", self.0.broken)
    }
}

/// The materializer, with or without a break, over a store that is whole.
pub(super) struct SmallFixture {
    pub(super) store: StoreFixture,
    pub(super) broken: Option<Break>,
    shared: Arc<Stores>,
}

impl SmallFixture {
    pub(super) fn new(store: StoreFixture, broken: Option<Break>) -> Self {
        let shared = Arc::default();
        Self {
            store,
            broken,
            shared,
        }
    }
}

impl fmt::Debug for SmallFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmallFixture({:?})", self.broken)
    }
}

#[async_trait]
impl MaterializerFixture for SmallFixture {
    async fn stores(&self) -> Result<OpenedStore> {
        deriva_testkit::Fixture::open(&self.store).await
    }

    async fn open(&self, stores: OpenedStore, setup: Setup) -> Result<Arc<dyn Materializer>> {
        let shared = match self.broken {
            Some(Break::knows_nothing_of_others) => Arc::default(),
            _ => Arc::clone(&self.shared),
        };
        let small = Small::open(stores, setup, self.broken, shared)?;
        small.opened().await?;
        Ok(Arc::new(small))
    }
}
