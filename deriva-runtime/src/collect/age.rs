//! How long something is known to be unreachable.

use std::time::Duration;

use deriva_api::Result;

use super::mark::{BATCH, Collector, ENTRY, Entry};
use crate::shared::address_index::{Index, Position};
use crate::shared::unreachable_since::{FirstSeen, UnreachableSince};

impl Collector {
    /// Lets those unreachable recipes and blobs live, with what they need, that were not known to be
    /// unreachable `age` ago. What is unreachable is noted for later, unless this is a dry run.
    pub(super) async fn keep_young(
        &mut self,
        age: Duration,
        unreachable_since: &mut UnreachableSince,
    ) -> Result<()> {
        let now = self.inner.clock.now();
        let is_young = |since: &Duration| now.saturating_sub(*since) < age;
        let recipes = FirstSeen::new(&self.inner.tokio);
        let mut from = 0;
        loop {
            let page = self.unreachable(&mut from, BATCH);
            if page.is_empty() {
                break;
            }
            let addrs = self.recipes.addrs(page.clone()).await?;
            let times = recipes
                .add(addrs, unreachable_since.recipes.as_ref(), now)
                .await?;
            for (at, since) in page.into_iter().zip(times) {
                if is_young(&since) {
                    self.marked.meet(at);
                }
            }
        }
        self.walk(usize::MAX).await?;
        let blobs = FirstSeen::new(&self.inner.tokio);
        let mut from = 0;
        while self.options.policy.unreferenced_blobs {
            let page = self.unnamed(&mut from, BATCH);
            if page.is_empty() {
                break;
            }
            let page = self.without_output(page).await?;
            let positions = page.clone();
            let addrs = move |index: &mut Index<ENTRY>| {
                let entries = positions.iter().map(|at| Ok(index.read(*at)?.0));
                entries.collect::<Result<Vec<_>>>()
            };
            let addrs = self.blobs.with(addrs).await?;
            let times = blobs
                .add(addrs, unreachable_since.blobs.as_ref(), now)
                .await?;
            for (at, since) in page.into_iter().zip(times) {
                if is_young(&since) {
                    self.named.set(at);
                }
            }
        }
        if !self.options.dry_run {
            *unreachable_since = UnreachableSince {
                recipes: Some(recipes),
                blobs: Some(blobs),
            };
        }
        Ok(())
    }

    /// Those of the blobs at positions that are no output.
    pub(super) async fn without_output(&self, page: Vec<Position>) -> Result<Vec<Position>> {
        let filter = move |index: &mut Index<ENTRY>| {
            let mut without = Vec::with_capacity(page.len());
            for at in page {
                if Entry::decode(index.read(at)?.1).outputs == 0 {
                    without.push(at);
                }
            }
            Ok(without)
        };
        self.blobs.with(filter).await
    }
}
