//! Forgetting while others are at work.
//!
//! An invalidation takes time, and requests go on meanwhile that hold the very outputs that it forgets. These
//! rules keep what they make of them from coming back:
//!
//! - An invalidation *bars* each address from when it meets it, before it looks for the dependents, until its
//!   end. Then it waits once for the writes that were let through earlier, and only then forgets.
//! - A request watches from before it plans. A batch of its results is recorded, under the shared gate, unless
//!   one of them, or an input of one, was barred at any time since. A refused batch lands abandoned, and the
//!   request plans anew. By induction over the batches nothing stale is recorded: an input is in the store,
//!   and compared, or in an earlier or the same batch.
//! - What is shared without being recorded (results of a request that keeps none, failures, entries of the
//!   memory cache) is shared only if nothing at all was forgotten since.
//!
//! An invalidation is held, at about 60 bytes for each address, until the last request that began before its end
//! is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deriva_api::{BuildAddrHasher, CAddr, DagStore, Record, Result};
use indexmap::IndexSet;
use tokio::sync::Notify;

use crate::planted::{Fault, planted};
use crate::shared::sync::RwLock;

/// Addresses in the order in which they were met.
pub(crate) type Barred = Arc<parking_lot::RwLock<IndexSet<CAddr, BuildAddrHasher>>>;

/// Recipes that are looked up at a time.
const BATCH: usize = 512;

/// A point in the sequence of invalidations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Revision(u64);

/// All invalidations that somebody may still have to know of.
#[derive(Debug, Default)]
pub(crate) struct Invalidations {
    state: RwLock<State>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Counts ends of invalidations.
    revision: u64,
    /// Counts beginnings.
    begun: u64,
    entries: BTreeMap<u64, Entry>,
    /// How many watches began at a revision.
    watches: BTreeMap<u64, usize>,
}

#[derive(Debug)]
struct Entry {
    barred: Barred,
    ended: Option<u64>,
}

impl Entry {
    fn concerns(&self, since: u64) -> bool {
        self.ended.is_none_or(|ended| ended > since)
    }
}

impl State {
    fn changed_since(&self, since: Revision) -> bool {
        self.revision != since.0 || self.entries.values().any(|entry| entry.ended.is_none())
    }

    fn prune(&mut self) {
        if planted(Fault::keeps_invalidations) {
            return;
        }
        let oldest = self.watches.keys().next().copied();
        self.entries
            .retain(|_, entry| oldest.map_or(entry.ended.is_none(), |since| entry.concerns(since)));
    }
}

impl Invalidations {
    /// The revision now.
    pub(crate) fn now(&self) -> Revision {
        Revision(self.state.read().revision)
    }

    /// How many watches there are, and how many invalidations are held.
    pub(crate) fn in_use(&self) -> (u64, u64) {
        let state = self.state.read();
        let watches: usize = state.watches.values().sum();
        (watches as u64, state.entries.len() as u64)
    }

    /// Begins to watch what is forgotten from now on.
    pub(crate) fn watch(self: &Arc<Self>) -> Arc<Watch> {
        let mut state = self.state.write();
        let since = state.revision;
        *state.watches.entry(since).or_default() += 1;
        Arc::new(Watch {
            invalidations: Arc::clone(self),
            since: Revision(since),
            refused: AtomicBool::new(false),
        })
    }

    /// Begins an invalidation: what is in `barred`, now or later, is barred until the answer is dropped.
    pub(crate) fn begin(&self, barred: &Barred) -> Invalidation<'_> {
        let mut state = self.state.write();
        let id = state.begun;
        state.begun += 1;
        let entry = Entry {
            barred: Arc::clone(barred),
            ended: None,
        };
        state.entries.insert(id, entry);
        Invalidation { all: self, id }
    }

    /// Does something while no invalidation can begin or end, told whether anything may have been forgotten
    /// since a revision.
    pub(crate) fn with_changed<T>(&self, since: Revision, act: impl FnOnce(bool) -> T) -> T {
        let state = self.state.read();
        act(state.changed_since(since))
    }

    /// Waits for the end of the invalidations that are under way now.
    pub(crate) async fn all_ended(&self) {
        let before = self.state.read().begun;
        loop {
            let ended = self.ended.notified();
            let open = |(id, entry): (&u64, &Entry)| *id < before && entry.ended.is_none();
            if !self.state.read().entries.iter().any(open) {
                return;
            }
            ended.await;
        }
    }
}

/// An invalidation under way; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Invalidation<'a> {
    all: &'a Invalidations,
    id: u64,
}

