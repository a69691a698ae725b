//! What lives: listed, then walked from the roots and from what is leased.

use std::sync::Arc;

use deriva_api::{CAddr, CollectEvent, Collected, Node, Result};
use futures::StreamExt;

use super::Options;
use super::bits::Bits;
use super::log::Log;
use super::mark_stack::MarkStack;
use crate::shared::Inner;
use crate::shared::address_index::{Index, Position, SharedIndex};
use crate::shared::leases::Journal;

/// Addresses that are listed, looked up or walked at a time.
pub(super) const BATCH: usize = 1024;

/// What is known of a blob, beside its address: 13 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) len: u64,
    /// Recipes that have it as their output, as far as they were not taken.
    pub(super) outputs: u32,
    /// Under a quota, how dear the dearest of these outputs is.
    pub(super) rank: u8,
}

pub(super) const ENTRY: usize = 13;

impl Entry {
    pub(super) fn encode(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.outputs.to_le_bytes());
        bytes[12] = self.rank;
        bytes
    }

    pub(super) fn decode(bytes: [u8; ENTRY]) -> Self {
        let [len @ .., a, b, c, d, rank] = bytes;
        Self {
            len: u64::from_le_bytes(len),
            outputs: u32::from_le_bytes([a, b, c, d]),
            rank,
        }
    }
}

/// A collection under way.
pub(super) struct Collector {
    pub(super) inner: Arc<Inner>,
    pub(super) options: Options,
    pub(super) report: Collected,
    /// The recipes that were there at the beginning. What came later is journaled and no candidate.
    pub(super) recipes: SharedIndex<0>,
    /// The same of blobs.
    pub(super) blobs: SharedIndex<ENTRY>,
    /// Recipes that something needs which is a root or leased.
    pub(super) marked: MarkStack,
    /// Blobs that are needed as themselves: by a live recipe, a root or a lease. Outputs are counted in
    /// the entries of their blobs.
    pub(super) named: Bits,
    /// Recipes that were taken, or left because something unknown depends on them.
    pub(super) done: Bits,
    /// Blobs that were taken.
    pub(super) taken: Bits,
    journal: Journal,
    /// What came into the journal: until there is an index, and under a quota all of it.
    journaled: Log,
    walked: u64,
}

impl Collector {
    /// Lists everything. From before the first look on, what is leased is journaled.
    pub(super) async fn list(inner: &Arc<Inner>, options: Options) -> Result<Self> {
        let journal = inner.leases.journal();
        let spools = &inner.tallies.spools;
        let recipes = SharedIndex::new(&inner.tokio).counted(spools.begin());
        let blobs = SharedIndex::new(&inner.tokio).counted(spools.begin());
        // Without an index nothing can be looked up: what comes in now waits.
        let mut journaled = Log::new(spools.begin());
        let mut bytes = 0;
        let mut pages = inner.blobs.list(None).chunks(BATCH);
        while let Some(page) = pages.next().await {
            journaled.append(&journal.drain())?;
            let page: Vec<_> = page.into_iter().collect::<Result<_>>()?;
            bytes += page.iter().map(|stat| stat.len).sum::<u64>();
            let push = move |index: &mut Index<ENTRY>| {
                page.into_iter().try_for_each(|stat| {
                    let entry = Entry {
                        len: stat.len,
                        outputs: 0,
                        rank: 0,
                    };
                    index.push(stat.addr, entry.encode())
                })
            };
            blobs.with(push).await?;
        }
        let mut pages = inner.dag.list(None).chunks(BATCH);
        while let Some(page) = pages.next().await {
            journaled.append(&journal.drain())?;
            let page: Vec<(CAddr, Node)> = page.into_iter().collect::<Result<_>>()?;
            let outputs = page.iter().filter_map(|(_, node)| node.output);
            let mut contents: Vec<CAddr> = outputs.map(|output| output.addr).collect();
            contents.sort_unstable();
            let count = move |index: &mut Index<ENTRY>| {
                contents
                    .into_iter()
                    .try_for_each(|addr| count_output(index, addr))
            };
            blobs.with(count).await?;
            let push = move |index: &mut Index<0>| {
                let mut page = page.into_iter();
                page.try_for_each(|(addr, _)| index.push(addr, []))
            };
            recipes.with(push).await?;
        }
        let recipe_count = recipes.with(|index| Ok(index.len())).await?;
        let blob_count = blobs.with(|index| Ok(index.len())).await?;
        let mut report = Collected::default();
        report.dry_run = options.dry_run;
        (report.kept_recipes, report.kept_blobs) = (recipe_count, blob_count);
        report.kept_bytes = bytes;
        let mut collector = Self {
            inner: Arc::clone(inner),
            options,
            report,
            recipes,
            blobs,
            marked: MarkStack::new(recipe_count),
            named: Bits::new(blob_count),
            done: Bits::new(recipe_count),
            taken: Bits::new(blob_count),
            journal,
            journaled,
            walked: 0,
        };
        collector.tell(CollectEvent::Listed {
            recipes: recipe_count,
            blobs: blob_count,
        });
        collector.keep_journaled().await?;
        Ok(collector)
    }

