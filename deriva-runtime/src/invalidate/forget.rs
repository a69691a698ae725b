//! Forgetting outputs: the one place where they are dropped.
//!
//! An output is recorded under its recipe and, for early cutoff, under the recipe's *resolved* address. A
//! resolved address follows from the outputs of the inputs and cannot be listed, so it is found only as long
//! as those are recorded. Before an output goes, two sorts of resolved rows go with it:
//!
//! - that of the recipe itself, or the next materialization would find the old output again;
//! - those of its direct dependents, which keep their own outputs but could not be resolved any more when
//!   their turn comes.
//!
//! So a resolved row never outlives the means to find it. A resolved address under which a recipe is stored
//! is that recipe's own row, and stays.

use std::collections::HashMap;
use std::time::Duration;

use deriva_api::{BuildAddrHasher, CAddr, Output, Recipe, Result};
use futures::TryStreamExt;

use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::invalidations::Barred;

/// Addresses that are looked up or forgotten at a time.
const BATCH: usize = 512;

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// Outputs of recipes.
    pub(crate) outputs: u64,
    /// Output rows of resolved recipes.
    pub(crate) resolved: u64,
    /// Bytes of the outputs of recipes. Their blobs are still there.
    pub(crate) bytes: u64,
    /// What it took to compute them.
    pub(crate) cost: Duration,
}

impl Forgotten {
    /// Counts the output of a recipe.
    pub(crate) fn add(&mut self, output: &Output) {
        self.outputs += 1;
        self.bytes += output.len;
        self.cost = self.cost.saturating_add(output.cost);
    }
}

impl std::ops::AddAssign for Forgotten {
    fn add_assign(&mut self, other: Self) {
        self.outputs += other.outputs;
        self.resolved += other.resolved;
        self.bytes += other.bytes;
        self.cost = self.cost.saturating_add(other.cost);
    }
}

/// Drops the outputs of recipes and the resolved rows that hang on them; recipes and blobs stay, and the
/// memory caches let go of the addresses.
///
/// Nothing that relies on these outputs may be recorded meanwhile: the caller holds [`Inner::gate`] alone.
/// Resolved rows go first, outputs last: wherever this ends, the same call again does the rest. Memory is
/// bounded by a batch, also where an output has many dependents.
pub(crate) async fn forget_outputs(inner: &Inner, addrs: &[CAddr]) -> Result<Forgotten> {
    forget(inner, addrs, None).await
}

/// As [`forget_outputs`], but beside others who record: `addrs` are in `barred`, an invalidation that is under
/// way, which the resolved rows join before they go.
pub(crate) async fn forget_barred(
    inner: &Inner,
    addrs: &[CAddr],
    barred: &Barred,
) -> Result<Forgotten> {
    forget(inner, addrs, Some(barred)).await
}

async fn forget(inner: &Inner, addrs: &[CAddr], barred: Option<&Barred>) -> Result<Forgotten> {
    let mut forgotten = Forgotten::default();
    for batch in addrs.chunks(BATCH) {
        forgotten += forget_batch(inner, batch, barred).await?;
        tokio::task::consume_budget().await;
    }
    Ok(forgotten)
}

async fn forget_batch(
    inner: &Inner,
    batch: &[CAddr],
    barred: Option<&Barred>,
) -> Result<Forgotten> {
    let mut forgotten = Forgotten {
        resolved: forget_resolved(inner, batch, barred).await?,
        ..Forgotten::default()
    };
    let mut page = Vec::with_capacity(BATCH);
    for addr in batch {
        let mut dependents = inner.dag.dependents(*addr, None);
        while let Some(dependent) = dependents.try_next().await? {
            page.push(dependent);
            if page.len() == BATCH {
                forgotten.resolved += forget_resolved(inner, &page, barred).await?;
                page.clear();
            }
        }
    }
    forgotten.resolved += forget_resolved(inner, &page, barred).await?;
    for output in inner.dag.outputs(batch).await?.into_iter().flatten() {
        forgotten.add(&output);
    }
    inner.graph.forget(&inner.dag, batch).await?;
    if !planted(Fault::serves_what_was_forgotten) {
        inner.graph.uncache(batch);
    }
    Ok(forgotten)
}

/// Drops the resolved rows of those recipes that have an output, and counts them.
async fn forget_resolved(inner: &Inner, addrs: &[CAddr], barred: Option<&Barred>) -> Result<u64> {
    let rows = resolved_rows(inner, addrs).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    if let Some(barred) = barred {
        barred.write().extend(rows.iter().copied());
        inner.drain_writes().await;
    }
    inner.graph.forget(&inner.dag, &rows).await
}

/// The addresses of the rows under which these recipes are recorded as resolved ones.
async fn resolved_rows(inner: &Inner, addrs: &[CAddr]) -> Result<Vec<CAddr>> {
    let nodes = inner.dag.get_many(addrs).await?;
    let made = nodes.into_iter().flatten();
    let made: Vec<Recipe> = made
        .filter(|node| node.output.is_some())
        .map(|node| node.recipe)
        .collect();
    let mut resolved = resolve(inner, &made).await?;
    resolved.sort_unstable();
    resolved.dedup();
    let outputs = inner.dag.outputs(&resolved).await?;
    let rows = resolved.into_iter().zip(outputs);
    let rows: Vec<CAddr> = rows
        .filter_map(|(addr, output)| output.map(|_| addr))
        .collect();
    let nodes = inner.dag.get_many(&rows).await?;
    let rows = rows.into_iter().zip(nodes);
    Ok(rows
        .filter_map(|(addr, node)| node.is_none().then_some(addr))
        .collect())
}

/// The resolved addresses of recipes, where they differ from the recipes' own. An input without an output
/// counts as a blob; should it be a recipe, what comes out is an address without a row.
pub(crate) async fn resolve(inner: &Inner, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
    let resolved = recipes.iter().zip(resolved_of(inner, recipes).await?);
    let others = resolved.filter(|(recipe, resolved)| recipe.addr() != *resolved);
    Ok(others.map(|(_, resolved)| resolved).collect())
}

/// What recipes gave, by recipe.
pub(crate) type Contents = HashMap<CAddr, CAddr, BuildAddrHasher>;

/// The resolved address of each of these recipes, in their order; see [`resolve`].
pub(crate) async fn resolved_of(inner: &Inner, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
    resolved_over(inner, recipes, &Contents::default()).await
}

/// As [`resolved_of`], where it is known of some inputs what they gave.
pub(crate) async fn resolved_over(
    inner: &Inner,
    recipes: &[Recipe],
    known: &Contents,
) -> Result<Vec<CAddr>> {
    let mut inputs: Vec<CAddr> = recipes.iter().flat_map(Recipe::inputs).collect();
    inputs.sort_unstable();
    inputs.dedup();
    inputs.retain(|input| !known.contains_key(input));
    let mut contents = Contents::default();
    for batch in inputs.chunks(BATCH) {
        let outputs = inner.dag.outputs(batch).await?;
        let known = batch.iter().zip(outputs);
        contents.extend(known.filter_map(|(addr, output)| Some((*addr, output?.addr))));
    }
    let content = |addr: CAddr| {
        let content = known.get(&addr).or_else(|| contents.get(&addr));
        content.copied().unwrap_or(addr)
    };
    let mut resolved = Vec::with_capacity(recipes.len());
    for recipe in recipes {
        let over: Vec<CAddr> = recipe.inputs().map(content).collect();
        resolved.push(recipe.resolve(&over)?.addr());
    }
    Ok(resolved)
}
