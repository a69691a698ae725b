//! Invalidation: forgetting what recipes were found to produce, and what was made from it.
//!
//! Breadth-first over the dependents, each barred when it is met (see `invalidations`); then the outputs are
//! forgotten dependents first, what was asked for last. So a process that dies in the middle of a cascade leaves
//! nothing that was made from an output that it forgot, and the same call does the rest.
//!
//! For each address a traversal holds about 80 bytes, and 4 for each edge between them.

pub(crate) mod forget;

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use deriva_api::{
    BlobStoreExt, CAddr, DagStoreExt, Error, ErrorKind, FunctionId, Invalidated, Result, Walk,
};
use futures::TryStreamExt;
use tracing::Instrument;

use crate::invalidate::forget::{Forgotten, forget_barred, resolve};
use crate::planted::{Fault, planted};
use crate::shared::Deriva;
use crate::shared::Inner;
use crate::shared::abort_on_drop::AbortOnDrop;
use crate::shared::invalidations::Barred;
use crate::shared::spans;
use crate::shared::unknown;

/// Outputs that are counted or forgotten at a time.
const BATCH: usize = 512;

impl Deriva {
    /// Requests that the output of a recipe be forgotten: `.await` it, after setting options. The recipe
    /// stays, and is computed again when it is asked for. So does a recipe that is the same computation under
    /// another name (the same function over the contents of the inputs), whose output would be taken for it.
    ///
    /// Of a blob nothing is forgotten but, with [`Invalidate::cascade`], the outputs that were made from it.
    ///
    /// A request that begins after this one is done is answered from nothing that was forgotten, and nothing
    /// computed from it is recorded any more. The blobs stay until they are collected.
    ///
    /// The request fails with `NotFound` where nothing is known of the address, and with what the store says.
    pub fn invalidate(&self, addr: CAddr) -> Invalidate {
        Invalidate::new(Arc::clone(&self.inner), What::Addr(addr))
    }

    /// Requests that all outputs of a function be forgotten, as [`Deriva::invalidate`] does for one. May read
    /// every recipe.
    pub fn invalidate_function(&self, id: &FunctionId) -> Invalidate {
        Invalidate::new(Arc::clone(&self.inner), What::Function(id.clone()))
    }
}

#[derive(Debug)]
enum What {
    Addr(CAddr),
    Function(FunctionId),
    /// Recipes and resolved ones; what of them is not known is passed over.
    All(Vec<CAddr>),
}

/// A request to forget outputs. `.await` it; dropping it leaves what was forgotten so far, and the same request
/// does the rest.
#[derive(Debug)]
#[must_use = "a request does nothing until it is awaited"]
pub struct Invalidate {
    inner: Arc<Inner>,
    what: What,
    cascade: bool,
    dry_run: bool,
    walk: Walk,
}

impl Invalidate {
    /// A request to forget the outputs of several addresses, known or not.
    pub(crate) fn all(inner: Arc<Inner>, addrs: Vec<CAddr>) -> Self {
        Self::new(inner, What::All(addrs))
    }

    fn new(inner: Arc<Inner>, what: What) -> Self {
        Self {
            inner,
            what,
            cascade: false,
            dry_run: false,
            walk: Walk::default(),
        }
    }

    /// Forgets the outputs of all descendants, too. Default: they keep theirs.
    pub fn cascade(mut self) -> Self {
        self.cascade = true;
        self
    }

    /// Only tells what would be forgotten. Default: forgets it.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// How many addresses may be reached, at about 80 bytes each; more is `Full`, and nothing is forgotten.
    /// Default: 50 million.
    pub fn walk(mut self, walk: Walk) -> Self {
        self.walk = walk;
        self
    }
}

impl IntoFuture for Invalidate {
    type Output = Result<Invalidated>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let counted = self.inner.tallies.invalidations.begin();
            let watcher = &self.inner.watcher;
            let watched = watcher.watch(counted, |to, ended| to.invalidated(ended));
            // A task of its own: what it bars must not depend on who polls.
            let tokio = self.inner.tokio.clone();
            let span = spans::invalidate(self.dry_run, self.cascade);
            let task = AbortOnDrop(tokio.spawn(perform(self).instrument(span.clone())));
            let ended = task.await.unwrap_or_else(|source| {
                let kind = match source.is_cancelled() {
                    true => ErrorKind::Cancelled,
                    false => ErrorKind::Internal,
                };
                Err(Error::new(kind, "the request's task ended early").caused_by(source))
            });
            let ended = ended.map_err(|error| error.during("invalidate"));
            span.in_scope(|| spans::invalidated(ended.as_ref()));
            watched.ended(ended.as_ref());
            ended
        })
    }
}

