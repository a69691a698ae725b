//! What a request found out that no store tells: carried from one of its plans to the next.

use std::collections::{HashMap, HashSet};

use deriva_api::{Blob, BuildAddrHasher, CAddr, Error, Output};

use crate::shared::ledger::Ledger;
use crate::shared::lookup::{Distrusted, Doubts, Unchecked};

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
    /// What others computed without the checks that this request asks for.
    pub(crate) unchecked: Unchecked,
    /// Results in hand that are doubted.
    pub(crate) doubted: HashSet<CAddr, BuildAddrHasher>,
}

impl Carried {
    pub(crate) fn of(&self, addr: &CAddr) -> Option<&Seen> {
        // Nearly always empty.
        if self.seen.is_empty() {
            return None;
        }
        self.seen.get(addr)
    }

    /// What a look-up is not to believe.
    pub(crate) fn doubts<'a>(&'a self, ledger: &'a Ledger) -> Doubts<'a> {
        Doubts {
            ledger,
            unchecked: Some(&self.unchecked).filter(|all| !all.is_empty()),
            distrusted: Some(&self.distrusted),
        }
    }

    pub(crate) fn add(&mut self, seen: impl IntoIterator<Item = (CAddr, Seen)>) {
        self.seen.extend(seen);
    }

    /// Forgets results, so that nothing is built on them: some were withdrawn.
    pub(crate) fn drop_results(&mut self) {
        self.seen.retain(|_, seen| matches!(seen, Seen::Failed(_)));
        self.unchecked
            .values_mut()
            .for_each(|output| *output = None);
        self.doubted.clear();
    }
}
