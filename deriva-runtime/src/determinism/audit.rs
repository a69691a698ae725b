//! Audits: recorded outputs, compared with what their recipes give now.

use std::future::{Future, IntoFuture, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    AuditEvent, Audited, Blob, BuildAddrHasher, CAddr, ComputeFunction, DagStoreExt, Error,
    ErrorKind, FoundBy, FunctionId, Node, Operand, Operands, Output, Perturb, Result, Skipped,
    Step, Walk, Weight,
};
use futures::future::join_all;
use indexmap::IndexSet;
use tracing::Instrument;

use super::check::{Check, Standing, Tally};
use super::counts::Counting;
use super::violated::{Violated, enter};
use crate::shared::able::{Able, supports};
use crate::shared::invoke::{guarded_async, invoke};
use crate::shared::pages::{Page, Pages};
use crate::shared::perturb;
use crate::shared::settings::{MAX_JOBS, in_range};
use crate::shared::spans;
use crate::shared::statistics::Checks;
use crate::shared::{Deriva, Inner, unknown};

/// Recipes of a batch.
const BATCH: usize = 256;
/// Violations that a report lists; the rest is counted.
const LISTED: usize = 100;

impl Deriva {
    /// Requests that recorded outputs be compared with what their recipes give now: `.await` it, after setting options. Each
    /// is computed again, once, from the recorded outputs of its inputs; so what was made from a wrong one is not wrong
    /// for that. An audit finds what changed since: a function whose code is another, and whose version is not.
    ///
    /// A recorded output that is contradicted is treated as a violation that a request finds: it is entered into the
    /// ledger, and forgotten with all that was made from it.
    ///
    /// Requests may go on beside it. Where it is dropped, it ends after the computations that are under way.
    ///
    /// The request fails with `NotFound` and `Invalid` for an address that is not known, and for one that is no recipe;
    /// with what the stores say; and where a recipe could not be computed for a reason that is none of its function's.
    /// That error tells by the context `cursor` where to continue.
    pub fn audit(&self) -> Audit {
        Audit {
            deriva: self.clone(),
            what: What::All,
            per_second: None,
            jobs: 1,
            after: None,
            limit: u64::MAX,
            limit_time: None,
            dry_run: false,
            walk: Walk::default(),
            progress: None,
        }
    }
}

#[derive(Clone, Debug)]
enum What {
    All,
    Function(FunctionId),
    Addr(CAddr),
    Root(String),
}

type Progress = Arc<dyn Fn(&AuditEvent) + Send + Sync>;

/// A request to compare what is recorded. `.await` it; dropping it is safe, and a cursor continues it.
#[must_use = "a request does nothing until it is awaited"]
pub struct Audit {
    deriva: Deriva,
    what: What,
    per_second: Option<f64>,
    jobs: usize,
    after: Option<CAddr>,
    limit: u64,
    limit_time: Option<Duration>,
    dry_run: bool,
    walk: Walk,
    progress: Option<Progress>,
}

impl Audit {
    /// The outputs of this function alone, instead of all.
    pub fn function(mut self, function: &FunctionId) -> Self {
        self.what = What::Function(function.clone());
        self
    }

    /// The output of this recipe, and of all that it needs, instead of all.
    pub fn addr(mut self, addr: CAddr) -> Self {
        self.what = What::Addr(addr);
        self
    }

    /// The output of what a root names, and of all that it needs, instead of all.
    pub fn root(mut self, name: &str) -> Self {
        self.what = What::Root(name.to_owned());
        self
    }

    /// Computations that begin in a second, on the average over a batch: more than 0, else the request is `Invalid`.
    /// Default: as many as there can be.
    pub fn per_second(mut self, computations: f64) -> Self {
        self.per_second = Some(computations);
        self
    }