    /// Marks what came into the journal so far.
    pub(super) async fn keep_journaled(&mut self) -> Result<()> {
        self.journaled.rewind();
        loop {
            let page = self.journaled.next(BATCH)?;
            if page.is_empty() {
                return Ok(());
            }
            self.keep(page).await?;
        }
    }

    /// Walks down from the roots, and from what is leased.
    pub(super) async fn walk_roots(&mut self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let mut pages = inner.dag.roots(None).chunks(BATCH);
        while let Some(page) = pages.next().await {
            let page: Vec<(String, CAddr)> = page.into_iter().collect::<Result<_>>()?;
            self.keep(page.into_iter().map(|(_, addr)| addr).collect())
                .await?;
        }
        self.walk(usize::MAX).await?;
        Ok(())
    }

    /// Walks on, from everything that came into the journal meanwhile, too. Answers whether nothing is
    /// left, or stops after about `most` recipes.
    pub(super) async fn walk(&mut self, most: usize) -> Result<bool> {
        let mut walked = 0;
        loop {
            let came = self.journal.drain();
            if self.options.policy.derived_bytes_at_most.is_some() {
                self.journaled.append(&came)?;
            }
            for page in came.chunks(BATCH) {
                self.keep(page.to_vec()).await?;
            }
            if walked >= most {
                return Ok(false);
            }
            let batch = self.marked.next(BATCH);
            if batch.is_empty() {
                return Ok(true);
            }
            walked += batch.len();
            self.walked += batch.len() as u64;
            let nodes = self.nodes(batch).await?;
            let inputs = nodes.iter().flat_map(|(_, node)| node.recipe.inputs());
            self.need(inputs.collect()).await?;
            self.tell(CollectEvent::Living {
                recipes: self.walked,
            });
        }
    }

    /// Marks what is a root or leased.
    async fn keep(&mut self, addrs: Vec<CAddr>) -> Result<()> {
        // Blobs, and recipes that came after the list.
        let unlisted = self.meet(addrs).await?;
        let nodes = self.inner.dag.get_many(&unlisted).await?;
        let mut needed = Vec::new();
        for (addr, node) in unlisted.into_iter().zip(nodes) {
            match node {
                Some(node) => {
                    needed.extend(node.recipe.inputs());
                    needed.extend(node.output.map(|output| output.addr));
                }
                None => needed.push(addr),
            }
        }
        self.need(needed).await
    }

    /// Marks what a live recipe needs. A recipe that came after the list was journaled for itself.
    async fn need(&mut self, addrs: Vec<CAddr>) -> Result<()> {
        let leaves = self.meet(addrs).await?;
        for at in self.blobs.find(leaves).await?.into_iter().flatten() {
            self.named.set(at);
        }
        Ok(())
    }

    /// Meets those of the addresses that were listed as recipes; answers with the others, sorted.
    async fn meet(&mut self, mut addrs: Vec<CAddr>) -> Result<Vec<CAddr>> {
        addrs.sort_unstable();
        addrs.dedup();
        let found = self.recipes.find(addrs.clone()).await?;
        let mut others = Vec::new();
        for (addr, at) in addrs.into_iter().zip(found) {
            match at {
                Some(at) => self.marked.meet(at),
                None => others.push(addr),
            }
        }
        Ok(others)
    }

    /// The recipes at positions, as far as they are still there.
    pub(super) async fn nodes(&self, positions: Vec<Position>) -> Result<Vec<(Position, Node)>> {
        let addrs = self.recipes.addrs(positions.clone()).await?;
        let nodes = self.inner.dag.get_many(&addrs).await?;
        let there = positions.into_iter().zip(nodes);
        Ok(there.filter_map(|(at, node)| Some((at, node?))).collect())
    }

    pub(super) fn tell(&self, event: CollectEvent) {
        if let Some(progress) = &self.options.progress {
            progress(&event);
        }
    }
}

fn count_output(index: &mut Index<ENTRY>, addr: CAddr) -> Result<()> {
    // An output whose blob is lost, or came after the list.
    let Some(at) = index.find(addr)? else {
        return Ok(());
    };
    let mut entry = Entry::decode(index.read(at)?.1);
    entry.outputs = entry.outputs.saturating_add(1);
    index.write(at, entry.encode())
}
