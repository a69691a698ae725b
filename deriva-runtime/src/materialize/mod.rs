//! Requests: what to materialize, and how.

pub(crate) mod carried;
pub(crate) mod plan;
mod run;
mod stages;

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deriva_api::{
    Blob, CAddr, Clock, Cutoff, Determinism, Error, ErrorKind, Event, FunctionId, Materialized,
    Request, Result, StoreResults,
};
use tracing::{Instrument, Span};

use crate::determinism::counts::Counting;
#[cfg(test)]
pub(crate) use crate::materialize::run::commit_of;
use crate::materialize::stages::materialize;
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::abort_on_drop::AbortOnDrop;
use crate::shared::claimant::{Asked, Urgency};
use crate::shared::needed_by::name_needs;
use crate::shared::nesting::Nesting;
use crate::shared::observers::Observers;
use crate::shared::settings::{MAX_JOBS, in_range};
use crate::shared::spans;
use crate::timeline::Timeline;

/// How a request is run: as it asks, else as the builder says.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) keep_going: bool,
    pub(crate) deadline: Option<Duration>,
    pub(crate) jobs: usize,
    pub(crate) priority: i32,
    results: Option<StoreResults>,
    cutoff: Option<Cutoff>,
    pub(crate) asked: Asked,
    perturb: Option<bool>,
    /// What the caller calls the request.
    id: Option<Arc<str>>,
    pub(crate) observers: Observers,
    /// When the request was made, by the clock.
    pub(crate) began: Duration,
    pub(crate) nesting: Nesting,
    pub(crate) timeline: Option<Timeline>,
}

impl Options {
    /// Which results of a function are kept: as this request says, else the function, else the default.
    pub(crate) fn results_of(&self, inner: &Inner, function: &FunctionId) -> StoreResults {
        self.results
            .unwrap_or_else(|| inner.policies.results_of(function))
    }

    /// Which results are kept where the function is not known.
    pub(crate) fn results(&self, inner: &Inner) -> StoreResults {
        self.results.unwrap_or(inner.policies.results)
    }

    /// When recipes of a function are looked up under their resolved address.
    pub(crate) fn cutoff_of(&self, inner: &Inner, function: &FunctionId) -> Cutoff {
        self.cutoff
            .unwrap_or_else(|| inner.policies.cutoff_of(function))
    }

    /// How recipes of a function are checked.
    pub(crate) fn determinism_of(&self, inner: &Inner, function: &FunctionId) -> Determinism {
        inner.policies.determinism_of(function, self.asked.all)
    }

    /// Whether repeated runs are perturbed.
    pub(crate) fn perturbs(&self, inner: &Inner) -> bool {
        self.perturb.unwrap_or(inner.policies.perturb)
    }

    /// As urgent as it was asked for, or as the function is that asks.
    pub(crate) fn urgency(&self) -> Urgency {
        let until = self
            .deadline
            .map(|deadline| self.began.saturating_add(deadline));
        Urgency {
            priority: self.priority.max(self.nesting.priority()),
            until: until.unwrap_or(Duration::MAX),
        }
    }

    /// An error of the request, with what the caller calls it.
    fn named(&self, error: Error) -> Error {
        match &self.id {
            Some(id) => error.with("request", id),
            None => error,
        }
    }

    /// Fails where the request is none.
    fn check(&self) -> Result<()> {
        self.asked.modes().try_for_each(Determinism::check)?;
        in_range("jobs", self.jobs, 1..=MAX_JOBS)?;
        self.id.as_deref().map_or(Ok(()), Request::check_id)
    }

    /// The time until the deadline.
    pub(crate) fn remaining(&self, clock: &dyn Clock) -> Option<Duration> {
        let elapsed = clock.now().saturating_sub(self.began);
        Some(self.deadline?.saturating_sub(elapsed))
    }
}