    /// Computations at once, 1 to [`DerivaBuilder::MAX_JOBS`](crate::DerivaBuilder::MAX_JOBS). Default: 1.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs;
        self
    }

    /// Continues after a cursor of an earlier audit of the same. Default: from the beginning.
    pub fn after(mut self, cursor: CAddr) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Stops after the batch with which N outputs were computed: with 0, after the first. Default: at the end.
    pub fn limit(mut self, computations: u64) -> Self {
        self.limit = computations;
        self
    }

    /// Stops after the batch with which this time is over. Default: at the end.
    pub fn limit_time(mut self, time: Duration) -> Self {
        self.limit_time = Some(time);
        self
    }

    /// Only tells what differs: nothing is entered into the ledger, and nothing forgotten. What is compared is counted all the same. Default:
    /// both are done.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// How many recipes an address or a root may need, at about 40 bytes each; more is `Full`. Default: 50 million.
    pub fn walk(mut self, walk: Walk) -> Self {
        self.walk = walk;
        self
    }

    /// Calls `handler` for everything that happens; it should be quick. Default: nobody is told.
    pub fn progress(mut self, handler: impl Fn(&AuditEvent) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(handler));
        self
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit")
            .field("what", &self.what)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for Audit {
    type Output = Result<Audited>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let counted = self.deriva.inner.tallies.audits.begin();
            let watcher = &self.deriva.inner.watcher;
            let watched = watcher.watch(counted, |to, ended| to.audited(ended));
            let counting = Counting::begin(&self.deriva.inner);
            let work = async {
                let audited = self.perform().await.map_err(|error| error.during("audit"));
                spans::audited(audited.as_ref());
                audited
            };
            let audited = work.instrument(spans::audit(self.dry_run)).await;
            counting.ended(pending()).await;
            watched.ended(audited.as_ref());
            audited
        })
    }
}

impl Audit {
    async fn perform(&self) -> Result<Audited> {
        let inner = &self.deriva.inner;
        in_range("jobs", self.jobs, 1..=MAX_JOBS)?;
        let is_rate = |rate: &f64| *rate > 0.0;
        if let Some(rate) = self.per_second.filter(|rate| !is_rate(rate)) {
            let what = "an audit of more than 0 computations in a second was expected";
            return Err(Error::new(ErrorKind::Invalid, what).with("per_second", rate));
        }
        let mut work = Work {
            began: inner.clock.now(),
            request: self,
            done: Audited::default(),
            cursor: self.after,
        };
        work.done.dry_run = self.dry_run;
        let ended = work.perform().await;
        let cursor = work.cursor;
        ended.map_err(|error| match cursor {
            Some(cursor) => error.with("cursor", cursor),
            None => error,
        })?;
        work.done.seconds = inner.clock.now().saturating_sub(work.began).as_secs_f64();
        Ok(work.done)
    }
}

/// An audit under way.
struct Work<'a> {
    request: &'a Audit,
    began: Duration,
    done: Audited,
    /// All before this, and this, was audited.
    cursor: Option<CAddr>,
}

/// What became of one recorded output.
enum Verdict {
    Agreed { bytes: u64 },
    Violated(Box<Violated>),
    Skipped(Skipped),
}

