//! What each write decides. All run on the commit thread, one after the other, so what they read
//! cannot change before what they write is applied.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use deriva_api::authors::{still_needed, unknown_recipe};
use deriva_api::{
    Blob, BlobStat, BuildAddrHasher, CAddr, Divergence, Error, ErrorKind, Output, Recipe, Record,
    Result,
};

use super::edges;
use super::engine::Engine;
use super::layout::{self, Entry, MAX_VALUE};
use super::overlay::Overlay;
use crate::files::disk::Staged;

pub(super) enum Op {
    /// Small blobs, and large ones that lie staged in the sibling store.
    PutBlobs(Vec<Blob>, Vec<Staged>),
    RemoveBlobs(Vec<CAddr>),
    Insert(Vec<Recipe>),
    Record(Vec<Record>),
    Forget(Vec<CAddr>),
    Remove(Vec<CAddr>),
    SetRoot(String, CAddr),
    RemoveRoot(String),
    /// Changes nothing, and is durable when answered whatever the durability.
    Flush,
}

#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Rows that the call was about: dropped outputs, removed recipes, removed roots.
    pub(super) count: u64,
    pub(super) divergences: Vec<Divergence>,
}

impl Op {
    /// Bytes that the write keeps in memory, roughly.
    pub(super) fn weight(&self) -> usize {
        let each = size_of::<Record>();
        64 + match self {
            Self::PutBlobs(blobs, staged) => {
                let bytes: usize = blobs.iter().map(|blob| blob.bytes().len() + each).sum();
                bytes + staged.len() * each
            }
            Self::Insert(recipes) => {
                let lens = recipes.iter().map(|recipe| recipe.canonical().len() + each);
                lens.sum()
            }
            Self::Record(records) => records.len() * each,
            Self::RemoveBlobs(addrs) | Self::Forget(addrs) | Self::Remove(addrs) => {
                addrs.len() * CAddr::LEN
            }
            Self::SetRoot(name, _) | Self::RemoveRoot(name) => name.len(),
            Self::Flush => 0,
        }
    }

    pub(super) fn decide<E: Engine>(self, overlay: &mut Overlay<'_, E>) -> Result<Answer> {
        let count = match self {
            Self::PutBlobs(blobs, staged) => put_blobs(overlay, &blobs, staged)?,
            Self::RemoveBlobs(addrs) => remove_blobs(overlay, &addrs)?,
            Self::Insert(recipes) => insert(overlay, &recipes)?,
            Self::Forget(addrs) => forget(overlay, &addrs)?,
            Self::Remove(addrs) => remove(overlay, &addrs)?,
            Self::SetRoot(name, addr) => set_root(overlay, &name, &addr)?,
            Self::RemoveRoot(name) => remove_root(overlay, &name)?,
            Self::Flush => 0,
            Self::Record(records) => {
                let divergences = record(overlay, &records)?;
                return Ok(Answer {
                    count: 0,
                    divergences,
                });
            }
        };
        Ok(Answer {
            count,
            divergences: Vec::new(),
        })
    }
}

fn put_blobs<E: Engine>(
    overlay: &mut Overlay<'_, E>,
    blobs: &[Blob],
    staged: Vec<Staged>,
) -> Result<u64> {
    let keys: Vec<_> = blobs.iter().map(|b| layout::blob_key(&b.addr())).collect();
    let rows = overlay.get_many(&keys)?;
    for ((blob, key), row) in blobs.iter().zip(keys).zip(rows) {
        if overlay.is_new(&key) {
            continue;
        }
        if let Some(row) = row {
            if overlay.stores(&key, &row, blob.stat(), |found| found == blob.bytes())? {
                continue;
            }
            drop_blob(overlay, &blob.addr(), &key, row)?;
        }
        overlay.put(key, layout::inline_row(blob.bytes()));
        added(overlay, blob.len());
    }
    for staged in staged {
        let stat = staged.stat;
        let key = layout::blob_key(&stat.addr);
        // Dropped, which deletes the temporary file.
        if overlay.is_new(&key) {
            continue;
        }
        if let Some(row) = overlay.get(&key)? {
            let is_it = |found: &Bytes| CAddr::of_blob(found) == stat.addr;
            if overlay.stores(&key, &row, stat, is_it)? {
                continue;
            }
            drop_blob(overlay, &stat.addr, &key, row)?;
        }
        let row = layout::file_row(&key, stat.len);
        overlay.put(key, row);
        overlay.own.place.push(staged);
        overlay.own.doomed.remove(&stat.addr);
        overlay.spared.insert(stat.addr);
        added(overlay, stat.len);
    }
    Ok(0)
}