/// A request for the bytes of one or more addresses. `.await` it; dropping it cancels what nobody
/// else waits for, and what was computed so far stays recorded.
#[must_use = "a request does nothing until it is awaited"]
pub struct Materialize {
    inner: Arc<Inner>,
    request: Request,
    /// When and inside of which function it was made, wherever it is awaited.
    began: Duration,
    nesting: Nesting,
    timeline: Option<Timeline>,
}

impl Materialize {
    pub(crate) fn new(inner: Arc<Inner>, request: Request) -> Self {
        Self {
            request,
            began: inner.clock.now(),
            nesting: Nesting::here(),
            timeline: None,
            inner,
        }
    }

    /// Where it is made, for what, and how.
    fn into_parts(self) -> (Arc<Inner>, Vec<CAddr>, Options) {
        let request = self.request;
        let mut observers = self.inner.watcher.observers();
        for observer in request.observers {
            observers.add(observer);
        }
        let options = Options {
            keep_going: request.keep_going,
            deadline: request.deadline,
            jobs: request.jobs.unwrap_or(self.inner.jobs),
            priority: request.priority,
            results: request.store_results,
            cutoff: request.cutoff,
            asked: Asked {
                all: request.determinism,
                at: Some(request.determinism_at)
                    .filter(|at| !at.is_empty())
                    .map(Arc::new),
            },
            perturb: request.perturb,
            id: request.request_id,
            observers,
            began: self.began,
            nesting: self.nesting,
            timeline: self.timeline,
        };
        (self.inner, request.targets, options)
    }

    /// Finishes what does not depend on a failure. Default: the first failure ends the request.
    pub fn keep_going(mut self) -> Self {
        self.request = self.request.keep_going();
        self
    }

