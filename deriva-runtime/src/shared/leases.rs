//! Leases: what running operations and the application rely on, so that collection keeps it.
//!
//! Whoever adds to the stores, or asks for an address, holds a [`Lease`] on what it names while it runs.
//! A collection begins with everything that is leased then; what is leased from then on goes to its
//! *journal* as well, and stays there when the lease ends. So a collection keeps whatever anybody touched
//! while it ran, and no clock decides.
//!
//! Leases live in memory: they protect from collections through any handle of this process on the same store,
//! of which there is one at a time.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use deriva_api::{BuildAddrHasher, CAddr};

use crate::planted::{Fault, planted};
use crate::shared::gate::{Gate, Together};
use crate::shared::sync::Mutex;

/// Keeps addresses, with everything that they need, from collection while it lives; see
/// [`crate::Deriva::lease`].
#[must_use = "a lease protects until it is dropped"]
pub struct Lease {
    leases: Leases,
    gate: Gate,
    id: u64,
}

impl Lease {
    /// Protects an address: a blob, or a recipe with its output and all that it is made from. What is
    /// there when this returns stays there. Nothing need be stored under the address yet: protect it
    /// before you put or insert it, and no collection finds it in between.
    pub async fn protect(&self, addr: CAddr) {
        self.protect_many([addr]).await;
    }

    /// Protects several addresses.
    pub async fn protect_many(&self, addrs: impl IntoIterator<Item = CAddr>) {
        self.extend(addrs);
        drop(self.gate.read().await);
    }

    /// As [`Lease::protect_many`], but what a collection is taking away at this moment may be among it:
    /// for those who hold the gate, or look again before they rely on it.
    pub(crate) fn extend(&self, addrs: impl IntoIterator<Item = CAddr>) {
        let mut state = self.leases.0.lock();
        let State { held, journal, .. } = &mut *state;
        let Some(held) = held.get_mut(&self.id) else {
            return;
        };
        for addr in addrs {
            if held.added.insert(addr) {
                journal.extend(&[addr]);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !planted(Fault::keeps_dropped_leases) {
            self.leases.0.lock().held.remove(&self.id);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({})", self.id)
    }
}

/// The permission to add to the stores, which nobody takes away from meanwhile.
pub(crate) struct Adding<'a> {
    _lease: Lease,
    _together: Together<'a>,
}

/// All leases on a store.
#[derive(Clone, Default)]
pub(crate) struct Leases(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    held: HashMap<u64, Held>,
    journal: Journaled,
}

#[derive(Default)]
struct Held {
    /// What the lease began with, as it was given.
    given: Vec<CAddr>,
    added: HashSet<CAddr, BuildAddrHasher>,
}

/// What was leased since the collection looked last; nothing is noted while none runs.
#[derive(Default)]
struct Journaled(Option<Vec<CAddr>>);

impl Journaled {
    fn extend(&mut self, addrs: &[CAddr]) {
        if let Some(journal) = &mut self.0 {
            journal.extend_from_slice(addrs);
        }
    }
}

impl State {
    fn begin_journal(&mut self) {
        let held = self.held.values();
        let leased = held.flat_map(|held| held.given.iter().chain(&held.added));
        self.journal.0 = Some(leased.copied().collect());
    }
}

impl Leases {
    /// Begins a lease on `addrs` for somebody who looks at the stores only after passing the gate.
    pub(crate) fn grant(&self, addrs: Vec<CAddr>, gate: &Gate) -> Lease {
        let mut state = self.0.lock();
        let id = state.next;
        state.next += 1;
        state.journal.extend(&addrs);
        let held = Held {
            given: addrs,
            added: HashSet::default(),
        };
        state.held.insert(id, held);
        Lease {
            leases: self.clone(),
            gate: gate.clone(),
            id,
        }
    }

    /// Passes the gate to add, or to name in what is added, `addrs`. Whoever takes away next keeps them.
    pub(crate) async fn adding<'a>(&self, addrs: Vec<CAddr>, gate: &'a Gate) -> Adding<'a> {
        let lease = self.grant(addrs, gate);
        Adding {
            _lease: lease,
            _together: gate.read().await,
        }
    }

    /// How many leases are held, and how many journals.
    pub(crate) fn in_use(&self) -> (u64, u64) {
        let state = self.0.lock();
        (
            state.held.len() as u64,
            u64::from(state.journal.0.is_some()),
        )
    }

    /// Begins the journal of a collection with everything that is leased. One at a time: it belongs to
    /// whoever has the turn to collect.
    pub(crate) fn journal(&self) -> Journal {
        self.0.lock().begin_journal();
        Journal(self.clone())
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leases({} held)", self.0.lock().held.len())
    }
}

/// What a collection has to keep, as it comes in. Dropping it ends the journal.
#[derive(Debug)]
pub(crate) struct Journal(Leases);

impl Journal {
    /// Takes what came in.
    pub(crate) fn drain(&self) -> Vec<CAddr> {
        let mut state = self.0.0.lock();
        let came = state.journal.0.as_mut();
        came.map(std::mem::take).unwrap_or_default()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !planted(Fault::keeps_the_journal) {
            self.0.0.lock().journal.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u8) -> CAddr {
        CAddr::of_blob(&[n])
    }

    fn gate() -> Gate {
        let store = Arc::default();
        Gate::new(&store, &store)
    }

    fn sorted(mut addrs: Vec<CAddr>) -> Vec<CAddr> {
        addrs.sort_unstable();
        addrs
    }

    #[test]
    fn a_collection_begins_with_what_is_leased_and_hears_of_what_is_leased_later() {
        let (leases, gate) = (Leases::default(), gate());
        let before = leases.grant(vec![addr(1)], &gate);
        before.extend([addr(2)]);
        drop(leases.grant(vec![addr(3)], &gate));
        let journal = leases.journal();
        assert_eq!(sorted(journal.drain()), sorted(vec![addr(1), addr(2)]));
        assert_eq!(journal.drain(), []);
        drop(leases.grant(vec![addr(4)], &gate));
        before.extend([addr(5), addr(5)]);
        assert_eq!(journal.drain(), [addr(4), addr(5)]);
        drop(journal);
        assert!(leases.0.lock().journal.0.is_none());
    }

    #[tokio::test]
    async fn protecting_waits_for_what_is_being_taken_away() {
        use futures::FutureExt;
        let (leases, gate) = (Leases::default(), gate());
        let lease = leases.grant(Vec::new(), &gate);
        let journal = leases.journal();
        let alone = gate.write().await;
        assert!(lease.protect(addr(1)).now_or_never().is_none());
        assert_eq!(journal.drain(), [addr(1)]);
        drop(alone);
        assert!(lease.protect(addr(1)).now_or_never().is_some());
    }
}
