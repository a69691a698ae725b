//! Who needs an address: the recipes that have it as an input, and the roots that keep something made from it.

use std::fmt::Display;

use deriva_api::{BuildAddrHasher, CAddr, DagStore, Error, Result};
use futures::TryStreamExt;
use indexmap::IndexSet;
use serde::Serialize;

use crate::inner::Inner;

/// How many recipes, and how many roots, are named; the rest is counted.
const LISTED: usize = 20;
/// How many descendants are looked at, at about 60 bytes each.
const LIMIT: usize = 1 << 16;

/// Who needs an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// Recipes that have it among their inputs: the first 20 by address.
    pub recipes: Vec<CAddr>,
    /// Number of these recipes.
    pub recipe_count: u64,
    /// Roots that name it or something made from it: the first 20 by name.
    pub roots: Vec<String>,
    /// Number of these roots.
    pub root_count: u64,
    /// Whether everything made from it was looked at. Otherwise there are too many, and the numbers count
    /// only some.
    pub complete: bool,
}

/// Finds who needs any of these addresses, looking at 65,536 descendants at the most.
pub(crate) async fn needed_by(dag: &dyn DagStore, addrs: &[CAddr]) -> Result<Needs> {
    let mut needs = Needs {
        complete: true,
        ..Needs::default()
    };
    let mut met: IndexSet<CAddr, BuildAddrHasher> = addrs.iter().copied().collect();
    let given = met.len();
    let mut next = 0;
    while let Some(at) = met.get_index(next).copied() {
        let mut dependents = dag.dependents(at, None);
        while let Some(dependent) = dependents.try_next().await? {
            if met.len() == LIMIT && !met.contains(&dependent) {
                needs.complete = false;
                break;
            }
            met.insert(dependent);
        }
        next += 1;
        if next == given {
            needs.recipe_count = (met.len() - given) as u64;
            needs.recipes = met.iter().skip(given).take(LISTED).copied().collect();
        }
        tokio::task::consume_budget().await;
    }
    let mut roots = dag.roots(None);
    while let Some((name, addr)) = roots.try_next().await? {
        if met.contains(&addr) {
            needs.root_count += 1;
            if needs.roots.len() < LISTED {
                needs.roots.push(name);
            }
        }
    }
    Ok(needs)
}

/// Names in the error of a blob that no recipe can make who needs it. A store that fails now must not hide
/// that error.
pub(crate) async fn name_needs(inner: &Inner, leaf: CAddr, error: Error) -> Error {
    let mut error = error.hint("no recipe can make this blob: put it again");
    if let Ok(needs) = needed_by(&*inner.dag, &[leaf]).await {
        for (key, text) in [
            ("needed_by", listed(&needs.recipes, needs.recipe_count)),
            ("roots", listed(&needs.roots, needs.root_count)),
        ] {
            if !text.is_empty() {
                error = error.with(key, text);
            }
        }
    }
    error
}

fn listed<T: Display>(some: &[T], count: u64) -> String {
    let names: Vec<String> = some.iter().map(ToString::to_string).collect();
    let mut text = names.join(", ");
    if count > some.len() as u64 {
        text.push_str(&format!(" and {} more", count - some.len() as u64));
    }
    text
}
