//! What the fast store holds, and what has to go when it is full.

use deriva_api::{BlobStat, BuildAddrHasher, CAddr};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, Weighter};

/// What a copy costs beside its bytes.
const ENTRY_BYTES: u64 = 160;

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<CAddr, u64> for ByBytes {
    fn weight(&self, _: &CAddr, len: &u64) -> u64 {
        ENTRY_BYTES + len
    }
}

#[derive(Clone, Debug)]
struct Collect;

impl Lifecycle<CAddr, u64> for Collect {
    type RequestState = Vec<CAddr>;

    fn on_evict(&self, evicted: &mut Vec<CAddr>, addr: CAddr, _: u64) {
        evicted.push(addr);
    }
}

/// Addresses and lengths of the copies, up to a number of bytes.
pub(super) struct Held {
    index: Cache<CAddr, u64, ByBytes, BuildAddrHasher, Collect>,
}

impl Held {
    pub(super) fn new(capacity: u64) -> Self {
        let entries = usize::try_from(capacity / 4096)
            .unwrap_or(usize::MAX)
            .clamp(64, 1 << 20);
        Self {
            index: Cache::with(
                entries,
                capacity.max(1),
                ByBytes,
                BuildAddrHasher::default(),
                Collect,
            ),
        }
    }

    /// Notes copies; answers with those that have to go, which may be among them.
    pub(super) fn insert(&self, copies: impl IntoIterator<Item = BlobStat>) -> Vec<CAddr> {
        let mut evicted = Vec::new();
        for copy in copies {
            self.index
                .insert_with_lifecycle(copy.addr, copy.len, &mut evicted);
        }
        // Noting a copy again reports it too, though it stays.
        evicted.retain(|addr| self.index.peek(addr).is_none());
        evicted
    }

    /// Notes that a copy was used.
    pub(super) fn touch(&self, addr: CAddr) {
        self.index.get(&addr);
    }

    /// Notes that copies are gone.
    pub(super) fn remove(&self, addrs: &[CAddr]) {
        for addr in addrs {
            self.index.remove(addr);
        }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bytes, capacity) = (self.index.weight(), self.index.capacity());
        write!(f, "Held({bytes} of {capacity} B)")
    }
}
