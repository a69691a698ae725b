//! What stores tell of themselves, by place.

use std::collections::BTreeSet;
use std::sync::Arc;

use deriva_api::{
    CommitCounters, Counter, DiskRoom, Distribution, OpenedStore, RetryCounters, StoreCounters,
    TierCounters,
};

use crate::sheet::Sheet;

/// Counters that some place has: no other has them, too.
#[derive(Debug, Default)]
pub(crate) struct Claimed(BTreeSet<usize>);

impl Claimed {
    /// What a store tells that nobody else did: both halves of one may tell the same, and so may two places in which one
    /// store is open.
    pub(crate) fn claim(&mut self, store: &OpenedStore) -> Told {
        let blobs = store.blobs.as_ref().map(|blobs| blobs.counters());
        let dag = store.dag.as_ref().map(|dag| dag.counters());
        let mut told = Told::default();
        for counters in [blobs, dag].into_iter().flatten() {
            told.take(self, counters);
        }
        told
    }

    /// Takes counters where nobody has them. They are kept for good, so that their places in memory are theirs alone.
    fn take<T>(&mut self, all: &mut Vec<Arc<T>>, more: Option<Arc<T>>) {
        let is_new = |more: &Arc<T>| self.0.insert(Arc::as_ptr(more).addr());
        all.extend(more.filter(is_new));
    }
}

/// What the store of one place tells.
#[derive(Debug, Default)]
pub(crate) struct Told {
    commits: Vec<Arc<CommitCounters>>,
    disk: Vec<Arc<DiskRoom>>,
    damaged: Vec<Arc<Counter>>,
    retries: Vec<Arc<RetryCounters>>,
    timeouts: Vec<Arc<Counter>>,
    tiers: Vec<Arc<TierCounters>>,
}

fn sum<T>(all: &[Arc<T>], of: impl Fn(&T) -> u64) -> u64 {
    all.iter().map(|one| of(one)).sum()
}

fn merged<T>(all: &[Arc<T>], of: impl Fn(&T) -> Distribution) -> Distribution {
    let mut merged = Distribution::default();
    for one in all {
        merged.merge(&of(one));
    }
    merged
}

impl Told {
    fn take(&mut self, claimed: &mut Claimed, more: StoreCounters) {
        claimed.take(&mut self.commits, more.commits);
        claimed.take(&mut self.disk, more.disk);
        claimed.take(&mut self.damaged, more.damaged);
        claimed.take(&mut self.retries, more.retries);
        claimed.take(&mut self.timeouts, more.timeouts);
        claimed.take(&mut self.tiers, more.tiers);
    }

    /// Whether the store tells nothing that is counted here.
    pub(crate) fn is_empty(&self) -> bool {
        let about_itself = self.commits.is_empty() && self.disk.is_empty();
        let about_calls = self.retries.is_empty() && self.timeouts.is_empty();
        about_itself && about_calls && self.damaged.is_empty() && self.tiers.is_empty()
    }

    /// Notes all of it, as of this place.
    pub(crate) fn note(&self, sheet: &mut Sheet, store: &str) {
        self.note_commits(sheet, store);
        self.note_tiers(sheet, store);
        for room in &self.disk {
            if let Some(free) = room.free() {
                sheet.count("deriva_store_disk_free_bytes", &[store], free);
            }
            let reserve = room.reserve();
            sheet.count("deriva_store_disk_reserve_bytes", &[store], reserve);
        }
        if !self.damaged.is_empty() {
            let damaged = sum(&self.damaged, Counter::get);
            sheet.count("deriva_store_damaged_total", &[store], damaged);
        }
        if !self.timeouts.is_empty() {
            let timeouts = sum(&self.timeouts, Counter::get);
            sheet.count("deriva_store_timeouts_total", &[store], timeouts);
        }
        if !self.retries.is_empty() {
            let again = sum(&self.retries, |it| it.again.get());
            sheet.count("deriva_store_retries_total", &[store], again);
            let spent = sum(&self.retries, |it| it.spent.get());
            sheet.count("deriva_store_retries_spent_total", &[store], spent);
        }
    }

    fn note_commits(&self, sheet: &mut Sheet, store: &str) {
        let commits = &self.commits;
        if commits.is_empty() {
            return;
        }
        let times = merged(commits, |it| it.times.load());
        let failed = sum(commits, |it| it.failed.get());
        for (result, count) in [("done", times.count()), ("failed", failed)] {
            sheet.count("deriva_store_commits_total", &[store, result], count);
        }
        sheet.distribution("deriva_store_commit_duration_seconds", &[store], &times);
        let writers = merged(commits, |it| it.writers.load());
        sheet.distribution("deriva_store_commit_writers", &[store], &writers);
        let bytes = sum(commits, |it| it.bytes.get());
        sheet.count("deriva_store_commit_bytes_total", &[store], bytes);
    }

    fn note_tiers(&self, sheet: &mut Sheet, store: &str) {
        if self.tiers.is_empty() {
            return;
        }
        let of = |counter: fn(&TierCounters) -> &Counter| sum(&self.tiers, |it| counter(it).get());
        let reads = [
            ("fast", "hit", of(|it| &it.fast_hits)),
            ("fast", "miss", of(|it| &it.fast_misses)),
            ("slow", "hit", of(|it| &it.slow_hits)),
            ("slow", "miss", of(|it| &it.slow_misses)),
        ];
        for (tier, result, count) in reads {
            let name = "deriva_store_tier_reads_total";
            sheet.count(name, &[store, tier, result], count);
        }
        let copies = [
            ("promoted", of(|it| &it.promoted)),
            ("written", of(|it| &it.written)),
            ("evicted", of(|it| &it.evicted)),
        ];
        for (what, count) in copies {
            sheet.count("deriva_store_tier_copies_total", &[store, what], count);
        }
        let faults = of(|it| &it.faults);
        sheet.count("deriva_store_tier_faults_total", &[store], faults);
    }
}

#[cfg(test)]
mod tests {
    use deriva_api::{BlobLayer, BlobStore, DagLayer, DagStore};
    use deriva_layers::{RetryLayer, TimeoutLayer};
    use deriva_testkit::ModelStore;

    use super::*;

    fn model() -> OpenedStore {
        let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) =
            (Arc::new(ModelStore::new()), Arc::new(ModelStore::new()));
        OpenedStore {
            blobs: Some(blobs),
            dag: Some(dag),
        }
    }

    fn around(layer: &(impl BlobLayer + DagLayer), store: OpenedStore) -> OpenedStore {
        OpenedStore {
            blobs: store.blobs.map(|blobs| BlobLayer::wrap(layer, blobs)),
            dag: store.dag.map(|dag| DagLayer::wrap(layer, dag)),
        }
    }

    #[test]
    fn a_layer_tells_of_itself_alone_and_nothing_is_told_twice() {
        let mut claimed = Claimed::default();
        assert!(claimed.claim(&model()).is_empty());
        let timeout = around(&TimeoutLayer::default(), model());
        let both = around(&RetryLayer::new(), timeout.clone());
        let told = claimed.claim(&both);
        // One for each half, as each has calls of its own.
        assert_eq!((told.retries.len(), told.timeouts.len()), (2, 0));
        assert_eq!(claimed.claim(&timeout).timeouts.len(), 2);
        for again in [both, timeout] {
            assert!(claimed.claim(&again).is_empty());
        }
    }
}
