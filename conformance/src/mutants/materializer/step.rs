//! One step: found, cut off, or run; recorded; and who joins it meanwhile.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use deriva_api::{
    Blob, BlobStat, CAddr, Determinism, Divergence, Error, ErrorKind, FoundBy, FunctionId, Node,
    Output, Params, Reason, Recipe, Record, Result, Violation,
};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Shared};

use super::plan::Todo;
use super::slots::{Priority, Slot};
use super::{Break, Small};

pub(super) type Flight = Shared<BoxFuture<'static, Result<Landed>>>;

thread_local! {
    /// The recipes whose functions run on this thread, outermost first.
    static AROUND: RefCell<Vec<CAddr>> = const { RefCell::new(Vec::new()) };
}

/// The recipes whose functions run around a request that is made here.
pub(super) fn around() -> Vec<CAddr> {
    AROUND.with_borrow(Clone::clone)
}

/// What came of a step.
#[derive(Clone)]
pub(super) struct Landed {
    pub(super) output: Output,
    pub(super) how: How,
    /// The bytes, where they were not to be stored.
    pub(super) held: Option<Blob>,
    /// Whether several runs were compared, and what was seen where they differ.
    pub(super) checked: bool,
    pub(super) violation: Option<Violation>,
    /// Whether they differ, or those of something that it was made from; then it is not stored.
    pub(super) doubted: bool,
}