impl Work<'_> {
    fn inner(&self) -> &Arc<Inner> {
        &self.request.deriva.inner
    }

    fn emit(&self, event: &AuditEvent) {
        if let Some(progress) = &self.request.progress {
            progress(event);
        }
    }

    async fn perform(&mut self) -> Result<()> {
        let inner = Arc::clone(self.inner());
        match &self.request.what {
            What::All => {
                if !inner.dag.capabilities().list {
                    let what =
                        "a store that cannot list what it holds cannot be audited as a whole";
                    return Err(Error::new(ErrorKind::Unsupported, what)
                        .hint("audit an address, a root or a function"));
                }
                let mut pages = Pages::recipes(&*inner.dag, self.cursor);
                while let Some(page) = pages.next(|_| false).await? {
                    let more = match page {
                        Page::Items(nodes) => self.batch(nodes).await?,
                        Page::Damaged(addr, _) => self.damaged(addr),
                    };
                    if !more {
                        break;
                    }
                }
                Ok(())
            }
            What::Function(function) => {
                let open = |after| inner.dag.by_function(function, after);
                let mut pages = Pages::new(open, |addr| *addr, self.cursor);
                while let Some(page) = pages.next(|_| false).await? {
                    let more = match page {
                        Page::Items(addrs) => self.addrs(&addrs).await?,
                        Page::Damaged(addr, _) => self.damaged(addr),
                    };
                    if !more {
                        break;
                    }
                }
                Ok(())
            }
            What::Addr(addr) => self.below(*addr).await,
            What::Root(name) => {
                let roots = self.request.deriva.roots().await?;
                match roots.into_iter().find(|(root, _)| root == name) {
                    Some((_, addr)) => self.below(addr).await,
                    None => Err(
                        Error::new(ErrorKind::NotFound, "there is no root of this name")
                            .with("root", name)
                            .hint("`deriva root ls` lists the roots"),
                    ),
                }
            }
        }
    }

    /// A recipe and all that it needs, in the order of their addresses, so that a cursor stands for a place.
    async fn below(&mut self, addr: CAddr) -> Result<()> {
        let dag = Arc::clone(&self.inner().dag);
        if dag.get_one(addr).await?.is_none() {
            return Err(match self.inner().blobs.stat(&[addr]).await?.first() {
                Some(Some(_)) => {
                    let what =
                        "an audit computes recipes again, and this address is that of a blob";
                    Error::new(ErrorKind::Invalid, what)
                        .with("addr", addr)
                        .hint("give the address of a recipe; `deriva scrub` verifies blobs")
                }
                _ => unknown(addr),
            });
        }
        let mut met: IndexSet<CAddr, BuildAddrHasher> = IndexSet::default();
        met.insert(addr);
        let mut recipes = Vec::new();
        let mut next = 0;
        while next < met.len() {
            let end = met.len().min(next + BATCH);
            let batch: Vec<CAddr> = (next..end)
                .filter_map(|at| met.get_index(at).copied())
                .collect();
            for (addr, node) in batch.iter().zip(dag.get_many(&batch).await?) {
                let Some(node) = node else { continue };
                recipes.push(*addr);
                met.extend(node.recipe.inputs());
            }
            next = end;
            if met.len() > self.request.walk.limit {
                let what = "more recipes are needed than may be";
                return Err(Error::new(ErrorKind::Full, what)
                    .with("limit", self.request.walk.limit)
                    .hint("raise `Walk::limit` where there is memory for more"));
            }
        }
        drop(met);
        recipes.sort_unstable();
        let from = recipes.partition_point(|addr| Some(*addr) <= self.cursor);
        for batch in recipes[from..].chunks(BATCH) {
            if !self.addrs(batch).await? {
                break;
            }
        }
        Ok(())
    }

    async fn addrs(&mut self, addrs: &[CAddr]) -> Result<bool> {
        let nodes = self.inner().dag.get_many(addrs).await?;
        let nodes = addrs.iter().copied().zip(nodes);
        let nodes = nodes.filter_map(|(addr, node)| Some((addr, node?)));
        let nodes: Vec<(CAddr, Node)> = nodes.collect();
        let more = self.batch(nodes).await?;
        self.cursor = addrs.last().copied().or(self.cursor);
        Ok(more)
    }

    fn damaged(&mut self, addr: CAddr) -> bool {
        spans::damaged_recipe(addr);
        self.skipped(addr, Skipped::Damaged);
        self.cursor = Some(addr);
        !self.stops()
    }

    fn skipped(&mut self, addr: CAddr, reason: Skipped) {
        self.done.skipped += 1;
        self.inner().tallies.audited.skipped.add(1);
        self.emit(&AuditEvent::Skipped { addr, reason });
    }

    /// Audits a batch of recipes. Answers whether there are to be more.
    async fn batch(&mut self, nodes: Vec<(CAddr, Node)>) -> Result<bool> {
        let inner = Arc::clone(self.inner());
        let started = inner.clock.now();
        let before = self.done.audited;
        let last = nodes.last().map(|(addr, _)| *addr);
        let made = nodes.into_iter().filter(|(_, node)| node.output.is_some());
        let made: Vec<(CAddr, Node)> = made.collect();
        // What they need is read soon.
        let lease = inner
            .lease(made.iter().map(|(addr, _)| *addr).collect())
            .await;
        for few in made.chunks(self.request.jobs) {
            let judged = few.iter().map(|(addr, node)| judge(&inner, *addr, node));
            for ((addr, _), verdict) in few.iter().zip(join_all(judged).await) {
                self.done.outputs += 1;
                self.judged(*addr, verdict?).await;
                self.cursor = Some(*addr);
            }
            self.pace(self.done.audited - before, started).await;
        }
        drop(lease);
        if let Some(last) = last {
            self.cursor = Some(last);
        }
        if let Some(cursor) = self.cursor {
            self.emit(&AuditEvent::Progress {
                outputs: self.done.outputs,
                audited: self.done.audited,
                violated: self.done.violated,
                cursor,
            });
        }
        let stops = self.stops();
        if stops {
            self.done.cursor = self.cursor;
        }
        Ok(!stops)
    }

    async fn judged(&mut self, addr: CAddr, verdict: Verdict) {
        match verdict {
            Verdict::Agreed { bytes } => {
                self.done.audited += 1;
                self.done.agreed += 1;
                self.inner().tallies.audited.agreed.add(1);
                self.done.bytes += bytes;
            }
            Verdict::Violated(violated) => {
                self.done.audited += 1;
                self.done.violated += 1;
                self.inner().tallies.audited.violated.add(1);
                if self.done.violations.len() < LISTED {
                    self.done.violations.push(addr);
                }
                let violation = match self.request.dry_run {
                    true => violated.into_violation(self.inner()).await.0,
                    false => enter(self.inner(), *violated).await,
                };
                let violation = Arc::new(violation);
                self.emit(&AuditEvent::Violated { addr, violation });
            }
            Verdict::Skipped(reason) => self.skipped(addr, reason),
        }
    }

    /// Waits until N computations may have been made since `started`.
    async fn pace(&self, computations: u64, started: Duration) {
        let Some(rate) = self.request.per_second else {
            return;
        };
        let clock = &self.inner().clock;
        let due = Duration::try_from_secs_f64(computations as f64 / rate).unwrap_or(Duration::MAX);
        let took = clock.now().saturating_sub(started);
        if let Some(rest) = due.checked_sub(took).filter(|rest| !rest.is_zero()) {
            clock.sleep(rest).await;
        }
    }

    fn stops(&self) -> bool {
        let now = self.inner().clock.now();
        let late = |limit| now.saturating_sub(self.began) >= limit;
        self.done.audited >= self.request.limit || self.request.limit_time.is_some_and(late)
    }
}