    /// Gives up after this time, by the builder's clock, with [`ErrorKind::Timeout`]; any time will do, also
    /// zero. Default: none.
    ///
    /// Steps that other requests wait for go on, for as long as the latest of them has time.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.request = self.request.deadline(deadline);
        self
    }

    /// Heavy steps in flight at once: 1 to [`DerivaBuilder::MAX_JOBS`](crate::DerivaBuilder::MAX_JOBS), else the
    /// request is `Invalid`. Default: the builder's `jobs`.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.request = self.request.jobs(jobs);
        self
    }

    /// Who goes first where requests compete for the executor: the one of the higher priority; among
    /// equals each gets its share. Any number; default: 0.
    ///
    /// A request of a lower priority gets a slot of the executor only where those of higher ones have no step
    /// to start. What another request waits for has at least the priority of that request, with all that it
    /// needs; and so has what a function asks for while it runs for a request. Light functions take no slot:
    /// each request runs its own.
    pub fn priority(mut self, priority: i32) -> Self {
        self.request = self.request.priority(priority);
        self
    }

    /// Which results are written to the store. Default: what the builder says of the function, or of
    /// all.
    pub fn store_results(mut self, store_results: StoreResults) -> Self {
        self.request = self.request.store_results(store_results);
        self
    }

    /// When to look for the same work under another name. Default: what the builder says of the
    /// function, or of all.
    pub fn cutoff(mut self, cutoff: Cutoff) -> Self {
        self.request = self.request.cutoff(cutoff);
        self
    }

    /// Which of its computations are checked, by running them again, and how. It may ask for more than the builder does; for
    /// less only where [that allows it](crate::DerivaBuilder::requests_may_lower_determinism). Default: what the
    /// builder says of the function, or of all.
    ///
    /// Only what this request has to compute is checked. What is recorded is read. What another request computes at this
    /// moment is waited for; where that one does not check as much, it is then computed once more, and compared.
    ///
    /// A recipe whose runs differ fails with [`ErrorKind::Nondeterministic`]; see [`deriva_api::Violation`].
    pub fn determinism(mut self, determinism: Determinism) -> Self {
        self.request = self.request.determinism(determinism);
        self
    }

    /// The same for some recipes, which are checked as the stricter of the two says. Default: none.
    pub fn determinism_at(
        mut self,
        recipes: impl IntoIterator<Item = CAddr>,
        determinism: Determinism,
    ) -> Self {
        self.request = self.request.determinism_at(recipes, determinism);
        self
    }

    /// Whether the runs of a checked computation after the first go on under other conditions: one after the other, each in
    /// another thread, at another depth of the stack, with its inputs at other places in memory. Without, they run at the
    /// same time. Default: what the builder says.
    pub fn perturb(mut self, perturb: bool) -> Self {
        self.request = self.request.perturb(perturb);
        self
    }

    /// What the caller calls the request: 1 to 128 visible characters of ASCII, else it is `Invalid`. It stands in what
    /// is logged of it, and in its errors as the context `request`. Default: none.
    pub fn request_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.request = self.request.request_id(id);
        self
    }

    /// Calls `handler` for everything that happens, after those of earlier calls: it is an
    /// [`Observer`](deriva_api::Observer) of this request's events. Default: only that of the
    /// [builder](crate::DerivaBuilder::observer) is told.
    pub fn progress(mut self, handler: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.request = self.request.progress(handler);
        self
    }

    /// Records what ran when, and what waited for what. Default: nothing is recorded.
    pub fn timeline(mut self, timeline: Timeline) -> Self {
        self.timeline = Some(timeline);
        self
    }

    /// Makes the request, and answers with the bytes of the one address that it is for: as
    /// [`Deriva::get`](crate::Deriva::get), with the options of the request. Results that are not stored
    /// ([`StoreResults::None`]) are computed once, where awaiting the request and then getting the address computes
    /// them twice.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use deriva_api::{CAddr, Result};
    /// # async fn example(deriva: deriva_runtime::Deriva, addr: CAddr) -> Result<()> {
    /// let bytes = deriva.materialize(addr).deadline(Duration::from_secs(5)).bytes().await?;
    /// # drop(bytes);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the request, what the store says when it is read, and `Invalid` where the request is for no
    /// address or for several.
    pub async fn bytes(self) -> Result<Bytes> {
        if self.request.targets.len() != 1 {
            let what = "a request for one address was expected";
            return Err(Error::new(ErrorKind::Invalid, what)
                .with("addresses", self.request.targets.len())
                .hint("ask for `all_bytes`"));
        }
        only(self.all_bytes().await?)
    }

    /// Makes the request, and answers with the bytes of each of its addresses, in order; all of them are in memory
    /// then. With `keep_going` a failed one is an error in its place.
    ///
    /// # Errors
    /// As [`Materialize::bytes`], for any number of addresses.
    pub async fn all_bytes(self) -> Result<Vec<Result<Bytes>>> {
        let (blobs, _) = self.blobs().await?;
        let blobs = blobs.into_iter();
        Ok(blobs.map(|blob| blob.map(Blob::into_bytes)).collect())
    }

    /// The blob of each address, and which addresses are doubted.
    pub(crate) async fn blobs(self) -> Result<(Vec<Result<Blob>>, Vec<CAddr>)> {
        let (inner, targets, options) = self.into_parts();
        let leased = match planted(Fault::get_leases_nothing) {
            true => Vec::new(),
            false => targets.clone(),
        };
        let _lease = inner.grant(leased);
        // What is damaged shows when it is read; then it is removed, and made again.
        let read = match read(&inner, &targets, &options).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                read(&inner, &targets, &options).await
            }
            done => done,
        };
        read.map_err(|error| options.named(error))
    }
}

/// The blobs of what a request makes available, and which of it is doubted.
async fn read(
    inner: &Arc<Inner>,
    targets: &[CAddr],
    options: &Options,
) -> Result<(Vec<Result<Blob>>, Vec<CAddr>)> {
    let done = fulfil(Arc::clone(inner), targets.to_vec(), options.clone()).await?;
    in_time(inner, options, async {
        let mut blobs = Vec::with_capacity(targets.len());
        for ((addr, result), held) in targets.iter().zip(done.results).zip(done.held) {
            blobs.push(match (result, held) {
                (Ok(_), Some(blob)) => Ok(blob),
                (Ok(stat), None) => Ok(stored(inner, *addr, stat.addr).await?),
                (Err(error), _) => Err(error),
            });
        }
        Ok((blobs, done.doubted))
    })
    .await
}

