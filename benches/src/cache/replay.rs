//! The same trace through several caches of equal bytes, all empty at first.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;

use deriva::cache::BlobCache;
use deriva::{Blob, Bytes, CAddr};
use quick_cache::Weighter;

use super::trace::{Key, Trace};

/// What the hits of a replay saved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Saved {
    pub(crate) seconds: f64,
    pub(crate) hits: f64,
}

pub(crate) trait Cache {
    /// Asks for a key, and takes it in where it is not held; answers whether it was.
    fn ask(&mut self, at: u32, key: &Key) -> bool;
}

pub(crate) fn replay(trace: &Trace, cache: &mut impl Cache) -> Saved {
    let mut saved = Saved::default();
    for at in &trace.accesses {
        let key = &trace.keys[*at as usize];
        if cache.ask(*at, key) {
            saved.seconds += key.seconds();
            saved.hits += 1.0;
        }
    }
    saved
}

/// Ours. Blobs are pieces of one, so that a trace of many bytes needs no memory.
pub(crate) struct Gdsf {
    cache: BlobCache,
    addrs: Vec<CAddr>,
    blobs: HashMap<u64, Blob>,
    zeros: Bytes,
}

impl Gdsf {
    pub(crate) fn new(trace: &Trace, limit: u64) -> Self {
        let longest = trace.keys.iter().map(|key| key.len).max().unwrap_or(0);
        let addrs = 0..trace.keys.len() as u64;
        Self {
            cache: BlobCache::new(limit),
            addrs: addrs.map(|at| CAddr::of_blob(&at.to_le_bytes())).collect(),
            blobs: HashMap::new(),
            zeros: vec![0; longest as usize].into(),
        }
    }
}

impl Cache for Gdsf {
    fn ask(&mut self, at: u32, key: &Key) -> bool {
        let addr = self.addrs[at as usize];
        if black_box(self.cache.get(addr)).is_some() {
            return true;
        }
        let piece = || Blob::new(self.zeros.slice(..key.len as usize));
        let blob = self.blobs.entry(key.len).or_insert_with(piece);
        self.cache.insert(addr, blob, key.cost);
        false
    }
}

/// Least recently used goes first, and everything is taken in that fits.
pub(crate) struct Lru {
    limit: u64,
    bytes: u64,
    now: u64,
    /// When each key was used last, and its size.
    held: HashMap<u32, (u64, u64)>,
    order: BTreeMap<u64, u32>,
}

impl Lru {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            bytes: 0,
            now: 0,
            held: HashMap::new(),
            order: BTreeMap::new(),
        }
    }
}

impl Cache for Lru {
    fn ask(&mut self, at: u32, key: &Key) -> bool {
        self.now += 1;
        if let Some((used, _)) = self.held.get_mut(&at) {
            self.order.remove(used);
            *used = self.now;
            self.order.insert(self.now, at);
            return true;
        }
        if key.size() > self.limit {
            return false;
        }
        self.bytes += key.size();
        self.held.insert(at, (self.now, key.size()));
        self.order.insert(self.now, at);
        while self.bytes > self.limit {
            let oldest = self.order.pop_first();
            let size = oldest.and_then(|(_, at)| self.held.remove(&at));
            self.bytes -= size.map_or(self.bytes, |(_, size)| size);
        }
        false
    }
}

/// The cache that deriva had before.
pub(crate) struct QuickCache(quick_cache::sync::Cache<u32, u64, BySize>);

#[derive(Clone)]
struct BySize;

impl Weighter<u32, u64> for BySize {
    fn weight(&self, _: &u32, size: &u64) -> u64 {
        *size
    }
}

impl QuickCache {
    pub(crate) fn new(limit: u64) -> Self {
        let entries = (limit / 4096).clamp(64, 1 << 20) as usize;
        Self(quick_cache::sync::Cache::with_weighter(
            entries, limit, BySize,
        ))
    }
}

impl Cache for QuickCache {
    fn ask(&mut self, at: u32, key: &Key) -> bool {
        let hit = self.0.get(&at).is_some();
        if !hit {
            self.0.insert(at, key.size());
        }
        hit
    }
}