/// Computes a recipe again and compares.
async fn judge(inner: &Arc<Inner>, addr: CAddr, node: &Node) -> Result<Verdict> {
    let Some(recorded) = node.output else {
        return Ok(Verdict::Skipped(Skipped::Changed));
    };
    if !inner.ledger.may_serve(&addr, &recorded.addr) {
        return Ok(Verdict::Skipped(Skipped::Condemned));
    }
    let Some(inputs) = inputs(inner, node).await? else {
        return Ok(Verdict::Skipped(Skipped::Inputs));
    };
    let function = match inner.able(&node.recipe) {
        Able::Yes(function) => function,
        Able::Unknown(_) | Able::Lacking(_) => {
            return Ok(Verdict::Skipped(Skipped::UnknownFunction));
        }
    };
    let contents: Vec<CAddr> = inputs.iter().map(Blob::addr).collect();
    let resolved = node.recipe.resolve(&contents)?.addr();
    let mut tally = Tally::new(Check {
        agree: 2,
        of: 2,
        perturb: inner.policies.perturb,
        found_by: FoundBy::Audit,
        prior: Some(recorded),
    });
    tally.add(compute(inner, node, inputs, &function).await)?;
    let agrees = tally.standing() == Standing::Agreed;
    if agrees {
        inner.statistics.add(function.id(), Checks::one(None));
        return Ok(Verdict::Agreed {
            bytes: recorded.len,
        });
    }
    if !still_so(inner, addr, node, &contents).await? {
        return Ok(Verdict::Skipped(Skipped::Changed));
    }
    let checks = Checks::one(Some(inner.clock.date()));
    inner.statistics.add(function.id(), checks);
    let Some(dissent) = tally.finish().dissent else {
        return Ok(Verdict::Skipped(Skipped::Changed));
    };
    Ok(Verdict::Violated(Box::new(Violated {
        recipe: addr,
        resolved,
        function: function.id().clone(),
        dissent: *dissent,
        accepted: None,
    })))
}