/// The blob that was made available for an address. A damaged one is removed where a recipe can make it again.
async fn stored(inner: &Inner, addr: CAddr, content: CAddr) -> Result<Blob> {
    match inner.blobs.get(content).await {
        Ok(Some(blob)) => Ok(blob),
        Ok(None) => {
            let what = "the blob was removed while it was read";
            Err(Error::new(ErrorKind::NotFound, what).with("addr", content))
        }
        Err(error) if error.kind() != ErrorKind::Corrupt => Err(error),
        Err(error) if content == addr => Err(name_needs(&*inner.dag, addr, error).await),
        Err(error) => {
            inner.discard_met(content, error.clone()).await?;
            Err(error)
        }
    }
}

impl std::fmt::Debug for Materialize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Materialize")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for Materialize {
    type Output = Result<Materialized>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let (inner, targets, options) = self.into_parts();
        Box::pin(fulfil(inner, targets, options))
    }
}

/// Makes a request.
async fn fulfil(inner: Arc<Inner>, targets: Vec<CAddr>, options: Options) -> Result<Materialized> {
    let right = options.check();
    right.map_err(|error| error.during("materialize"))?;
    let tokio = inner.tokio.clone();
    // A task of its own, so that who asks and then forgets to poll holds up nobody else.
    let span = spans::materialize(&targets, options.id.as_deref());
    let work = perform(inner, targets, options, span.clone()).instrument(span);
    let task = AbortOnDrop(tokio.spawn(work));
    task.await.unwrap_or_else(|source| {
        let kind = if source.is_cancelled() {
            ErrorKind::Cancelled
        } else {
            ErrorKind::Internal
        };
        Err(Error::new(kind, "the request's task ended early").caused_by(source))
    })
}

/// The result of a request for one address.
pub(crate) fn only<T>(results: Vec<Result<T>>) -> Result<T> {
    let none = || {
        Err(Error::new(
            ErrorKind::Internal,
            "a request ended without a result",
        ))
    };
    results.into_iter().next().unwrap_or_else(none)
}

async fn perform(
    inner: Arc<Inner>,
    targets: Vec<CAddr>,
    mut options: Options,
    span: Span,
) -> Result<Materialized> {
    let _counted = inner.tallies.requests.begin();
    let (watcher, clock) = (&inner.watcher, &inner.clock);
    let watched = watcher.request(&targets, clock, options.began, &mut options.observers);
    let (all, limits) = (Arc::clone(&inner), options.clone());
    let counting = Counting::begin(&all);
    let done = in_time(&all, &limits, materialize(inner, targets, options)).await;
    counting.ended(late(&all, &limits)).await;
    let mut done = done.map_err(|error| limits.named(error));
    let results = done.as_mut().ok().map(|done| done.results.iter_mut());
    for failed in results
        .into_iter()
        .flatten()
        .filter_map(|it| it.as_mut().err())
    {
        *failed = limits.named(failed.clone());
    }
    let took = all.clock.now().saturating_sub(limits.began);
    spans::materialized(&span, done.as_ref().map(|done| &done.summary), took);
    watched.ended(done.as_ref().map(|done| &done.summary));
    done
}

/// What `work` answers by the request's deadline.
async fn in_time<T>(
    inner: &Inner,
    options: &Options,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        () = late(inner, options) => Err(Error::new(
            ErrorKind::Timeout,
            "the request was not done by its deadline",
        )
        .with("deadline", format!("{:?}", options.deadline.unwrap_or_default()))
        .hint("what was computed is kept: the same request continues from there")),
    }
}

/// Waits until the request's deadline.
async fn late(inner: &Inner, options: &Options) {
    match options.remaining(&*inner.clock) {
        Some(remaining) => inner.clock.sleep(remaining).await,
        None => std::future::pending().await,
    }
}
