//! Derived blobs beyond a quota: dropped, those first that cost the least computation per byte.
//!
//! What a byte costs is put into one of 64 classes, each twice as dear as the one before, so that a
//! histogram finds where the quota falls and nothing is sorted. A blob is as dear as its dearest output.

use deriva_api::{CAddr, Node, Output, Result};
use futures::StreamExt;

use super::bits::Bits;
use super::mark::{BATCH, Collector, ENTRY, Entry};
use super::mark_stack::MarkStack;
use super::sweep::TAKE;
use crate::planted::{Fault, planted};
use crate::shared::address_index::{Index, Position};

/// Classes of cost per byte.
const RANKS: usize = 64;

impl Collector {
    /// Drops outputs of live recipes until their blobs are `most` bytes.
    pub(super) async fn drop_derived(&mut self, most: u64) -> Result<()> {
        let count = self.marked.met.len();
        // The walk begins again, without the roots: what it meets now is leased, and needed as it is.
        let live = std::mem::replace(&mut self.marked, MarkStack::new(count)).met;
        self.keep_journaled().await?;
        self.walk(usize::MAX).await?;
        let mut firm = self.irreplaceable(&live).await?;
        self.add_roots(&mut firm).await?;
        self.rank(&live, &firm).await?;
        let (chosen, derived) = self.choose(most).await?;
        let before = self.report.bytes;
        self.drop_chosen(&live, &firm, &chosen).await?;
        let dropped = self.report.bytes - before;
        self.report.derived_bytes = Some(derived.saturating_sub(dropped));
        Ok(())
    }

    /// A root asks for the bytes of the recipe that it names.
    async fn add_roots(&self, firm: &mut Bits) -> Result<()> {
        let mut pages = self.inner.dag.roots(None).chunks(BATCH);
        while let Some(page) = pages.next().await {
            let page: Vec<(String, CAddr)> = page.into_iter().collect::<Result<_>>()?;
            let addrs = page.into_iter().map(|(_, addr)| addr).collect();
            for at in self.recipes.find(addrs).await?.into_iter().flatten() {
                firm.set(at);
            }
        }
        Ok(())
    }

    /// Notes how dear each derived blob is, and which have to stay.
    async fn rank(&mut self, live: &Bits, firm: &Bits) -> Result<()> {
        let mut from = 0;
        loop {
            let page = self.of(live, &mut from);
            if page.is_empty() {
                return Ok(());
            }
            let nodes = self.nodes(page).await?;
            let mut outputs: Vec<(Output, bool)> = nodes
                .iter()
                .filter_map(|(at, node)| Some((node.output?, self.stays(*at, firm))))
                .collect();
            outputs.sort_unstable_by_key(|(output, _)| output.addr);
            let rank = move |index: &mut Index<ENTRY>| {
                let mut stay = Vec::new();
                for (output, stays) in outputs {
                    let Some(at) = index.find(output.addr)? else {
                        continue;
                    };
                    let mut entry = Entry::decode(index.read(at)?.1);
                    entry.rank = entry.rank.max(rank(&output));
                    index.write(at, entry.encode())?;
                    stay.extend(stays.then_some(at));
                }
                Ok(stay)
            };
            for at in self.blobs.with(rank).await? {
                self.named.set(at);
            }
        }
    }

    fn stays(&self, at: Position, firm: &Bits) -> bool {
        firm.has(at) || self.marked.met.has(at)
    }

    /// The blobs to be dropped, and the bytes of all derived ones.
    async fn choose(&self, most: u64) -> Result<(Bits, u64)> {
        let mut classes = [0u64; RANKS];
        let mut derived = 0;
        self.each_derived(|_, entry, named| {
            derived += entry.len;
            if !named {
                classes[usize::from(entry.rank).min(RANKS - 1)] += entry.len;
            }
        })
        .await?;
        let mut excess = derived.saturating_sub(most);
        // Whole classes, and of one more as many blobs as it takes.
        let mut whole = 0;
        while whole < RANKS && classes[whole] <= excess {
            excess -= classes[whole];
            whole += 1;
        }
        let mut chosen = Bits::new(self.named.len());
        self.each_derived(|at, entry, named| {
            let rank = usize::from(entry.rank);
            // Nothing is won by an empty blob.
            if named || entry.len == 0 || rank > whole || (rank == whole && excess == 0) {
                return;
            }
            if rank == whole {
                excess = excess.saturating_sub(entry.len);
            }
            chosen.set(at);
        })
        .await?;
        Ok((chosen, derived))
    }

