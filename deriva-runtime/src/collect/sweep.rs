//! What is unreachable, taken: recipes before those that they are made from, then blobs.

use deriva_api::{CAddr, ErrorKind, Result};
use futures::TryStreamExt;

use super::mark::{BATCH, Collector, ENTRY, Entry};
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::address_index::{Index, Position};
use crate::shared::reserved::earlier_counts;

/// Recipes or blobs that are taken at a time. A batch keeps everybody else from adding, so it is small.
pub(super) const TAKE: usize = 256;
/// Recipes without dependents that wait to be taken at the most; the rest is found again.
const FREE: usize = 64 << 10;

impl Collector {
    /// Takes unreachable recipes, with their outputs and the blobs that were outputs of theirs alone.
    ///
    /// All dependents of an unreachable recipe are unreachable. A store removes a recipe when it has no
    /// dependents left, so this begins with those that have none, and follows their inputs.
    pub(super) async fn take_unreachable(&mut self) -> Result<()> {
        if self.options.dry_run {
            return self.count_unreachable().await;
        }
        let mut again = true;
        while again {
            again = false;
            let mut from = 0;
            loop {
                let page = self.unreachable(&mut from, BATCH);
                if page.is_empty() {
                    break;
                }
                let addrs = self.recipes.addrs(page).await?;
                let free = self.free(addrs).await?;
                again |= self.take_downward(free).await?;
            }
        }
        Ok(())
    }

    async fn count_unreachable(&mut self) -> Result<()> {
        let mut from = 0;
        loop {
            let page = self.unreachable(&mut from, BATCH);
            if page.is_empty() {
                return Ok(());
            }
            let nodes = self.nodes(page).await?;
            let outputs: Vec<_> = nodes.iter().filter_map(|(_, node)| node.output).collect();
            let blobs = self.release(&outputs).await?;
            self.count(nodes.len() as u64, &outputs, &blobs);
        }
    }

    /// Takes recipes without dependents, and those without dependents that this leaves, as long as there
    /// are any. Answers whether some have to be looked for again.
    async fn take_downward(&mut self, mut free: Vec<CAddr>) -> Result<bool> {
        let mut overflowed = false;
        while !free.is_empty() {
            let batch = free.split_off(free.len().saturating_sub(TAKE));
            let inputs = self.take_recipes(batch).await?;
            let mut freed = self.free(inputs).await?;
            let room = FREE.saturating_sub(free.len());
            overflowed |= freed.len() > room;
            freed.truncate(room);
            free.append(&mut freed);
        }
        Ok(overflowed)
    }

