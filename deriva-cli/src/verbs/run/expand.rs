//! From a pipeline and its files to recipes.
//!
//! Nodes are dense numbers in the order in which they are made, so inputs come before what reads
//! them. Two items with the same content are one node, as they are one recipe in the store.

use std::collections::HashMap;
use std::sync::Arc;

use deriva::authors::BuildAddrHasher;
use deriva::{CAddr, Determinism, Recipe, Result};

use crate::handle::Handle;
use crate::pipeline::{Mistake, Over, Pipeline, Ref};

/// Recipes are stored in batches of this many.
const BATCH: usize = 4096;

/// The items of a source or step.
#[derive(Clone, Debug)]
pub(crate) struct Items {
    /// Their nodes, in order.
    pub(crate) nodes: Vec<u32>,
    /// Their names, in the same order.
    pub(crate) names: Arc<Vec<String>>,
}

/// All nodes of a run.
#[derive(Debug, Default)]
pub(crate) struct Expansion {
    /// The address of each node.
    pub(crate) addrs: Vec<CAddr>,
    /// Which source or step each belongs to: sources first, then steps. The first that makes a node
    /// owns it.
    pub(crate) owner: Vec<u32>,
    /// Items of the sources, then of the steps.
    pub(crate) items: Vec<Items>,
    /// How many of `items` are sources.
    pub(crate) sources: usize,
    /// Nodes whose steps say how they are checked. One that several steps make is checked as the strictest of them says.
    verify: HashMap<u32, Determinism>,
    index: HashMap<CAddr, u32, BuildAddrHasher>,
    starts: Vec<usize>,
    inputs: Vec<u32>,
}

/// Mistakes that only the number of files shows: sources without files, and functions that do not take
/// as many inputs.
pub(crate) fn check_counts(pipeline: &Pipeline, files: &[usize], root: &str) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (source, files) in pipeline.sources.iter().zip(files) {
        if *files == 0 {
            let message = format!("no file of `{}` is below {root}", source.name);
            mistakes.push(
                Mistake::new(source.at.clone(), message)
                    .help("check the patterns, `root`, and `--input`"),
            );
        }
    }
    let mut counts: Vec<usize> = Vec::new();
    for step in &pipeline.steps {
        let count = |from: &Ref| match from {
            Ref::Source(source) => files[*source],
            Ref::Step(step) => counts[*step],
        };
        let (items, inputs) = match &step.over {
            Over::Each(from) => (count(from), None),
            Over::All { from, fan_in } => {
                let all: usize = from.iter().map(count).sum();
                (1, Some(fan_in.map_or(all, |most| all.min(most))))
            }
        };
        counts.push(items);
        if let Some(Err(error)) = inputs.map(|inputs| step.function.check(inputs, &step.params)) {
            mistakes.push(Mistake::unfit(step.at.clone(), &error));
        }
    }
    mistakes
}

/// Makes the recipes of a pipeline over its files, and stores them where `store` is given.
///
/// # Errors
/// What the store says.
pub(crate) async fn expand(
    pipeline: &Pipeline,
    files: Vec<(Vec<String>, Vec<CAddr>)>,
    store: Option<&Handle>,
) -> Result<Expansion> {
    let mut expansion = Expansion {
        sources: files.len(),
        starts: vec![0],
        ..Expansion::default()
    };
    for (source, (names, addrs)) in files.into_iter().enumerate() {
        let nodes = addrs
            .iter()
            .map(|addr| expansion.add(*addr, source, &[]))
            .collect();
        expansion.items.push(Items {
            nodes,
            names: Arc::new(names),
        });
    }
    let mut batch = Vec::with_capacity(BATCH);
    for (at, step) in pipeline.steps.iter().enumerate() {
        let owner = expansion.sources + at;
        let place = |from: &Ref| match from {
            Ref::Source(source) => *source,
            Ref::Step(step) => pipeline.sources.len() + *step,
        };
        // The lists of inputs of the recipes to be made now; a tree has several rounds.
        let items = match &step.over {
            Over::Each(from) => {
                let from = expansion.items[place(from)].clone();
                let mut nodes = Vec::with_capacity(from.nodes.len());
                for input in &from.nodes {
                    nodes.push(expansion.make(pipeline, at, &[*input], &mut batch)?);
                    store_full(&mut batch, store, BATCH).await?;
                }
                Items {
                    nodes,
                    names: from.names,
                }
            }
            Over::All { from, fan_in } => {
                let mut level: Vec<u32> = Vec::new();
                for from in from {
                    level.extend(&expansion.items[place(from)].nodes);
                }
                while let Some(most) = fan_in.filter(|most| level.len() > *most) {
                    let mut next = Vec::new();
                    for chunk in chunks(&level, &expansion.addrs, most) {
                        match chunk {
                            [alone] => next.push(*alone),
                            many => next.push(expansion.make(pipeline, at, many, &mut batch)?),
                        }
                        store_full(&mut batch, store, BATCH).await?;
                    }
                    level = next;
                }
                Items {
                    nodes: vec![expansion.make(pipeline, at, &level, &mut batch)?],
                    names: Arc::new(vec![step.name.clone()]),
                }
            }
        };
        debug_assert_eq!(expansion.items.len(), owner);
        expansion.items.push(items);
    }
    store_full(&mut batch, store, 1).await?;
    Ok(expansion)
}

