//! Single flight: who is computing what right now.
//!
//! One table maps each address under computation to those who wait for it. An entry appears when an
//! owner claims the address and goes when the owner *lands* it: done, failed, or abandoned. An
//! abandoned address belongs to nobody, and whoever waited claims it anew.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;

use deriva_api::{Blob, BuildAddrHasher, CAddr, Error, Output};
use tokio::sync::oneshot;

use crate::sync::{AtomicU64, Mutex};

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

/// Those who wait for a flight: nearly always nobody, so that costs a word.
type Waiters = Option<Box<Vec<oneshot::Sender<Landing>>>>;

/// The table of flights. One lock, held for a batch of addresses at a time.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    table: Mutex<HashMap<CAddr, Waiters, BuildAddrHasher>>,
    landed: AtomicU64,
}

impl Flights {
    /// Counts landings. Who looks up outputs and then claims compares it before and after: where it
    /// moved, an output may have been recorded in between and the look-up is to be made again.
    pub(crate) fn landings(&self) -> u64 {
        self.landed.load(Ordering::Acquire)
    }

    /// Claims addresses. Those that somebody else has are answered by their place in the order of
    /// `addrs`, with what tells how they end; all others are the caller's, who must land them.
    pub(crate) fn claim(
        &self,
        addrs: impl IntoIterator<Item = CAddr>,
    ) -> Vec<(usize, oneshot::Receiver<Landing>)> {
        let mut joined = Vec::new();
        let mut table = self.table.lock();
        for (place, addr) in addrs.into_iter().enumerate() {
            match table.entry(addr) {
                Entry::Vacant(entry) => drop(entry.insert(None)),
                Entry::Occupied(mut entry) => {
                    let (sender, receiver) = oneshot::channel();
                    entry.get_mut().get_or_insert_default().push(sender);
                    joined.push((place, receiver));
                }
            }
        }
        joined
    }

    /// Ends flights that the caller owns. For those that somebody waits for, `how` turns what stands
    /// beside the address into the way it ended.
    pub(crate) fn land<T>(
        &self,
        ended: impl IntoIterator<Item = (CAddr, T)>,
        how: impl Fn(T) -> Landing,
    ) {
        let mut waiting = Vec::new();
        {
            let mut table = self.table.lock();
            let open = table.len();
            for (addr, end) in ended {
                if let Some(waiters) = table.remove(&addr).flatten() {
                    waiting.push((end, waiters));
                }
            }
            // Where nothing landed, nobody need look again.
            if table.len() < open {
                self.landed.fetch_add(1, Ordering::Release);
            }
        }
        for (end, waiters) in waiting {
            let landing = how(end);
            for waiter in *waiters {
                // Who stopped waiting needs no answer.
                let _ = waiter.send(landing.clone());
            }
        }
    }

    /// Ends flights that the caller gives up.
    pub(crate) fn abandon(&self, addrs: impl IntoIterator<Item = CAddr>) {
        let ended = addrs.into_iter().map(|addr| (addr, ()));
        self.land(ended, |()| Landing::Abandoned);
    }

    /// How many flights have not landed.
    pub(crate) fn in_use(&self) -> u64 {
        self.table.lock().len() as u64
    }

    /// Whether somebody is computing the address now.
    pub(crate) fn contains(&self, addr: CAddr) -> bool {
        self.table.lock().contains_key(&addr)
    }

    /// Whether somebody waits for a flight of the caller's.
    pub(crate) fn is_awaited(&self, addr: CAddr) -> bool {
        let table = self.table.lock();
        let waiters = table.get(&addr).and_then(Option::as_deref);
        waiters.is_some_and(|waiters| waiters.iter().any(|waiter| !waiter.is_closed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_owns_and_the_others_hear_how_it_ends() {
        let (flights, addr) = (Flights::default(), CAddr::of_blob(b"x"));
        assert!(flights.claim([addr]).is_empty());
        assert!(!flights.is_awaited(addr));
        let (place, mut waiter) = flights.claim([addr]).remove(0);
        assert!(place == 0 && flights.is_awaited(addr));
        let before = flights.landings();
        flights.abandon([addr]);
        assert!(matches!(waiter.try_recv(), Ok(Landing::Abandoned)));
        assert!(flights.landings() > before && !flights.contains(addr));
        let before = flights.landings();
        flights.abandon([]);
        assert_eq!(flights.landings(), before);
        assert!(flights.claim([addr]).is_empty());
    }

    #[test]
    fn who_stopped_waiting_is_not_waited_for() {
        let (flights, addr) = (Flights::default(), CAddr::of_blob(b"x"));
        flights.claim([addr]);
        drop(flights.claim([addr]));
        assert!(!flights.is_awaited(addr));
    }
}