/// Forgets, in the task of who asks.
pub(crate) async fn perform(request: Invalidate) -> Result<Invalidated> {
    let inner = &*request.inner;
    let began = inner.clock.now();
    let barred = Barred::default();
    let _bar = (!request.dry_run).then(|| inner.invalidations.begin(&barred));
    let mut reach = Reach::default();
    let recipes = targets(inner, &request.what, request.cascade, &barred).await?;
    reach.extend(inner, &barred, &request).await?;
    let reached = barred.read().len();
    let given = reach.given as u64;
    let (order, depth) = reach.order(reached)?;
    let mut total = Forgotten::default();
    if !request.dry_run && !planted(Fault::forgets_before_writes_are_through) {
        inner.drain_writes().await;
    }
    for (nth, batch) in order.rchunks(BATCH).enumerate() {
        if (nth + 1) * BATCH >= order.len() && planted(Fault::forgets_all_but_the_last_batch) {
            break;
        }
        let addrs: Vec<CAddr> = {
            let barred = barred.read();
            let addrs = batch.iter().rev();
            addrs
                .filter_map(|at| barred.get_index(*at as usize).copied())
                .collect()
        };
        if request.dry_run {
            for output in inner.dag.outputs(&addrs).await?.into_iter().flatten() {
                total.add(&output);
            }
        } else {
            total += forget_barred(inner, &addrs, &barred).await?;
        }
    }
    let mut done = Invalidated::default();
    done.recipes = recipes + reached as u64 - given;
    (done.outputs, done.bytes, done.depth) = (total.outputs, total.bytes, depth);
    done.rebuild_seconds = total.cost.as_secs_f64();
    done.dry_run = request.dry_run;
    done.seconds = inner.clock.now().saturating_sub(began).as_secs_f64();
    Ok(done)
}

/// Bars what was asked for, and counts the recipes among it.
async fn targets(inner: &Inner, what: &What, cascade: bool, barred: &Barred) -> Result<u64> {
    match what {
        What::Function(id) => {
            let mut recipes = inner.dag.by_function(id, None);
            while let Some(addr) = recipes.try_next().await? {
                barred.write().insert(addr);
            }
            Ok(barred.read().len() as u64)
        }
        What::All(addrs) => {
            barred.write().extend(addrs.iter().copied());
            let nodes = inner.dag.get_many(addrs).await?;
            Ok(nodes.iter().flatten().count() as u64)
        }
        What::Addr(addr) => {
            barred.write().insert(*addr);
            let Some(node) = inner.dag.get_one(*addr).await? else {
                let known = inner.blobs.has_blob(*addr).await?
                    || cascade
                        && inner
                            .dag
                            .dependents(*addr, None)
                            .try_next()
                            .await?
                            .is_some();
                return if known { Ok(0) } else { Err(unknown(addr)) };
            };
            let resolved = resolve(inner, &[node.recipe]).await?;
            for (resolved, node) in resolved.iter().zip(inner.dag.get_many(&resolved).await?) {
                if node.is_some() {
                    barred.write().insert(*resolved);
                }
            }
            Ok(barred.read().len() as u64)
        }
    }
}

/// The edges between what was reached, by index: those of one address after those of the one before.
#[derive(Debug, Default)]
struct Reach {
    given: usize,
    dependents: Vec<u32>,
    ends: Vec<usize>,
}

impl Reach {
    /// Bars everything that is made from what is barred already, if that is wanted.
    async fn extend(&mut self, inner: &Inner, barred: &Barred, request: &Invalidate) -> Result<()> {
        self.given = barred.read().len();
        if !request.cascade {
            return self.check(self.given, request.walk);
        }
        loop {
            let next = barred.read().get_index(self.ends.len()).copied();
            let Some(addr) = next else {
                return Ok(());
            };
            let mut dependents = inner.dag.dependents(addr, None).try_ready_chunks(BATCH);
            while let Some(page) = dependents.try_next().await.map_err(|ended| ended.1)? {
                let mut barred = barred.write();
                let met = page
                    .into_iter()
                    .map(|addr| barred.insert_full(addr).0 as u32);
                self.dependents.extend(met);
                self.check(barred.len(), request.walk)?;
            }
            self.ends.push(self.dependents.len());
            tokio::task::consume_budget().await;
        }
    }

    fn check(&self, reached: usize, walk: Walk) -> Result<()> {
        if reached <= walk.limit.min(u32::MAX as usize) {
            return Ok(());
        }
        Err(
            Error::new(ErrorKind::Full, "more recipes are reached than may be")
                .with("limit", walk.limit)
                .hint("raise `Walk::limit` where there is memory for more"),
        )
    }

    /// All indices, each before its dependents, and the number of edges on the longest way.
    fn order(self, reached: usize) -> Result<(Vec<u32>, u64)> {
        let mut waiting = vec![0u32; reached];
        for dependent in &self.dependents {
            waiting[*dependent as usize] += 1;
        }
        let free = |at: &u32| waiting[*at as usize] == 0;
        let mut order: Vec<u32> = (0..reached as u32).filter(free).collect();
        let mut depths = vec![0u32; reached];
        let mut next = 0;
        while let Some(at) = order.get(next).copied() {
            next += 1;
            let at = at as usize;
            let start = at.checked_sub(1).and_then(|before| self.ends.get(before));
            let end = self.ends.get(at).copied().unwrap_or(0);
            for dependent in &self.dependents[start.copied().unwrap_or(0).min(end)..end] {
                let above = *dependent as usize;
                depths[above] = depths[above].max(depths[at] + 1);
                waiting[above] -= 1;
                if waiting[above] == 0 {
                    order.push(*dependent);
                }
            }
        }
        if order.len() < reached {
            let what = "the store shows a recipe that depends on itself";
            return Err(Error::new(ErrorKind::Corrupt, what));
        }
        Ok((order, depths.into_iter().max().unwrap_or(0).into()))
    }
}