impl Drop for Invalidation<'_> {
    fn drop(&mut self) {
        let mut state = self.all.state.write();
        state.revision += 1;
        let now = state.revision;
        if let Some(entry) = state.entries.get_mut(&self.id) {
            entry.ended = Some(now);
        }
        state.prune();
        drop(state);
        self.all.ended.notify_waiters();
    }
}

/// A request's eye on invalidations, from its creation on.
#[derive(Debug)]
pub(crate) struct Watch {
    invalidations: Arc<Invalidations>,
    since: Revision,
    refused: AtomicBool,
}

impl Watch {
    /// When the watch began.
    pub(crate) fn since(&self) -> Revision {
        self.since
    }

    /// Whether a batch of results may not be recorded, as some rely on what was barred since, or as an
    /// earlier batch was refused. `also` is what they rely on beside their inputs; `strict` says that not all
    /// of that is known. A record that `stands` may be recorded although it is barred itself.
    ///
    /// The gate is held, shared, from before this call until the batch is recorded and its flights landed.
    pub(crate) async fn refuses(
        &self,
        dag: &dyn DagStore,
        records: &[Record],
        also: &[CAddr],
        strict: bool,
        stands: impl Fn(&Record) -> bool,
    ) -> Result<bool> {
        if self.refused.load(Ordering::Acquire) {
            return Ok(true);
        }
        if !self.invalidations.state.read().changed_since(self.since) {
            return Ok(false);
        }
        let named = records.iter().filter(|record| !stands(record));
        let named = named.flat_map(|record| [Some(record.addr), record.resolved]);
        let named: Vec<CAddr> = named.flatten().chain(also.iter().copied()).collect();
        let refused = strict || self.relies_on_barred(dag, records, &named).await?;
        self.refused.fetch_or(refused, Ordering::AcqRel);
        Ok(refused)
    }