impl<E: Engine> Overlay<'_, E> {
    /// Whether a row stands for this blob, whole: what a put finds stored already.
    fn stores(
        &self,
        key: &[u8],
        row: &Bytes,
        blob: BlobStat,
        is_it: impl FnOnce(&Bytes) -> bool,
    ) -> Result<bool> {
        match layout::decode_blob(key, row.clone()) {
            Ok(Entry::Inline(found)) => Ok(is_it(&found)),
            Ok(Entry::File(len)) => Ok(len == blob.len && self.disk.vouches(blob)?),
            Err(_) => Ok(false),
        }
    }
}

fn added<E: Engine>(overlay: &mut Overlay<'_, E>, len: u64) {
    overlay.own.counters.blobs.blobs += 1;
    overlay.own.counters.blobs.bytes += len;
}

fn remove_blobs<E: Engine>(overlay: &mut Overlay<'_, E>, addrs: &[CAddr]) -> Result<u64> {
    for addr in addrs {
        let key = layout::blob_key(addr);
        if let Some(row) = overlay.get(&key)? {
            drop_blob(overlay, addr, &key, row)?;
            overlay.delete(key);
        }
    }
    Ok(0)
}

/// Takes a stored blob out of the counts, and dooms its file.
fn drop_blob<E: Engine>(
    overlay: &mut Overlay<'_, E>,
    addr: &CAddr,
    key: &[u8],
    row: Bytes,
) -> Result<()> {
    let inline = row.len().saturating_sub(1) as u64;
    let (len, has_file) = match layout::decode_blob(key, row) {
        Ok(Entry::Inline(_)) => (inline, false),
        Ok(Entry::File(len)) => (len, true),
        // A damaged row does not tell; what there is of the blob does.
        Err(_) => (overlay.disk.len(addr)?.unwrap_or(inline), true),
    };
    let counts = &mut overlay.own.counters.blobs;
    counts.blobs = counts.blobs.saturating_sub(1);
    counts.bytes = counts.bytes.saturating_sub(len);
    if has_file {
        overlay.own.doomed.insert(*addr);
        overlay.spared.remove(addr);
    }
    Ok(())
}

fn insert<E: Engine>(overlay: &mut Overlay<'_, E>, recipes: &[Recipe]) -> Result<u64> {
    let mut edges = Vec::new();
    let keys: Vec<_> = recipes
        .iter()
        .map(|r| layout::recipe_key(&r.addr()))
        .collect();
    let rows = overlay.get_many(&keys)?;
    for ((recipe, key), row) in recipes.iter().zip(keys).zip(rows) {
        let addr = recipe.addr();
        if overlay.written(&key).is_some() {
            continue;
        }
        let bytes = recipe.canonical();
        let known = row.is_some();
        if let Some(row) = row
            && is_whole(overlay, recipe, row)?
        {
            continue;
        }
        if bytes.len() <= MAX_VALUE {
            overlay.put(key, bytes.clone());
        } else {
            let pieces = bytes.len().div_ceil(MAX_VALUE);
            for piece in 0..pieces {
                let end = bytes.len().min((piece + 1) * MAX_VALUE);
                let value = bytes.slice(piece * MAX_VALUE..end);
                overlay.put(layout::piece_key(&addr, piece as u32), value);
            }
            overlay.put(key, layout::pieces_row(pieces as u32));
        }
        // A damaged row was written anew; the rest is there.
        if known {
            continue;
        }
        edges.extend(recipe.inputs().map(|input| (input, addr)));
        overlay.own.counters.dag.recipes += 1;
        // An output may have been recorded while this was known as a resolved recipe only.
        if overlay.own.counters.resolved > 0 && overlay.contains(&layout::output_key(&addr))? {
            overlay.own.counters.resolved -= 1;
            overlay.own.counters.dag.outputs += 1;
        }
    }
    edges::add(overlay, edges)?;
    Ok(0)
}