    /// Looks at every blob that is an output, and whether it is needed as itself.
    async fn each_derived(&self, mut look: impl FnMut(Position, Entry, bool)) -> Result<()> {
        let mut from = 0;
        loop {
            let page = self
                .taken
                .next(&self.taken, &mut from, BATCH, |taken, _| !taken);
            if page.is_empty() {
                return Ok(());
            }
            let read = move |index: &mut Index<ENTRY>| {
                let entries = page.into_iter();
                let entries = entries.map(|at| Ok((at, Entry::decode(index.read(at)?.1))));
                entries.collect::<Result<Vec<_>>>()
            };
            for (at, entry) in self.blobs.with(read).await? {
                if entry.outputs > 0 {
                    look(at, entry, self.named.has(at));
                }
            }
        }
    }

    async fn drop_chosen(&mut self, live: &Bits, firm: &Bits, chosen: &Bits) -> Result<()> {
        let mut from = 0;
        loop {
            let page = self.of(live, &mut from);
            if page.is_empty() {
                return Ok(());
            }
            let mut dropped: Vec<(Position, Node)> = Vec::new();
            let nodes = self.nodes(page).await?;
            let contents = nodes.iter().filter_map(|(_, node)| node.output);
            let contents: Vec<CAddr> = contents.map(|output| output.addr).collect();
            let find = move |index: &mut Index<ENTRY>| {
                let found = contents.into_iter().map(|addr| index.find(addr));
                found.collect::<Result<Vec<_>>>()
            };
            let mut blobs = self.blobs.with(find).await?.into_iter();
            for (at, node) in nodes {
                let blob = node.output.and_then(|_| blobs.next().flatten());
                let wanted = blob.is_some_and(|blob| chosen.has(blob) && !self.named.has(blob));
                if wanted && !self.stays(at, firm) {
                    dropped.push((at, node));
                }
            }
            for batch in dropped.chunks(TAKE) {
                self.drop_batch(batch).await?;
            }
        }
    }

    async fn drop_batch(&mut self, batch: &[(Position, Node)]) -> Result<()> {
        let alone = match self.options.dry_run {
            true => None,
            false => Some(self.alone().await?),
        };
        // What was leased meanwhile is needed as it is.
        let blind = planted(Fault::drops_what_was_leased_since);
        let batch = (batch.iter()).filter(|(at, _)| blind || !self.marked.met.has(*at));
        let batch: Vec<&Node> = batch.map(|(_, node)| node).collect();
        let outputs: Vec<Output> = batch.iter().filter_map(|node| node.output).collect();
        let blobs = self.release(&outputs).await?;
        if let Some(alone) = alone {
            let addrs = batch.iter().map(|node| node.recipe.addr()).collect();
            self.take(alone, addrs, &blobs, false).await?;
        }
        self.count(0, &outputs, &blobs);
        Ok(())
    }

    /// The next of the live recipes.
    pub(super) fn of(&self, live: &Bits, from: &mut Position) -> Vec<Position> {
        live.next(&self.done, from, BATCH, |live, done| live & !done)
    }
}

/// The class of what a byte costs, in nanoseconds.
fn rank(output: &Output) -> u8 {
    let per_byte = output.cost.as_nanos() as f64 / output.len.max(1) as f64;
    // From a thousandth of a nanosecond per byte to hours.
    let class = per_byte.log2() + 10.0;
    class.clamp(0.0, RANKS as f64 - 1.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_costs_more_per_byte_is_in_a_later_class() {
        let rank = |nanos, len| {
            rank(&Output {
                addr: CAddr::MIN,
                len,
                cost: Duration::from_nanos(nanos),
            })
        };
        assert_eq!(rank(0, 10), 0);
        assert_eq!(rank(1 << 10, 1 << 20), 0);
        assert_eq!(rank(8, 8), 10);
        assert_eq!(rank(16, 8), 11);
        assert!(rank(1_000_000_000, 1) > rank(1_000_000_000, 1000));
        assert_eq!(rank(u64::MAX, 0), 63);
    }
}
