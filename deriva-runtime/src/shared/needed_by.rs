//! Who needs an address: the recipes that have it as an input, and the roots that keep something made from it.

use std::collections::HashMap;
use std::fmt::Display;

use deriva_api::{BuildAddrHasher, CAddr, DagStore, Error, ErrorKind, NeededBy, Result};
use futures::TryStreamExt;
use indexmap::IndexSet;

use crate::shared::spans;

/// How many recipes, and how many roots, are named; the rest is counted.
const LISTED: usize = 20;
/// How many descendants a report looks at, at about 60 bytes each.
pub(crate) const MANY: usize = 1 << 16;
/// How many an error looks at: who is told should not wait long for it.
const FEW: usize = 1 << 12;
/// Leaves of one request whose needs are named.
const LEAVES: usize = 16;

/// Finds who needs any of these addresses, looking at `limit` descendants at the most.
pub(crate) async fn needed_by(
    dag: &dyn DagStore,
    addrs: &[CAddr],
    limit: usize,
) -> Result<NeededBy> {
    let mut needs = NeededBy::default();
    needs.complete = true;
    let mut met: IndexSet<CAddr, BuildAddrHasher> = addrs.iter().copied().collect();
    let given = met.len();
    let mut next = 0;
    while let Some(at) = met.get_index(next).copied() {
        let mut dependents = dag.dependents(at, None);
        while let Some(dependent) = dependents.try_next().await? {
            if met.len() >= limit && !met.contains(&dependent) {
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

/// Adds to the error about a leaf (a blob that no recipe can make) who needs it. Should the store fail at this,
/// the first error is told all the same.
pub(crate) async fn name_needs(dag: &dyn DagStore, leaf: CAddr, error: Error) -> Error {
    if error.kind() == ErrorKind::Corrupt {
        spans::damaged_blob(leaf);
    }
    let mut error = error.hint("no recipe can make this blob: put it again");
    if let Ok(needs) = needed_by(dag, &[leaf], FEW).await {
        for (key, mut text) in [
            ("needed_by", listed(&needs.recipes, needs.recipe_count)),
            ("roots", listed(&needs.roots, needs.root_count)),
        ] {
            if text.is_empty() && needs.complete {
                continue;
            }
            if !needs.complete {
                text.push_str(" (only some descendants were looked at)");
            }
            error = error.with(key, text);
        }
    }
    error
}

/// The leaves that a request found damaged or gone, named once each.
#[derive(Debug, Default)]
pub(crate) struct LostLeaves(HashMap<CAddr, Error, BuildAddrHasher>);

impl LostLeaves {
    /// As [`name_needs`] for the first 16 leaves.
    pub(crate) async fn name(&mut self, dag: &dyn DagStore, leaf: CAddr, error: Error) -> Error {
        if let Some(named) = self.0.get(&leaf) {
            return named.clone();
        }
        let error = error.with("leaf", leaf);
        if self.0.len() == LEAVES {
            return error.hint("`deriva scrub` tells which recipes and roots need it");
        }
        let named = name_needs(dag, leaf, error).await;
        self.0.insert(leaf, named.clone());
        named
    }
}

fn listed<T: Display>(some: &[T], count: u64) -> String {
    let names: Vec<String> = some.iter().map(ToString::to_string).collect();
    let mut text = names.join(", ");
    if count > some.len() as u64 {
        text.push_str(&format!(" and {} more", count - some.len() as u64));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use deriva_api::{Params, Recipe};
    use deriva_testkit::ModelStore;

    #[tokio::test]
    async fn some_are_listed_all_are_counted_and_a_limit_shows() {
        let store = ModelStore::new();
        let leaf = CAddr::of_blob(b"leaf");
        let recipe = |inputs: &[CAddr]| {
            let id = "f/1".parse().unwrap();
            Recipe::new(&id, inputs, &Params::new()).unwrap()
        };
        let around: Vec<Recipe> = (0..30u8)
            .map(|n| recipe(&[leaf, CAddr::of_blob(&[n])]))
            .collect();
        let above = recipe(&[around[7].addr()]);
        store.insert(&around).await.unwrap();
        store.insert(std::slice::from_ref(&above)).await.unwrap();
        store.set_root("above", above.addr()).await.unwrap();
        store.set_root("leaf", leaf).await.unwrap();
        store.set_root("apart", CAddr::MIN).await.unwrap();

        let needs = needed_by(&store, &[leaf], MANY).await.unwrap();
        assert_eq!((needs.recipes.len(), needs.recipe_count), (LISTED, 30));
        assert_eq!(
            (&needs.roots[..], needs.root_count),
            (&["above".to_owned(), "leaf".to_owned()][..], 2)
        );
        assert!(needs.complete);
        assert!(listed(&needs.recipes, needs.recipe_count).ends_with(" and 10 more"));

        let some = needed_by(&store, &[leaf], 10).await.unwrap();
        assert_eq!((some.recipe_count, some.complete), (9, false));
    }
}
