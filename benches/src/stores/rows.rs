//! The rows that a store writes for recipes (`docs/decisions/0006-edge-rows.md`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deriva::CAddr;
use deriva::prelude::*;

use super::raw::Row;

/// Dependents that lie in one row with others.
const LISTED: usize = 16;
/// Stands for a checksum.
const SEAL: [u8; 8] = [0; 8];

/// Makes rows as a store would that is given these recipes from the beginning.
#[derive(Default)]
pub(super) struct Rows {
    lists: HashMap<CAddr, Vec<CAddr>>,
}

impl Rows {
    /// The rows of one batch, sorted.
    pub(super) fn batch(&mut self, recipes: &[Recipe]) -> Vec<Row> {
        let mut rows = BTreeMap::from([(b"mcounters".to_vec(), vec![0; 48 + SEAL.len()])]);
        for recipe in recipes {
            rows.insert(key(b"r", &[recipe.addr()]), recipe.canonical().to_vec());
        }
        let edges = recipes
            .iter()
            .flat_map(|recipe| recipe.inputs().map(|input| (input, recipe.addr())));
        for (input, dependent) in edges.collect::<BTreeSet<_>>() {
            let list = self.lists.entry(input).or_default();
            if list.len() == LISTED {
                rows.insert(key(b"d", &[input, dependent]), Vec::new());
            } else {
                list.push(dependent);
                rows.insert(key(b"d", &[input]), key(&SEAL, list));
            }
        }
        rows.into_iter().collect()
    }
}

/// A prefix and addresses.
pub(crate) fn key(prefix: &[u8], addrs: &[CAddr]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    for addr in addrs {
        key.extend_from_slice(addr.as_bytes());
    }
    key
}
