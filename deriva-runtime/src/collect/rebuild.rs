//! What could not be computed again if it were dropped.

use std::collections::HashSet;

use deriva_api::{BuildAddrHasher, CAddr, Node, Result};
use futures::StreamExt;

use super::bits::Bits;
use super::mark::{BATCH, Collector};
use super::mark_stack::MarkStack;
use crate::shared::address_index::Position;

impl Collector {
    /// Those of the live recipes whose output must stay, as it could not be computed again: the function
    /// is not registered, an input is stored nowhere, or an input has no bytes and cannot be computed
    /// either. Whatever is dropped of all others, they can be made again from what is left.
    pub(super) async fn irreplaceable(&self, live: &Bits) -> Result<Bits> {
        let mut firm = Bits::new(live.len());
        // Recipes without bytes that cannot be computed: what needs them is stuck as well.
        let mut stuck = MarkStack::new(live.len());
        let mut from = 0;
        loop {
            let page = self.of(live, &mut from);
            if page.is_empty() {
                break;
            }
            let nodes = self.nodes(page).await?;
            let missing = self.missing(&nodes).await?;
            let held = self.held(&nodes).await?;
            for ((at, node), held) in nodes.iter().zip(held) {
                let recipe = &node.recipe;
                let known = self.inner.able(recipe).function().is_some();
                if known && recipe.inputs().all(|input| !missing.contains(&input)) {
                    continue;
                }
                firm.set(*at);
                if !held {
                    stuck.meet(*at);
                }
            }
        }
        loop {
            let batch = stuck.next(BATCH);
            if batch.is_empty() {
                return Ok(firm);
            }
            for addr in self.recipes.addrs(batch).await? {
                self.pass_on(addr, &mut firm, &mut stuck).await?;
            }
        }
    }

    /// The dependents of a recipe that is stuck.
    async fn pass_on(&self, addr: CAddr, firm: &mut Bits, stuck: &mut MarkStack) -> Result<()> {
        let mut pages = self.inner.dag.dependents(addr, None).chunks(BATCH);
        while let Some(page) = pages.next().await {
            let page: Vec<CAddr> = page.into_iter().collect::<Result<_>>()?;
            let found = self.recipes.find(page).await?;
            let nodes = self.nodes(found.into_iter().flatten().collect()).await?;
            let held = self.held(&nodes).await?;
            for ((at, _), held) in nodes.iter().zip(held) {
                firm.set(*at);
                if !held {
                    stuck.meet(*at);
                }
            }
        }
        Ok(())
    }

    /// Which of the recipes have their bytes.
    async fn held(&self, nodes: &[(Position, Node)]) -> Result<Vec<bool>> {
        let outputs = nodes.iter().filter_map(|(_, node)| node.output);
        let contents: Vec<CAddr> = outputs.map(|output| output.addr).collect();
        let mut stats = self.inner.blobs.stat(&contents).await?.into_iter();
        let held = |node: &Node| node.output.is_some() && stats.next().flatten().is_some();
        Ok(nodes.iter().map(|(_, node)| node).map(held).collect())
    }

    /// The inputs that are neither recipes nor blobs.
    async fn missing(&self, nodes: &[(Position, Node)]) -> Result<HashSet<CAddr, BuildAddrHasher>> {
        let inputs = nodes.iter().flat_map(|(_, node)| node.recipe.inputs());
        let mut inputs: Vec<CAddr> = inputs.collect();
        inputs.sort_unstable();
        inputs.dedup();
        let found = self.recipes.find(inputs.clone()).await?;
        let leaves = inputs.into_iter().zip(found);
        let leaves: Vec<CAddr> = leaves
            .filter_map(|(addr, at)| at.is_none().then_some(addr))
            .collect();
        let stats = self.inner.blobs.stat(&leaves).await?;
        let absent = leaves.into_iter().zip(stats);
        let absent: Vec<CAddr> = absent
            .filter_map(|(addr, stat)| stat.is_none().then_some(addr))
            .collect();
        // Recipes that came after the list.
        let nodes = self.inner.dag.get_many(&absent).await?;
        let missing = absent.into_iter().zip(nodes);
        Ok(missing
            .filter_map(|(addr, node)| node.is_none().then_some(addr))
            .collect())
    }
}
