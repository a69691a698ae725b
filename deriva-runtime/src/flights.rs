//! Single flight: who is computing what right now.
//!
//! One table maps each address under computation to its owner and to those who wait for it. An entry
//! appears when an owner claims the address and goes when the owner *lands* it: done, failed, or
//! abandoned. An abandoned address belongs to nobody, and whoever waited claims it anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva_api::{Blob, BuildAddrHasher, CAddr, Error, Output};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How a flight ended.
#[derive(Clone, Debug)]
pub(crate) enum Landing {
    /// The output, and its bytes where the owner still held them. Recorded durably if `stored`.
    Done {
        output: Output,
        blob: Option<Blob>,
        stored: bool,
    },
    /// The computation failed.
    Failed(Error),
    /// The owner gave up before it was done.
    Abandoned,
}

/// What came of an attempt to claim an address.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is the caller's now, who must land it.
    Owned,
    /// Somebody else has it; this tells how it ends.
    Joined(oneshot::Receiver<Landing>),
}

/// The table of flights. One lock, held for a batch of addresses at a time.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    table: Mutex<HashMap<CAddr, Vec<oneshot::Sender<Landing>>, BuildAddrHasher>>,
    landed: AtomicU64,
}

impl Flights {
    /// Counts landings. Who looks up outputs and then claims compares it before and after: where it
    /// moved, an output may have been recorded in between and the look-up is to be made again.
    pub(crate) fn landings(&self) -> u64 {
        self.landed.load(Ordering::Acquire)
    }

    /// Claims each address, or joins its flight.
    pub(crate) fn claim(&self, addrs: impl IntoIterator<Item = CAddr>) -> Vec<Claim> {
        use std::collections::hash_map::Entry;
        let mut table = self.table.lock();
        let claim = |addr| match table.entry(addr) {
            Entry::Vacant(entry) => {
                entry.insert(Vec::new());
                Claim::Owned
            }
            Entry::Occupied(mut entry) => {
                let (sender, receiver) = oneshot::channel();
                entry.get_mut().push(sender);
                Claim::Joined(receiver)
            }
        };
        addrs.into_iter().map(claim).collect()
    }

    /// Ends flights that the caller owns, and tells those who wait.
    pub(crate) fn land(&self, landings: impl IntoIterator<Item = (CAddr, Landing)>) {
        let mut waiting = Vec::new();
        {
            let mut table = self.table.lock();
            for (addr, landing) in landings {
                let waiters = table.remove(&addr).unwrap_or_default();
                waiting.extend(waiters.into_iter().map(|waiter| (waiter, landing.clone())));
            }
            self.landed.fetch_add(1, Ordering::Release);
        }
        for (waiter, landing) in waiting {
            // Who stopped waiting needs no answer.
            let _ = waiter.send(landing);
        }
    }

    /// Whether somebody is computing the address now.
    pub(crate) fn contains(&self, addr: CAddr) -> bool {
        self.table.lock().contains_key(&addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(mut claims: Vec<Claim>) -> Claim {
        claims.remove(0)
    }

    #[test]
    fn the_first_owns_and_the_others_hear_how_it_ends() {
        let (flights, addr) = (Flights::default(), CAddr::of_blob(b"x"));
        assert!(matches!(only(flights.claim([addr])), Claim::Owned));
        let Claim::Joined(mut waiter) = only(flights.claim([addr])) else {
            panic!("owned twice")
        };
        let before = flights.landings();
        flights.land([(addr, Landing::Abandoned)]);
        assert!(matches!(waiter.try_recv(), Ok(Landing::Abandoned)));
        assert!(flights.landings() > before && !flights.contains(addr));
        assert!(matches!(only(flights.claim([addr])), Claim::Owned));
    }
}