impl Landed {
    fn new(output: Output, how: How) -> Self {
        Self {
            output,
            how,
            held: None,
            checked: false,
            violation: None,
            doubted: false,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum How {
    Computed,
    Cutoff,
    /// Somebody had recorded it since it was planned.
    Found,
}

pub(super) struct Work {
    pub(super) addr: CAddr,
    pub(super) todo: Todo,
    pub(super) inputs: Vec<BlobStat>,
    /// Those of the inputs that no store has.
    pub(super) held: HashMap<CAddr, Blob>,
    pub(super) cutoff: bool,
    /// Whether what is computed is stored.
    pub(super) stores: bool,
    pub(super) around: Vec<CAddr>,
    /// How often the function runs: more than once for a break alone.
    pub(super) times: usize,
    pub(super) is_target: bool,
    pub(super) priority: Priority,
    /// That of the request, which is nobody else's but in a break.
    pub(super) deadline: Option<Duration>,
    /// How it is checked.
    pub(super) mode: Determinism,
    /// What another request computed that checked less: a run of this check.
    pub(super) prior: Option<Output>,
    /// Whether something that it is made from is doubted.
    pub(super) doubted: bool,
}

impl Work {
    /// A recipe over recorded inputs, for no request.
    pub(super) fn alone(
        addr: CAddr,
        node: &Node,
        inputs: Vec<BlobStat>,
        held: HashMap<CAddr, Blob>,
    ) -> Self {
        Self {
            addr,
            todo: Todo {
                recipe: node.recipe.clone(),
                expected: node.output,
            },
            inputs,
            held,
            cutoff: false,
            stores: false,
            around: Vec::new(),
            times: 1,
            is_target: false,
            priority: Priority::default(),
            deadline: None,
            mode: Determinism::Off,
            prior: None,
            doubted: false,
        }
    }

    /// Why it is computed.
    pub(super) fn reason(&self) -> Reason {
        match self.todo.expected {
            Some(_) => Reason::Lost,
            None => Reason::New,
        }
    }
}

impl Small {
    /// Begins a step, or joins it where it runs: then it is not this request's own.
    pub(super) fn fly(&self, work: Work) -> (bool, BoxFuture<'static, Result<Landed>>) {
        let (addr, number) = (work.addr, self.number());
        let mut flights = self.0.flights.lock();
        let joins = match self.0.broken {
            Some(Break::runs_a_node_for_each_request) => false,
            Some(Break::joins_targets_alone) => work.is_target,
            _ => true,
        };
        if let Some((_, flight, priority, theirs)) = flights.get(&addr).filter(|_| joins) {
            let flight = flight.clone();
            let (own, checks) = (self.clone(), !work.mode.is_off());
            let is_enough = match self.0.broken {
                Some(Break::joins_what_runs_unchecked) => true,
                Some(Break::joins_no_checks) => !checks,
                _ => theirs.is_as_strict_as(work.mode),
            };
            if !is_enough {
                let mut work = work;
                let again = async move {
                    let before = flight.await.ok();
                    let before = before.filter(|it| !it.doubted);
                    work.prior = before.map(|it| it.output);
                    own.fly(work).1.await
                };
                return (true, again.boxed());
            }
            if !self.broken(Break::lends_no_priority) {
                let own = work.priority.load(Ordering::SeqCst);
                priority.fetch_max(own, Ordering::SeqCst);
            }
            if self.broken(Break::loses_patience) {
                let own = self.clone();
                return (
                    false,
                    async move { own.wait_a_little(flight, work, number).await }.boxed(),
                );
            }
            let content = self.broken(Break::serves_a_doubted_output_to_who_checks);
            let joined = async move {
                match flight.await? {
                    landed if landed.doubted && checks && !content => own.fly(work).1.await,
                    landed => own.keep_joined(&work, landed).await,
                }
            };
            return (false, joined.boxed());
        }
        let (sender, receiver) = oneshot::channel();
        let hangs = self.broken(Break::waiters_of_a_dropped_leader_hang)
            || self.broken(Break::dropped_requests_stay_in_flight);
        let dies = self.broken(Break::dies_of_a_panic_in_a_step);
        let flight = async move {
            match receiver.await {
                Ok(landed) => landed,
                Err(_) if hangs || dies => pending().await,
                Err(_) => Err(Error::new(ErrorKind::Cancelled, "a step was given up")),
            }
        };
        let flight: Flight = flight.boxed().shared();
        let priority = work.priority.clone();
        flights.insert(addr, (number, flight.clone(), priority, work.mode));
        let stays = self.broken(Break::dropped_requests_stay_in_flight);
        // It may outlive the request, and what that one holds.
        let (own, lease) = (self.clone(), self.note(&[addr]));
        let end = (!stays).then(|| End(self.clone(), addr, number));
        let run = async move {
            let late = work
                .deadline
                .filter(|_| own.broken(Break::hands_its_deadline_on));
            let late = own.late(late);
            // The deadline first: the function may be done by the time that this is polled.
            let landed = tokio::select! {
                biased;
                error = late => Err(error),
                landed = own.compute(work, number) => landed,
            };
            own.land(addr, number);
            drop((end, lease));
            sender.send(landed).ok();
        };
        if hangs {
            return (true, run.then(|()| flight).boxed());
        }
        self.0.tokio.spawn(run);
        (true, flight.boxed())
    }

    /// Takes a flight away, where it is this one still.
    fn land(&self, addr: CAddr, number: u64) {
        let mut flights = self.0.flights.lock();
        if flights.get(&addr).is_some_and(|(own, ..)| *own == number) {
            flights.remove(&addr);
        }
    }

    /// Waits for a deadline, where there is one.
    pub(super) async fn late(&self, deadline: Option<Duration>) -> Error {
        match deadline {
            None => pending().await,
            Some(deadline) => self.0.clock.sleep(deadline).await,
        }
        Error::new(ErrorKind::Timeout, "it took too long")
    }

    async fn wait_a_little(&self, flight: Flight, work: Work, number: u64) -> Result<Landed> {
        let patience = self.0.clock.sleep(Duration::from_millis(10));
        match futures::future::select(flight, patience).await {
            futures::future::Either::Left((landed, _)) => landed,
            futures::future::Either::Right(_) => self.compute(work, number).await,
        }
    }

    async fn compute(&self, work: Work, number: u64) -> Result<Landed> {
        let (addr, recipe) = (work.addr, &work.todo.recipe);
        if let Some(error) = self.0.failures.lock().get(&addr) {
            return Err(error.clone());
        }
        let resolved = self.resolve(recipe, &work.inputs)?;
        let names = match self.0.broken {
            Some(Break::computes_what_differs_under_another_name) => vec![addr],
            Some(Break::serves_what_differs_by_cutoff) if work.cutoff => vec![addr],
            _ => vec![addr, resolved],
        };
        let condemned = self.condemned(&names).await?;
        if condemned == Some(None) && !self.reports() {
            let what = "the outputs of this recipe differ from run to run";
            return Err(Error::new(ErrorKind::Nondeterministic, what).with("addr", addr));
        }
        let anew = work.prior.is_some() || work.doubted || self.checks_anyhow(work.mode);
        if !anew
            && let Some(output) = self.found(addr).await?
            && !self.broken(Break::computes_what_is_known)
            && (condemned.is_none() || condemned == Some(Some(output.addr)))
        {
            return Ok(Landed::new(output, How::Found));
        }
        if !anew
            && condemned.is_none()
            && (work.cutoff || self.broken(Break::cuts_off_unasked))
            && let Some(output) = self.cut_off(&work, resolved).await?
        {
            return Ok(Landed::new(output, How::Cutoff));
        }
        let check = self.check_of(&work, resolved);
        let (called, seen) = match check {
            Some(check) => {
                let checked = self.repeat(&work, check).await?;
                (
                    checked.result,
                    Some((checked.answers, checked.agreed, checked.found_by)),
                )
            }
            None => (self.call(&work, 0).await, None),
        };
        if let (Err(error), true) = (&called, self.broken(Break::memoizes_failures)) {
            self.0.failures.lock().insert(addr, error.clone());
        }
        let output = called.as_ref().ok().map(|(bytes, cost)| {
            let blob = Blob::new(bytes.clone());
            let stat = blob.stat();
            let (addr, len, cost) = (stat.addr, stat.len, *cost);
            (blob, Output { addr, len, cost })
        });
        if let Some((blob, output)) = &output
            && self.broken(Break::records_before_it_compares)
        {
            self.0.blobs.put(std::slice::from_ref(blob)).await?;
            self.record(addr, resolved, *output).await?;
        }
        let checked = seen.is_some();
        let mut found = None;
        let mut doubted =
            work.doubted && !self.broken(Break::records_what_rests_on_a_doubted_output);
        if let Some((answers, agreed, found_by)) = seen
            && answers.len() > 1
        {
            let mut violation = Violation::new(addr, resolved, recipe.function(), answers);
            violation.found_by = found_by;
            let accepted = output.as_ref().filter(|_| agreed);
            violation.accepted = accepted.map(|(_, output)| output.addr);
            let violation = match self.broken(Break::records_before_it_compares) {
                true => violation,
                false => self.enter(violation).await?,
            };
            if !agreed && !self.reports() {
                return Err(violation.into_error());
            }
            doubted |= !agreed && !self.broken(Break::records_doubted_outputs);
            found = Some(violation);
        }
        let (bytes, cost) = called?;
        let blob = Blob::new(bytes);
        let output = Output {
            addr: blob.addr(),
            len: blob.len(),
            cost,
        };
        if condemned.is_some_and(|accepted| accepted != Some(output.addr))
            && !self.broken(Break::serves_what_no_quorum_agreed_on)
            && found.is_none()
        {
            if !self.reports() {
                let what = "this is not what most runs gave";
                return Err(Error::new(ErrorKind::Nondeterministic, what).with("addr", addr));
            }
            doubted = true;
        }
        let expected = work
            .todo
            .expected
            .filter(|expected| !expected.same_bytes(&output));
        if let Some(recorded) = expected
            && !self.broken(Break::heals_with_whatever_comes_out)
        {
            let both = (recorded, output);
            let told = self.contradicted(&work, resolved, both, FoundBy::Healing);
            return Err(told.await?);
        }
        let mut landed = Landed {
            checked,
            violation: found,
            doubted,
            ..Landed::new(output, How::Computed)
        };
        if !work.stores || doubted {
            landed.held = Some(blob);
            return Ok(landed);
        }
        let diverges = self.keep(&work, number, resolved, (output, blob)).await?;
        self.settled(&work, resolved, diverges).await?;
        Ok(landed)
    }

    /// Stores and records an output; answers with what was recorded before, where that is another one.
    async fn keep(
        &self,
        work: &Work,
        number: u64,
        resolved: CAddr,
        (output, blob): (Output, Blob),
    ) -> Result<Option<Divergence>> {
        let addr = work.addr;
        let _together = self.0.stores.gate.read().await;
        if self.broken(Break::records_before_it_stores) {
            self.record(addr, resolved, output).await?;
        }
        self.0.blobs.put(&[blob]).await?;
        // What was forgotten since this began is not recorded.
        let own = self
            .0
            .flights
            .lock()
            .get(&addr)
            .is_some_and(|(own, ..)| *own == number);
        if !own && !self.broken(Break::records_what_was_forgotten_meanwhile) {
            return Ok(None);
        }
        if work.is_target && self.broken(Break::answers_before_the_last_write) {
            let own = self.clone();
            let later = async move { own.record(addr, resolved, output).await };
            self.0.tokio.spawn(later);
            return Ok(None);
        }
        let recorded = self.record(addr, resolved, output).await;
        match self.broken(Break::acknowledges_what_was_not_recorded) {
            true => Ok(None),
            false => recorded,
        }
    }

    /// What is recorded under the resolved address, recorded under the recipe's own, too.
    async fn cut_off(&self, work: &Work, resolved: CAddr) -> Result<Option<Output>> {
        let diverges = {
            let _together = self.0.stores.gate.read().await;
            let Some(output) = self.found(resolved).await? else {
                return Ok(None);
            };
            let records = work.stores && !self.broken(Break::records_nothing_that_it_cuts_off);
            let diverges = match records {
                true => self.record(work.addr, resolved, output).await?,
                false => None,
            };
            if diverges.is_none() {
                return Ok(Some(output));
            }
            diverges
        };
        self.settled(work, resolved, diverges).await?;
        Ok(None)
    }

    /// Stores what another request computed that did not, where this one is to.
    async fn keep_joined(&self, work: &Work, landed: Landed) -> Result<Landed> {
        let keeps = work.stores && !landed.doubted;
        let Some(blob) = landed.held.clone().filter(|_| keeps) else {
            return Ok(landed);
        };
        if self.broken(Break::stores_nothing_that_it_joins) {
            return Ok(landed);
        }
        let resolved = self.resolve(&work.todo.recipe, &work.inputs)?;
        let diverges = {
            let _together = self.0.stores.gate.read().await;
            self.0.blobs.put(&[blob]).await?;
            self.record(work.addr, resolved, landed.output).await?
        };
        self.settled(work, resolved, diverges).await?;
        Ok(Landed {
            held: None,
            ..landed
        })
    }

    /// A recorded output, where its blob is there.
    async fn found(&self, addr: CAddr) -> Result<Option<Output>> {
        let Some(output) = self
            .0
            .dag
            .outputs(&[addr])
            .await?
            .into_iter()
            .next()
            .flatten()
        else {
            return Ok(None);
        };
        Ok(self.stat(output.addr).await?.map(|_| output))
    }

    pub(super) fn resolve(&self, recipe: &Recipe, inputs: &[BlobStat]) -> Result<CAddr> {
        let mut contents: Vec<CAddr> = inputs.iter().map(|input| input.addr).collect();
        match self.0.broken {
            Some(Break::never_cuts_off) => return Ok(recipe.addr()),
            Some(Break::cuts_off_whatever_the_order) => contents.sort_unstable(),
            Some(Break::cuts_off_whatever_the_params) => {
                let bare = Recipe::new(&recipe.function(), &contents, &Params::new())?;
                return Ok(bare.addr());
            }
            Some(Break::cuts_off_whatever_the_version) => {
                let first = FunctionId::new(recipe.name(), "1")?;
                return Ok(Recipe::new(&first, &contents, &recipe.params()?)?.addr());
            }
            _ => {}
        }
        Ok(recipe.resolve(&contents)?.addr())
    }

    /// Answers with what was recorded before, where that is another output.
    async fn record(
        &self,
        addr: CAddr,
        resolved: CAddr,
        output: Output,
    ) -> Result<Option<Divergence>> {
        let record = Record {
            addr,
            resolved: Some(resolved),
            output,
        };
        let diverges = self.0.dag.record(&[record]).await?;
        let silent = self.broken(Break::heals_with_whatever_comes_out);
        Ok(diverges.into_iter().next().filter(|_| !silent))
    }

    /// Runs the function, where there is a slot; a request inside a function needs none.
    pub(super) async fn call(&self, work: &Work, nth: u32) -> Result<(Bytes, Duration)> {
        let slot = match self.0.broken {
            Some(Break::has_no_slots) => None,
            Some(Break::callbacks_wait_for_a_slot) => Some(self.slot(work).await?),
            _ if work.around.is_empty() => Some(self.slot(work).await?),
            _ => None,
        };
        let mut inputs = self.read(work).await?;
        match self.0.broken {
            Some(Break::sorts_outputs) => inputs.sort_unstable(),
            Some(Break::hands_an_output_over_once) => inputs.dedup(),
            Some(Break::hands_seven_inputs_over) => inputs.truncate(7),
            Some(Break::hands_512_inputs_over) => inputs.truncate(512),
            Some(Break::repeats_with_the_inputs_turned_round) if nth > 0 => inputs.reverse(),
            _ => {}
        }
        let recipe = work.todo.recipe.clone();
        let id = recipe.function();
        let function = self.function(&id).cloned();
        let function =
            function.ok_or_else(|| Error::new(ErrorKind::Unsupported, "unknown function"))?;
        let params = recipe.params()?;
        let around: Vec<CAddr> = work.around.iter().copied().chain([work.addr]).collect();
        let (clock, times) = (Arc::clone(&self.0.clock), work.times);
        let call = move || {
            let began = clock.now();
            AROUND.set(around);
            let call = || function.call(&inputs, &params);
            let mut called = catch_unwind(AssertUnwindSafe(call));
            for _ in 1..times {
                called = catch_unwind(AssertUnwindSafe(call));
            }
            AROUND.set(Vec::new());
            drop(slot);
            (called, clock.now() - began)
        };
        let gone = |gone| Error::new(ErrorKind::Internal, "a thread is gone").caused_by(gone);
        let ran = match nth {
            0 => self.0.tokio.spawn_blocking(call).await,
            // In a thread of its own: a deterministic function does not notice.
            _ => {
                let apart = move || std::thread::scope(|scope| scope.spawn(call).join());
                let ran = self.0.tokio.spawn_blocking(apart).await;
                ran.map(|ran| ran.unwrap_or_else(|panic| resume_unwind(panic)))
            }
        };
        let (called, cost) = ran.map_err(gone)?;
        match called {
            Ok(returned) => Ok((returned?, cost)),
            Err(_) if self.broken(Break::dies_of_a_panic_in_a_step) => pending().await,
            Err(_) => Err(Error::new(ErrorKind::Function, "the function panicked")),
        }
    }

    async fn slot(&self, work: &Work) -> Result<Slot> {
        let closed =
            |closed| Error::new(ErrorKind::Internal, "there are no slots").caused_by(closed);
        self.0.slots.ask(&work.priority).await.map_err(closed)
    }

    async fn read(&self, work: &Work) -> Result<Vec<Bytes>> {
        let addrs: Vec<CAddr> = work.inputs.iter().map(|input| input.addr).collect();
        let blobs = self.0.blobs.get_many(&addrs).await?.into_iter().zip(addrs);
        let held = |(blob, addr): (Option<Blob>, CAddr)| {
            (blob.or_else(|| work.held.get(&addr).cloned()), addr)
        };
        let read = blobs.map(held).map(|(blob, addr)| match blob {
            Some(blob) => Ok(blob.into_bytes()),
            None if self.broken(Break::serves_lost_blobs_as_empty) => Ok(Bytes::new()),
            None => Err(Error::new(ErrorKind::NotFound, "an input is gone").with("missing", addr)),
        });
        read.collect()
    }
}

/// Takes a flight away when its step ends, or is dropped.
struct End(Small, CAddr, u64);

impl Drop for End {
    fn drop(&mut self) {
        self.0.land(self.1, self.2);
    }
}
