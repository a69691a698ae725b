//! Sugar over [`DagStore`]: walks over the graph.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use futures::TryStreamExt;

use crate::{AddrPrefix, BuildAddrHasher, CAddr, DagStore, Error, ErrorKind, Node, Recipe, Result};

/// How far a walk over the graph may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The number of addresses that may be visited; a walk that would visit more fails with
    /// [`ErrorKind::Full`] instead of filling the memory (about 100 bytes each). Default: 50 million.
    pub limit: usize,
}

impl Default for Walk {
    fn default() -> Self {
        Self { limit: 50_000_000 }
    }
}

impl Walk {
    fn check(self, visited: usize) -> Result<()> {
        if visited <= self.limit {
            return Ok(());
        }
        Err(
            Error::new(ErrorKind::Full, "the walk reached its limit of addresses")
                .with("limit", self.limit)
                .hint("raise `Walk::limit` where there is memory for more"),
        )
    }
}

/// How many addresses one call to the store asks for.
const BATCH: usize = 1024;

type AddrSet = HashSet<CAddr, BuildAddrHasher>;
type AddrMap<T> = HashMap<CAddr, T, BuildAddrHasher>;

/// Calls that every DAG store has, written once over the contract: iterative, a batch at a time, with
/// answers in an order that depends on the graph alone. Implemented for all stores.
#[async_trait]
pub trait DagStoreExt: DagStore {
    /// Whether a recipe is stored under `addr`.
    async fn has_recipe(&self, addr: CAddr) -> Result<bool> {
        Ok(self.get_one(addr).await?.is_some())
    }

    /// Reads one recipe and its output.
    async fn get_one(&self, addr: CAddr) -> Result<Option<Node>> {
        Ok(self.get_many(&[addr]).await?.into_iter().next().flatten())
    }

    /// Everything that `addr` is made from, without `addr` itself, nearest first and in the order of
    /// inputs: recipes and leaves.
    async fn ancestors(&self, addr: CAddr, walk: Walk) -> Result<Vec<CAddr>> {
        let mut seen = AddrSet::from_iter([addr]);
        let mut found = vec![addr];
        let mut next = 0;
        while next < found.len() {
            let batch = next..found.len().min(next + BATCH);
            next = batch.end;
            let nodes = self.get_many(&found[batch]).await?;
            for input in nodes.iter().flatten().flat_map(|node| node.recipe.inputs()) {
                if seen.insert(input) {
                    walk.check(found.len())?;
                    found.push(input);
                }
            }
        }
        found.remove(0);
        Ok(found)
    }

    /// Every recipe that is made from `addr`, directly or not, without `addr` itself, nearest first
    /// and by address among those found through one recipe.
    async fn descendants(&self, addr: CAddr, walk: Walk) -> Result<Vec<CAddr>> {
        let mut seen = AddrSet::from_iter([addr]);
        let mut found = vec![addr];
        let mut next = 0;
        while next < found.len() {
            let mut dependents = self.dependents(found[next], None);
            next += 1;
            while let Some(dependent) = dependents.try_next().await? {
                if seen.insert(dependent) {
                    walk.check(found.len())?;
                    found.push(dependent);
                }
            }
        }
        found.remove(0);
        Ok(found)
    }

    /// `addr` and everything that it is made from, inputs before what needs them. Among several
    /// possible orders it is that of a depth-first walk along the inputs in their order.
    ///
    /// Errors with [`ErrorKind::Corrupt`] when the store shows a cycle, which no honest one can.
    async fn topological_order(&self, addr: CAddr, walk: Walk) -> Result<Vec<CAddr>> {
        let recipes = self.recipes_below(addr, walk).await?;
        let inputs = |addr: &CAddr| recipes.get(addr).map_or(0, Recipe::input_count);
        // Absent: not met. False: on the path. True: done.
        let mut done: AddrMap<bool> = AddrMap::default();
        let mut order = Vec::new();
        let mut path = vec![(addr, 0usize)];
        done.insert(addr, false);
        while let Some((at, next)) = path.last_mut() {
            if *next == inputs(at) {
                done.insert(*at, true);
                order.push(*at);
                path.pop();
                continue;
            }
            let input = recipes
                .get(at)
                .and_then(|recipe| recipe.inputs().nth(*next));
            *next += 1;
            let Some(input) = input else { continue };
            match done.get(&input) {
                Some(true) => {}
                Some(false) => return Err(cycle(input)),
                None => {
                    done.insert(input, false);
                    path.push((input, 0));
                }
            }
        }
        Ok(order)
    }

    /// The number of recipes on the longest path from `addr` down to a leaf; 0 for a blob.
    async fn depth(&self, addr: CAddr, walk: Walk) -> Result<u64> {
        let order = self.topological_order(addr, walk).await?;
        let mut depths: AddrMap<u64> = AddrMap::default();
        for batch in order.chunks(BATCH) {
            for (addr, node) in batch.iter().zip(self.get_many(batch).await?) {
                let below = |recipe: &Recipe| {
                    recipe
                        .inputs()
                        .filter_map(|input| depths.get(&input).copied())
                        .max()
                };
                let depth = node.map_or(0, |node| 1 + below(&node.recipe).unwrap_or(0));
                depths.insert(*addr, depth);
            }
        }
        Ok(depths.get(&addr).copied().unwrap_or(0))
    }

    /// The addresses of stored recipes that begin with `prefix`, in order, `limit` at the most.
    async fn recipes_with_prefix(&self, prefix: &AddrPrefix, limit: usize) -> Result<Vec<CAddr>> {
        let first = prefix.first();
        let mut found = Vec::new();
        if self.has_recipe(first).await? {
            found.push(first);
        }
        let mut list = self.list(Some(first));
        while found.len() < limit {
            match list.try_next().await? {
                Some((addr, _)) if prefix.matches(&addr) => found.push(addr),
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The recipe at `addr` and all that it is made from, by address; leaves are not among them.
    async fn recipes_below(
        &self,
        addr: CAddr,
        walk: Walk,
    ) -> Result<HashMap<CAddr, Recipe, BuildAddrHasher>> {
        let mut recipes: AddrMap<Recipe> = AddrMap::default();
        let mut seen = AddrSet::from_iter([addr]);
        let mut frontier = vec![addr];
        while !frontier.is_empty() {
            let batch = frontier.split_off(frontier.len().saturating_sub(BATCH));
            for node in self.get_many(&batch).await?.into_iter().flatten() {
                for input in node.recipe.inputs() {
                    if seen.insert(input) {
                        walk.check(seen.len())?;
                        frontier.push(input);
                    }
                }
                recipes.insert(node.recipe.addr(), node.recipe);
            }
        }
        Ok(recipes)
    }
}

impl<S: DagStore + ?Sized> DagStoreExt for S {}

fn cycle(addr: CAddr) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the store shows a recipe that depends on itself",
    )
    .with("addr", addr)
}
