//! What a request found out that no store tells: carried from one of its plans to the next.

use std::collections::HashMap;

use deriva_api::{Blob, BuildAddrHasher, CAddr, Error, Output};

use crate::shared::lookup::Distrusted;

/// What came of an address earlier in the same request.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// It was computed, and its bytes are in hand but not stored.
    Held(Output, Blob),
    /// It failed.
    Failed(Error),
}

/// Results that are not stored, failures, and blobs not to be trusted.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    seen: HashMap<CAddr, Seen, BuildAddrHasher>,
    pub(crate) distrusted: Distrusted,
}

impl Carried {
    pub(crate) fn of(&self, addr: &CAddr) -> Option<&Seen> {
        // Nearly always empty.
        if self.seen.is_empty() {
            return None;
        }
        self.seen.get(addr)
    }

    pub(crate) fn add(&mut self, seen: impl IntoIterator<Item = (CAddr, Seen)>) {
        self.seen.extend(seen);
    }

    /// Forgets results, so that nothing is built on them: some were withdrawn.
    pub(crate) fn drop_results(&mut self) {
        self.seen.retain(|_, seen| matches!(seen, Seen::Failed(_)));
    }
}