    async fn relies_on_barred(
        &self,
        dag: &dyn DagStore,
        records: &[Record],
        named: &[CAddr],
    ) -> Result<bool> {
        if self.any_barred(named.iter().copied()) {
            return Ok(true);
        }
        for batch in records.chunks(BATCH) {
            let addrs: Vec<CAddr> = batch.iter().map(|record| record.addr).collect();
            let nodes = dag.get_many(&addrs).await?;
            if self.any_barred(nodes.iter().flatten().flat_map(|node| node.recipe.inputs())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn any_barred(&self, addrs: impl Iterator<Item = CAddr> + Clone) -> bool {
        let state = self.invalidations.state.read();
        let mut entries = state
            .entries
            .values()
            .filter(|entry| entry.concerns(self.since.0));
        entries.any(|entry| {
            let barred = entry.barred.read();
            addrs.clone().any(|addr| barred.contains(&addr))
        })
    }

    /// Refuses whatever the request would still record, where anything was forgotten since; tells whether.
    pub(crate) fn refuse_if_changed(&self) -> bool {
        let changed = self.invalidations.state.read().changed_since(self.since);
        self.refused.fetch_or(changed, Ordering::AcqRel);
        changed
    }

    /// Refuses whatever the request would still record.
    pub(crate) fn refuse(&self) {
        self.refused.store(true, Ordering::Release);
    }

    /// Whether a batch of this request was refused.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.invalidations.state.write();
        if let Some(count) = state.watches.get_mut(&self.since.0) {
            *count -= 1;
            if *count == 0 && !planted(Fault::keeps_watches) {
                state.watches.remove(&self.since.0);
                state.prune();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deriva_api::{Blob, Output, Params, Recipe};
    use deriva_testkit::ModelStore;
    use futures::FutureExt;

    fn addr(n: u8) -> CAddr {
        CAddr::of_blob(&[n])
    }

    fn barring(addrs: &[CAddr]) -> Barred {
        Arc::new(parking_lot::RwLock::new(addrs.iter().copied().collect()))
    }

    fn record(n: u8) -> Record {
        let output = Blob::new(vec![n]).stat();
        Record {
            addr: addr(n),
            resolved: None,
            output: Output {
                addr: output.addr,
                len: output.len,
                cost: Default::default(),
            },
        }
    }

    #[tokio::test]
    async fn a_batch_is_refused_while_or_after_what_it_relies_on_is_barred_and_so_are_later_ones() {
        let (all, dag) = (Arc::<Invalidations>::default(), ModelStore::new());
        let (early, other) = (all.watch(), all.watch());
        let under_way = all.begin(&barring(&[addr(1)]));
        let during = all.watch();
        assert!(
            !other
                .refuses(&dag, &[record(2)], &[], false, |_| false)
                .await
                .unwrap()
        );
        assert!(
            during
                .refuses(&dag, &[record(1)], &[], false, |_| false)
                .await
                .unwrap()
        );
        drop(under_way);
        assert!(
            early
                .refuses(&dag, &[record(2)], &[addr(1)], false, |_| false)
                .await
                .unwrap()
        );
        assert!(
            early
                .refuses(&dag, &[record(2)], &[], false, |_| false)
                .await
                .unwrap()
        );
        assert!(
            other
                .refuses(&dag, &[record(2)], &[], true, |_| false)
                .await
                .unwrap()
        );
        let late = all.watch();
        assert!(
            !late
                .refuses(&dag, &[record(1)], &[addr(1)], true, |_| false)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn a_batch_is_refused_whose_recipes_have_a_barred_input() {
        let (all, dag) = (Arc::<Invalidations>::default(), ModelStore::new());
        let over = |input| Recipe::new(&"f/1".parse().unwrap(), &[input], &Params::new()).unwrap();
        let recipes = [over(addr(1)), over(addr(2))];
        dag.insert(&recipes).await.unwrap();
        let of = |recipe: &Recipe| Record {
            addr: recipe.addr(),
            ..record(3)
        };
        let (one, other) = (all.watch(), all.watch());
        drop(all.begin(&barring(&[addr(1)])));
        assert!(
            one.refuses(&dag, &[of(&recipes[0])], &[], false, |_| false)
                .await
                .unwrap()
        );
        assert!(
            !other
                .refuses(&dag, &[of(&recipes[1])], &[], false, |_| false)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn what_stands_may_be_recorded_although_it_is_barred_but_not_what_is_made_from_it() {
        let (all, dag) = (Arc::<Invalidations>::default(), ModelStore::new());
        let over = |input| Recipe::new(&"f/1".parse().unwrap(), &[input], &Params::new()).unwrap();
        let recipes = [over(addr(9)), over(addr(1))];
        dag.insert(&recipes).await.unwrap();
        let of = |recipe: &Recipe| Record {
            addr: recipe.addr(),
            ..record(3)
        };
        let [own, above] = [of(&recipes[0]), of(&recipes[1])];
        let (one, other, also) = (all.watch(), all.watch(), all.watch());
        drop(all.begin(&barring(&[own.addr, addr(1)])));
        let refuses = async |watch: &Watch, record: Record, also: &[CAddr]| {
            let records = [record];
            let refused = watch.refuses(&dag, &records, also, false, |_| true);
            refused.await.unwrap()
        };
        assert!(!refuses(&one, own, &[]).await);
        assert!(refuses(&other, above, &[]).await);
        assert!(refuses(&also, own, &[addr(1)]).await);
    }

    #[tokio::test]
    async fn a_request_that_refuses_on_its_own_does_so_only_where_something_was_forgotten() {
        let (all, dag) = (Arc::<Invalidations>::default(), ModelStore::new());
        let early = all.watch();
        assert!(!early.refuse_if_changed() && !early.is_refused());
        drop(all.begin(&barring(&[addr(1)])));
        let late = all.watch();
        assert!(!late.refuse_if_changed() && !late.is_refused());
        assert!(early.refuse_if_changed() && early.is_refused());
        assert!(
            early
                .refuses(&dag, &[record(2)], &[], false, |_| false)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn an_invalidation_is_held_no_longer_than_somebody_may_ask_for_it() {
        let all = Arc::<Invalidations>::default();
        let held = || all.state.read().entries.len();
        drop(all.begin(&barring(&[addr(1)])));
        assert_eq!(held(), 0);
        let first = all.watch();
        drop(all.begin(&barring(&[addr(1)])));
        let second = all.watch();
        drop(all.begin(&barring(&[addr(2)])));
        assert_eq!(held(), 2);
        drop(first);
        assert_eq!(held(), 1);
        drop(second);
        assert_eq!(held(), 0);
        assert!(all.state.read().watches.is_empty());
    }

    #[tokio::test]
    async fn who_waits_for_the_end_waits_for_those_under_way_and_no_later_ones() {
        let all = Arc::<Invalidations>::default();
        assert!(all.all_ended().now_or_never().is_some());
        let first = all.begin(&barring(&[]));
        let mut ended = std::pin::pin!(all.all_ended());
        assert!(ended.as_mut().now_or_never().is_none());
        let _second = all.begin(&barring(&[]));
        drop(first);
        ended.await;
    }
}