/// The recorded inputs of a recipe; `None` where some are not to be had.
async fn inputs(inner: &Inner, node: &Node) -> Result<Option<Vec<Blob>>> {
    let addrs: Vec<CAddr> = node.recipe.inputs().collect();
    let Some(contents) = contents(inner, &addrs).await? else {
        return Ok(None);
    };
    match inner.blobs.get_many(&contents).await {
        Ok(blobs) => Ok(blobs.into_iter().collect()),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        Err(error) => Err(error),
    }
}

/// The contents of inputs: the recorded output of a recipe, a blob itself.
async fn contents(inner: &Inner, addrs: &[CAddr]) -> Result<Option<Vec<CAddr>>> {
    let nodes = inner.dag.get_many(addrs).await?;
    let content = |(addr, node): (&CAddr, Option<Node>)| match node {
        None => Some(*addr),
        Some(node) => node.output.map(|output| output.addr),
    };
    Ok(addrs.iter().zip(nodes).map(content).collect())
}

/// Whether what was compared is still what is recorded: it was read with a batch, and may have been forgotten since.
async fn still_so(inner: &Inner, addr: CAddr, node: &Node, before: &[CAddr]) -> Result<bool> {
    let now: Option<Output> = inner
        .dag
        .outputs(&[addr])
        .await?
        .into_iter()
        .flatten()
        .next();
    let same = now
        .zip(node.output)
        .is_some_and(|(now, then)| now.same_bytes(&then));
    let addrs: Vec<CAddr> = node.recipe.inputs().collect();
    Ok(same && contents(inner, &addrs).await?.as_deref() == Some(before))
}

async fn compute(
    inner: &Arc<Inner>,
    node: &Node,
    inputs: Vec<Blob>,
    function: &Arc<dyn ComputeFunction>,
) -> Result<(Operand, Duration)> {
    let perturbed = inner.policies.perturb;
    let inputs: Vec<Blob> = match perturbed {
        true => inputs
            .iter()
            .map(|input| perturb::relocated(input, 1))
            .collect(),
        false => inputs,
    };
    let elsewhere = inner.repeats.as_ref();
    let executor = elsewhere.filter(|executor| supports(&***executor, function.id()));
    let executor = executor.unwrap_or(&inner.executor);
    if function.weight() == Weight::Light && !supports(&**executor, function.id()) {
        return here(inner, node, inputs, function).await;
    }
    let operands = match executor.operands() {
        Operands::Held => inputs.into_iter().map(Operand::Held).collect(),
        // They were read from there.
        Operands::Stored => inputs
            .iter()
            .map(|blob| Operand::Stored(blob.stat()))
            .collect(),
    };
    let mut step = Step::new(node.recipe.clone(), operands);
    step.fresh = true;
    step.perturb = perturbed.then(|| Perturb::new(1));
    let ran = guarded_async(
        ErrorKind::Internal,
        "the executor panicked",
        executor.execute(step),
    );
    let executed = ran.await??;
    Ok((executed.output, executed.cost))
}

/// Runs a light function that the executor lacks.
async fn here(
    inner: &Arc<Inner>,
    node: &Node,
    inputs: Vec<Blob>,
    function: &Arc<dyn ComputeFunction>,
) -> Result<(Operand, Duration)> {
    let (function, params) = (Arc::clone(function), node.recipe.params()?);
    let work = move || {
        let inputs: Vec<_> = inputs.into_iter().map(Blob::into_bytes).collect();
        invoke(&*function, &inputs, &params).map(Blob::new)
    };
    let ran = inner.tokio.spawn_blocking(work).await.map_err(|source| {
        Error::new(ErrorKind::Cancelled, "an audit was interrupted").caused_by(source)
    })?;
    Ok((Operand::Held(ran?), Duration::ZERO))
}
