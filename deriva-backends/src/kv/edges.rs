//! Reverse edges: which recipes have an address among their inputs.
//!
//! Most addresses have few dependents, so an input's first ones lie together in one row, its list, and
//! engines are charged for one row instead of several. What comes when the list is full gets a row of its
//! own, so that a hub of any size costs a short list and one row per edge. An edge never moves: it lies
//! where there was room when its recipe was inserted, until the recipe is removed. So a reader needs
//! no snapshot: an edge that is there all the time is found, whatever is written meanwhile.

use std::collections::HashSet;

use bytes::Bytes;
use deriva_api::{BuildAddrHasher, CAddr, Result};

use super::engine::Engine;
use super::layout;
use super::overlay::Overlay;

/// Dependents in a list. Measured: longer lists are written too often, shorter ones save fewer rows.
const LISTED: usize = 16;

/// An input, and a recipe that names it.
pub(super) type Edge = (CAddr, CAddr);

/// Adds edges of recipes that were not stored before.
pub(super) fn add<E: Engine>(overlay: &mut Overlay<'_, E>, edges: Vec<Edge>) -> Result<()> {
    for_each_input(overlay, edges, |overlay, mut list, edges| {
        let room = LISTED.saturating_sub(list.dependents.len());
        let (listed, others) = edges.split_at(room.min(edges.len()));
        for (input, dependent) in others {
            overlay.put(layout::edge_key(input, dependent), Bytes::new());
        }
        if !listed.is_empty() {
            list.dependents.extend(listed.iter().map(|edge| edge.1));
            list.dependents.sort_unstable();
            list.write(overlay);
        }
    })
}

/// Removes edges of recipes that were stored.
pub(super) fn remove<E: Engine>(overlay: &mut Overlay<'_, E>, edges: Vec<Edge>) -> Result<()> {
    for_each_input(overlay, edges, |overlay, mut list, edges| {
        let before = list.dependents.len();
        for (input, dependent) in edges {
            match list.dependents.binary_search(dependent) {
                Ok(at) => drop(list.dependents.remove(at)),
                Err(_) => overlay.delete(layout::edge_key(input, dependent)),
            }
        }
        if list.dependents.len() < before {
            list.write(overlay);
        }
    })
}

/// A dependent of `input` that is not in `batch`, if there is one.
pub(super) fn outside<E: Engine>(
    overlay: &Overlay<'_, E>,
    input: &CAddr,
    batch: &HashSet<CAddr, BuildAddrHasher>,
) -> Result<Option<CAddr>> {
    let key = layout::list_key(input);
    let row = overlay.get(&key)?;
    let list = List::decode(key, row)?;
    let listed = list.dependents.iter().find(|addr| !batch.contains(addr));
    if listed.is_some() {
        return Ok(listed.copied());
    }
    let wanted =
        |key: &[u8]| Ok(layout::is_edge_key(key) && !batch.contains(&layout::addr_of(key)?));
    let row = overlay.find(&list.key, wanted)?;
    row.map(|key| layout::addr_of(&key)).transpose()
}

/// A page of the dependents of `input` after `after`, by address; an empty page is the end. Reads and
/// holds about `rows` rows.
pub(super) fn page<E: Engine>(
    engine: &E,
    input: &CAddr,
    after: Option<&CAddr>,
    rows: usize,
) -> Result<Vec<CAddr>> {
    let list_key = layout::list_key(input);
    // The list is the first row of its input; a scan that begins after it does not meet it.
    let list = match after {
        Some(_) => engine.get(&list_key)?,
        None => None,
    };
    let from = after.map(|after| layout::edge_key(input, after));
    let scanned = engine.scan(&list_key, from.as_deref(), rows)?;
    let full = scanned.len() == rows;
    let mut listed = Vec::new();
    if let Some(row) = list {
        listed = layout::decode_list(&list_key, row.as_ref())?;
    }
    let mut found = Vec::with_capacity(scanned.len() + LISTED);
    for (key, row) in scanned {
        if layout::is_edge_key(&key) {
            found.push(layout::addr_of(&key)?);
        } else {
            listed = layout::decode_list(&key, row.as_ref())?;
        }
    }
    // What lies after the last row of a full page belongs to a later one.
    let last = found.last().copied().filter(|_| full);
    let here = |addr: &CAddr| {
        after.is_none_or(|after| addr > after) && last.is_none_or(|last| *addr <= last)
    };
    found.extend(listed.into_iter().filter(here));
    found.sort_unstable();
    // A recipe that was removed and inserted again meanwhile may have been met in both places.
    found.dedup();
    Ok(found)
}

/// The list of an input as a write sees it.
struct List {
    key: Vec<u8>,
    dependents: Vec<CAddr>,
}

impl List {
    fn decode(key: Vec<u8>, row: Option<Bytes>) -> Result<Self> {
        let dependents = match row {
            Some(row) => layout::decode_list(&key, &row)?,
            None => Vec::new(),
        };
        Ok(Self { key, dependents })
    }

    fn write<E: Engine>(self, overlay: &mut Overlay<'_, E>) {
        if self.dependents.is_empty() {
            overlay.delete(self.key);
        } else {
            let row = layout::encode_list(&self.key, &self.dependents);
            overlay.put(self.key, row);
        }
    }
}

/// Calls `work` once for each input, with its list, and its edges in order and without repetitions.
fn for_each_input<'a, E: Engine>(
    overlay: &mut Overlay<'a, E>,
    mut edges: Vec<Edge>,
    mut work: impl FnMut(&mut Overlay<'a, E>, List, &[Edge]),
) -> Result<()> {
    edges.sort_unstable();
    edges.dedup();
    let inputs: Vec<&[Edge]> = edges.chunk_by(|a, b| a.0 == b.0).collect();
    let keys: Vec<_> = inputs
        .iter()
        .map(|edges| layout::list_key(&edges[0].0))
        .collect();
    let rows = overlay.get_many(&keys)?;
    for ((edges, key), row) in inputs.into_iter().zip(keys).zip(rows) {
        work(overlay, List::decode(key, row)?, edges);
    }
    Ok(())
}