    /// Takes a batch of recipes without dependents; answers with the inputs of those that were taken. What
    /// something needs by now is left, and so is what has a dependent that the collection knows nothing of:
    /// somebody wrote to the store and not through its [`crate::Deriva`].
    async fn take_recipes(&mut self, batch: Vec<CAddr>) -> Result<Vec<CAddr>> {
        match self.try_take(&batch).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            taken => return taken,
        }
        let mut inputs = Vec::new();
        for addr in batch {
            match self.try_take(&[addr]).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                taken => inputs.append(&mut taken?),
            }
        }
        Ok(inputs)
    }

    async fn try_take(&mut self, batch: &[CAddr]) -> Result<Vec<CAddr>> {
        let alone = self.alone().await?;
        let mut sorted = batch.to_vec();
        sorted.sort_unstable();
        let found = self.recipes.find(sorted).await?;
        let blind = planted(Fault::takes_what_was_met_since);
        let dead = |at: &Position| blind || !self.marked.met.has(*at);
        let nodes = self
            .nodes(found.into_iter().flatten().filter(dead).collect())
            .await?;
        for (at, _) in &nodes {
            self.done.set(*at);
        }
        let outputs: Vec<_> = nodes.iter().filter_map(|(_, node)| node.output).collect();
        let blobs = self.release(&outputs).await?;
        let addrs: Vec<CAddr> = nodes.iter().map(|(_, node)| node.recipe.addr()).collect();
        let taken = self.take(alone, addrs, &blobs, true).await;
        // Those of a batch in conflict have lost their outputs, if nothing more.
        self.count(*taken.as_ref().unwrap_or(&0), &outputs, &blobs);
        taken?;
        let recipes = nodes.iter().map(|(_, node)| &node.recipe);
        Ok(recipes.flat_map(|recipe| recipe.inputs()).collect())
    }

    /// Those of the addresses that are unreachable recipes without dependents.
    async fn free(&self, mut addrs: Vec<CAddr>) -> Result<Vec<CAddr>> {
        addrs.sort_unstable();
        addrs.dedup();
        let found = self.recipes.find(addrs.clone()).await?;
        let mut free = Vec::new();
        for (addr, at) in addrs.into_iter().zip(found) {
            let Some(at) = at else { continue };
            if self.marked.met.has(at) || self.done.has(at) {
                continue;
            }
            if self
                .inner
                .dag
                .dependents(addr, None)
                .try_next()
                .await?
                .is_none()
            {
                free.push(addr);
            }
        }
        Ok(free)
    }

    /// Takes blobs that nothing refers to.
    pub(super) async fn take_unreferenced(&mut self) -> Result<()> {
        let mut from = 0;
        loop {
            let page = self.unnamed(&mut from, TAKE);
            if page.is_empty() {
                return Ok(());
            }
            self.take_unnamed(page).await?;
        }
    }

    /// Takes counts of checks that were counted on since: nobody put them, so nobody misses them. The oldest first, as
    /// each is found by the one that followed it.
    pub(super) async fn take_earlier_counts(&mut self) -> Result<()> {
        let Inner { dag, blobs, .. } = &*self.inner;
        let mut earlier = earlier_counts(&**dag, &**blobs).await?;
        earlier.reverse();
        for batch in earlier.chunks(TAKE) {
            let mut batch = batch.to_vec();
            batch.sort_unstable();
            let found = self.blobs.find(batch).await?.into_iter().flatten();
            let dead = |at: &Position| !self.named.has(*at) && !self.taken.has(*at);
            let page: Vec<Position> = found.filter(dead).collect();
            if !page.is_empty() {
                self.take_unnamed(page).await?;
            }
        }
        Ok(())
    }

    /// Takes those of some blobs that are no output, and that nothing live needs as themselves by now.
    async fn take_unnamed(&mut self, page: Vec<Position>) -> Result<()> {
        let page = self.without_output(page).await?;
        let alone = match self.options.dry_run {
            true => None,
            false => Some(self.alone().await?),
        };
        let blind = planted(Fault::takes_blobs_that_were_named_since);
        let unnamed = page.into_iter().filter(|at| blind || !self.named.has(*at));
        let unnamed: Vec<Position> = unnamed.collect();
        let read = move |index: &mut Index<ENTRY>| {
            let mut blobs = Vec::with_capacity(unnamed.len());
            for at in unnamed {
                let (addr, entry) = index.read(at)?;
                blobs.push((at, addr, Entry::decode(entry).len));
            }
            Ok(blobs)
        };
        let blobs: Vec<_> = self.blobs.with(read).await?;
        for (at, ..) in &blobs {
            self.taken.set(*at);
        }
        if let Some(alone) = alone {
            self.take(alone, Vec::new(), &blobs, false).await?;
        }
        self.count(0, &[], &blobs);
        Ok(())
    }

    /// The next recipes that nothing live needs.
    pub(super) fn unreachable(&self, from: &mut Position, most: usize) -> Vec<Position> {
        let wanted = |live: u64, done: u64| !live & !done;
        self.marked.met.next(&self.done, from, most, wanted)
    }

    /// The next blobs that nothing live needs as themselves.
    pub(super) fn unnamed(&self, from: &mut Position, most: usize) -> Vec<Position> {
        let wanted = |named: u64, taken: u64| !named & !taken;
        self.named.next(&self.taken, from, most, wanted)
    }
}
