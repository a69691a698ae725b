//! Collection: takes away what no root needs, and nothing that anybody relies on.
//!
//! A collection lists all addresses, walks down from the roots and from what is leased
//! ([`crate::shared::leases`]), and takes what it did not meet: recipes with their outputs, dependents first, and
//! the blobs that only these had made. What is leased, put or inserted while it runs is walked as well,
//! before each batch that is taken: the batch passes [`Inner::gate`] alone, so that from the last look to
//! the end of the batch nobody adds anything.
//!
//! Nothing here grows with the graph but bits and temporary files: three bits per recipe and two per blob,
//! seven and three under a quota, a quarter of a byte for each address (see [`crate::shared::address_index`]), and 32 bytes
//! on disk per recipe, 45 per blob. Nothing is kept between two collections but the times of unreachable_since, so one that is interrupted,
//! even by a kill, is continued by the next: every batch leaves a consistent store, and a batch that was
//! begun is finished also when the request is dropped.
//!
//! | step | file |
//! |---|---|
//! | list, walk from roots and leases | `mark.rs`, with `mark_stack.rs` and `bits.rs` |
//! | how long something is unreachable | `age.rs` |
//! | take recipes, dependents first, and blobs | `sweep.rs` |
//! | one batch, alone | `batch.rs` |
//! | drop derived blobs beyond a quota | `quota.rs`, what can be made again: `rebuild.rs` |

mod age;
mod batch;
mod bits;
mod log;
mod mark;
mod mark_stack;
mod quota;
mod rebuild;
mod sweep;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use deriva_api::{Capabilities, CollectEvent, CollectPolicy, Collected, Error, ErrorKind, Result};
use tracing::Instrument;

use crate::planted::{Fault, planted};
use crate::shared::Deriva;
use crate::shared::Inner;
use crate::shared::abort_on_drop::AbortOnDrop;
use crate::shared::spans;
use mark::Collector;

type Progress = Arc<dyn Fn(&CollectEvent) + Send + Sync>;

/// A collection that is asked for. `.await` it; dropping it ends it after the batch that is under way, and
/// the next one goes on from there.
#[must_use = "a collection does nothing until it is awaited"]
pub struct Collect {
    inner: Arc<Inner>,
    options: Options,
}

#[derive(Clone, Default)]
struct Options {
    policy: CollectPolicy,
    dry_run: bool,
    progress: Option<Progress>,
}

impl Collect {
    /// What is taken. Default: [`CollectPolicy::default`].
    pub fn policy(mut self, policy: CollectPolicy) -> Self {
        self.options.policy = policy;
        self
    }

    /// Takes nothing, and tells what would be taken.
    pub fn dry_run(mut self) -> Self {
        self.options.dry_run = true;
        self
    }

    /// Calls `handler` for everything that happens. Default: nobody is told.
    pub fn progress(mut self, handler: impl Fn(&CollectEvent) + Send + Sync + 'static) -> Self {
        self.options.progress = Some(Arc::new(handler));
        self
    }
}

impl fmt::Debug for Collect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collect")
            .field("policy", &self.options.policy)
            .field("dry_run", &self.options.dry_run)
            .finish_non_exhaustive()
    }
}

impl Deriva {
    /// Requests that what no root needs be taken away: `.await` it, after setting options. One collection
    /// runs at a time, through whichever handle on the store; others wait. Puts, inserts and materializations go on beside it, and lose nothing
    /// that they rely on; see [`Deriva::lease`] for what is relied on between two of them.
    ///
    /// The request fails with `Unsupported` where a store cannot list, cannot be written to, or is shared
    /// with other processes, or with another handle of this process that keeps its recipes elsewhere, which may
    /// rely on what is unreachable here (a dry run is possible there); with
    /// `Corrupt` where a recipe is damaged, as nobody knows what it needs; and with what the stores say.
    /// What was taken until then stays taken.
    pub fn collect(&self) -> Collect {
        Collect {
            inner: Arc::clone(&self.inner),
            options: Options::default(),
        }
    }
}

impl IntoFuture for Collect {
    type Output = Result<Collected>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let tokio = self.inner.tokio.clone();
            let counted = self.inner.tallies.collections.begin();
            let watcher = &self.inner.watcher;
            let watched = watcher.watch(counted, |to, ended| to.collected(ended));
            // A task of its own, so that who asks and then forgets to poll holds up nobody else.
            let span = spans::collect(self.options.dry_run);
            let work = perform(self.inner, self.options).instrument(span.clone());
            let collecting = AbortOnDrop(tokio.spawn(work)).await;
            let collected = collecting.unwrap_or_else(|source| {
                let what = "the collection's task ended early";
                Err(Error::new(ErrorKind::Internal, what).caused_by(source))
            });
            let collected = collected.map_err(|error| error.during("collect"));
            span.in_scope(|| spans::collected(collected.as_ref()));
            watched.ended(collected.as_ref());
            collected
        })
    }
}

async fn perform(inner: Arc<Inner>, options: Options) -> Result<Collected> {
    let began = inner.clock.now();
    for store in [inner.blobs.capabilities(), inner.dag.capabilities()] {
        possible(store, options.dry_run)?;
    }
    if !options.dry_run {
        inner.knows_all_graphs()?;
    }
    let _turn = inner.graph.turn.lock().await;
    let mut unreachable_since = Arc::clone(&inner.unreachable_since).lock_owned().await;
    let mut collector = Collector::list(&inner, options.clone()).await?;
    collector.walk_roots().await?;
    if let Some(age) = options.policy.older_than {
        collector.keep_young(age, &mut unreachable_since).await?;
    }
    collector.take_unreachable().await?;
    collector.take_earlier_counts().await?;
    if options.policy.unreferenced_blobs {
        collector.take_unreferenced().await?;
    }
    if let Some(most) = options.policy.derived_bytes_at_most {
        collector.drop_derived(most).await?;
    }
    if planted(Fault::keeps_an_index) {
        std::mem::forget(collector.recipes.clone());
    }
    let mut collected = collector.report;
    collected.seconds = inner.clock.now().saturating_sub(began).as_secs_f64();
    Ok(collected)
}

/// Fails where a store cannot be collected.
fn possible(store: Capabilities, dry_run: bool) -> Result<()> {
    let refuse = |why| Err(Error::new(ErrorKind::Unsupported, why));
    if !store.list {
        return refuse("a store that cannot list cannot be collected");
    }
    if !store.writable && !dry_run {
        return refuse("nothing can be taken from a read-only store");
    }
    if store.shared && !dry_run {
        let why = "other processes may rely on what is unreachable here";
        let hint = "a shared store is not collected; a dry run tells what is unreachable";
        return refuse(why).map_err(|error| error.hint(hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use deriva_api::DurabilityClass;

    #[test]
    fn what_cannot_be_collected_is_refused_and_may_be_looked_at() {
        let store = Capabilities::new(DurabilityClass::None);
        for (store, collected, looked_at) in [
            (store, true, true),
            (store.list(false), false, false),
            (store.writable(false), false, true),
            (store.shared(true), false, true),
        ] {
            assert_eq!(possible(store, false).is_ok(), collected, "{store:?}");
            assert_eq!(possible(store, true).is_ok(), looked_at, "{store:?}");
        }
    }
}