/// Whether a row, and its pieces where it has some, are this recipe.
fn is_whole<E: Engine>(overlay: &Overlay<'_, E>, recipe: &Recipe, row: Bytes) -> Result<bool> {
    let bytes = recipe.canonical();
    if bytes.len() <= MAX_VALUE {
        return Ok(row == bytes);
    }
    let pieces = bytes.len().div_ceil(MAX_VALUE) as u32;
    if layout::pieces_of(&row) != Some(pieces) {
        return Ok(false);
    }
    for piece in 0..pieces {
        let at = piece as usize * MAX_VALUE;
        let end = bytes.len().min(at + MAX_VALUE);
        let found = overlay.get(&layout::piece_key(&recipe.addr(), piece))?;
        if found.as_deref() != Some(&bytes[at..end]) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An output, and where it is to be recorded unless there is one.
struct Offer<'a> {
    addr: CAddr,
    output: &'a Output,
    /// It is the address of a resolved recipe, which need not be stored.
    resolved: bool,
}

fn record<E: Engine>(overlay: &mut Overlay<'_, E>, records: &[Record]) -> Result<Vec<Divergence>> {
    let mut offers = Vec::with_capacity(records.len());
    for record in records {
        let offer = |addr, resolved| Offer {
            addr,
            output: &record.output,
            resolved,
        };
        offers.push(offer(record.addr, false));
        let resolved = record.resolved.filter(|resolved| *resolved != record.addr);
        offers.extend(resolved.map(|addr| offer(addr, true)));
    }
    let recipes = |offer: &Offer<'_>| layout::recipe_key(&offer.addr);
    let known = overlay.contains_many(&offers.iter().map(recipes).collect::<Vec<_>>())?;
    let mut unknown = offers.iter().zip(&known).filter(|(_, known)| !**known);
    if let Some((offer, _)) = unknown.find(|(offer, _)| !offer.resolved) {
        return Err(unknown_recipe(offer.addr));
    }
    let outputs = |offer: &Offer<'_>| layout::output_key(&offer.addr);
    let keys: Vec<_> = offers.iter().map(outputs).collect();
    let rows = overlay.get_many(&keys)?;
    let mut divergences = Vec::new();
    for (((offer, known), key), row) in offers.into_iter().zip(known).zip(keys).zip(rows) {
        let Some(row) = overlay.written(&key).or(row.as_ref()) else {
            let row = layout::encode_output(&key, offer.output);
            overlay.put(key, row);
            match known {
                true => overlay.own.counters.dag.outputs += 1,
                false => overlay.own.counters.resolved += 1,
            }
            continue;
        };
        let recorded = layout::decode_output(&key, row)?;
        if !recorded.same_bytes(offer.output) {
            divergences.push(Divergence {
                addr: offer.addr,
                recorded,
                offered: *offer.output,
            });
        }
    }
    Ok(divergences)
}

fn forget<E: Engine>(overlay: &mut Overlay<'_, E>, addrs: &[CAddr]) -> Result<u64> {
    let mut dropped = 0;
    for addr in addrs {
        dropped += u64::from(drop_output(overlay, addr)?);
    }
    Ok(dropped)
}

/// Answers whether there was one. The recipe's row must still be as it was counted.
fn drop_output<E: Engine>(overlay: &mut Overlay<'_, E>, addr: &CAddr) -> Result<bool> {
    let key = layout::output_key(addr);
    if !overlay.contains(&key)? {
        return Ok(false);
    }
    match overlay.contains(&layout::recipe_key(addr))? {
        true => overlay.own.counters.dag.outputs -= 1,
        false => overlay.own.counters.resolved -= 1,
    }
    overlay.delete(key);
    Ok(true)
}

fn remove<E: Engine>(overlay: &mut Overlay<'_, E>, addrs: &[CAddr]) -> Result<u64> {
    let batch: HashSet<CAddr, BuildAddrHasher> = addrs.iter().copied().collect();
    let mut stored = BTreeSet::new();
    for addr in addrs {
        if !overlay.contains(&layout::recipe_key(addr))? {
            continue;
        }
        stored.insert(*addr);
        if let Some(dependent) = edges::outside(overlay, addr, &batch)? {
            return Err(still_needed(*addr, dependent));
        }
    }
    let mut edges = Vec::new();
    for addr in &stored {
        let key = layout::recipe_key(addr);
        let row = overlay.get(&key)?.ok_or_else(|| layout::damaged(&key))?;
        let pieces = layout::pieces_of(&row).unwrap_or(0);
        let recipe = super::read::recipe(*addr, row, |key| overlay.get(key))?;
        edges.extend(recipe.inputs().map(|input| (input, *addr)));
        for piece in 0..pieces {
            overlay.delete(layout::piece_key(addr, piece));
        }
        drop_output(overlay, addr)?;
        overlay.delete(key);
        overlay.own.counters.dag.recipes -= 1;
    }
    edges::remove(overlay, edges)?;
    Ok(stored.len() as u64)
}

fn set_root<E: Engine>(overlay: &mut Overlay<'_, E>, name: &str, addr: &CAddr) -> Result<u64> {
    let key = layout::root_key(name);
    overlay.own.counters.dag.roots += u64::from(!overlay.contains(&key)?);
    let row = layout::encode_root(&key, addr);
    overlay.put(key, row);
    Ok(0)
}

fn remove_root<E: Engine>(overlay: &mut Overlay<'_, E>, name: &str) -> Result<u64> {
    let key = layout::root_key(name);
    if !overlay.contains(&key)? {
        return Ok(0);
    }
    overlay.own.counters.dag.roots = overlay
        .own
        .counters
        .dag
        .roots
        .checked_sub(1)
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "the count of roots is wrong"))?;
    overlay.delete(key);
    Ok(1)
}