async fn store_full(batch: &mut Vec<Recipe>, store: Option<&Handle>, full: usize) -> Result<()> {
    if batch.len() >= full {
        if let Some(handle) = store {
            handle.insert(batch).await?;
        }
        batch.clear();
    }
    Ok(())
}

/// Cuts a level of a tree into runs of 2 to `most` nodes (the last may be shorter). Where a run ends
/// depends on the addresses in it, not on their places: a file that is added or removed moves the
/// cuts near it, and leaves the others, with their results, where they were.
fn chunks<'a>(level: &'a [u32], addrs: &[CAddr], most: usize) -> Vec<&'a [u32]> {
    let mean = u32::try_from((most / 2).max(2)).unwrap_or(u32::MAX);
    let cuts = |node: u32| {
        let [a, b, c, d, ..] = *addrs[node as usize].as_bytes();
        u32::from_le_bytes([a, b, c, d]) % mean == 0
    };
    let mut chunks = Vec::new();
    let mut start = 0;
    for (i, node) in level.iter().enumerate() {
        let len = i + 1 - start;
        if len == most || (len >= 2 && cuts(*node)) {
            chunks.push(&level[start..=i]);
            start = i + 1;
        }
    }
    if start < level.len() {
        chunks.push(&level[start..]);
    }
    chunks
}

impl Expansion {
    /// The node of an address.
    pub(crate) fn node(&self, addr: &CAddr) -> Option<u32> {
        self.index.get(addr).copied()
    }

    /// The addresses whose steps say how they are checked, and how.
    pub(crate) fn verify(&self) -> impl Iterator<Item = (CAddr, Determinism)> {
        let asked = self.verify.iter();
        asked.map(|(node, mode)| (self.addrs[*node as usize], *mode))
    }

    /// How many nodes there are, sources included.
    pub(crate) fn len(&self) -> usize {
        self.addrs.len()
    }

    /// The inputs of a node.
    pub(crate) fn inputs(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.inputs[self.starts[node]..self.starts[node + 1]]
    }

    /// Whether a node is a source's.
    pub(crate) fn is_source(&self, node: u32) -> bool {
        (self.owner[node as usize] as usize) < self.sources
    }

    /// The items of a source or step.
    pub(crate) fn items_of(&self, from: Ref) -> &Items {
        match from {
            Ref::Source(source) => &self.items[source],
            Ref::Step(step) => &self.items[self.sources + step],
        }
    }

    /// The name of an item that is this node, where one is. Searches; for messages only.
    pub(crate) fn item_name(&self, node: u32) -> Option<&str> {
        let items = self.items.get(self.owner[node as usize] as usize)?;
        let at = items.nodes.iter().position(|n| *n == node)?;
        items.names.get(at).map(String::as_str)
    }

    fn make(
        &mut self,
        pipeline: &Pipeline,
        step: usize,
        inputs: &[u32],
        batch: &mut Vec<Recipe>,
    ) -> Result<u32> {
        let spec = &pipeline.steps[step];
        let addrs: Vec<CAddr> = inputs
            .iter()
            .map(|input| self.addrs[*input as usize])
            .collect();
        let recipe = Recipe::new(spec.function.id(), &addrs, &spec.params)?;
        let before = self.len();
        let node = self.add(recipe.addr(), self.sources + step, inputs);
        if self.len() > before {
            batch.push(recipe);
        }
        if let Some(mode) = spec.verify {
            let asked = self.verify.entry(node).or_insert(mode);
            *asked = asked.stricter(mode);
        }
        Ok(node)
    }

    fn add(&mut self, addr: CAddr, owner: usize, inputs: &[u32]) -> u32 {
        let next = self.addrs.len() as u32;
        let node = *self.index.entry(addr).or_insert(next);
        if node == next {
            self.addrs.push(addr);
            self.owner.push(owner as u32);
            self.inputs.extend(inputs);
            self.starts.push(self.inputs.len());
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(n: u32) -> Vec<CAddr> {
        (0..n).map(|i| CAddr::of_blob(&i.to_le_bytes())).collect()
    }

    #[test]
    fn chunks_cover_all_in_order_and_are_never_too_long() {
        let addrs = addrs(1000);
        let level: Vec<u32> = (0..1000).collect();
        for most in [2, 3, 8, 64] {
            let chunks = chunks(&level, &addrs, most);
            assert_eq!(chunks.concat(), level);
            assert!(chunks.iter().all(|chunk| chunk.len() <= most));
            assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() >= 2));
        }
    }

    #[test]
    fn one_more_item_leaves_most_chunks_as_they_are() {
        let addrs = addrs(1001);
        let with: Vec<u32> = (0..1001).collect();
        let without: Vec<u32> = with.iter().copied().filter(|n| *n != 100).collect();
        let before: Vec<Vec<u32>> = chunks(&without, &addrs, 16)
            .iter()
            .map(|c| c.to_vec())
            .collect();
        let after = chunks(&with, &addrs, 16);
        let new = after
            .iter()
            .filter(|chunk| !before.contains(&chunk.to_vec()))
            .count();
        assert!(new <= 8, "{new} of {} chunks are new", after.len());
    }
}
