//! Single flight: who is computing what right now.
//!
//! One table maps each address under computation to the request that has it and to those who wait for it. An
//! entry appears when a request claims the address and goes when the request *lands* it: done, failed, or
//! abandoned. An abandoned address belongs to nobody, and whoever waited claims it anew.
//!
//! All handles on a store have one table. But functions, policies and layers are a handle's own, and two handles
//! may mean different things by one name. What they share is what the store has: those who wait through another
//! handle hear of an output that was recorded, and look for it with their own eyes; of a failure, or of bytes that
//! no store has, they hear that the address was abandoned, and compute it themselves.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use deriva_api::{Blob, BuildAddrHasher, CAddr, Error, Output};
use tokio::sync::oneshot;

use crate::inner::Inner;
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
    /// Another handle recorded this output in the store of the graph.
    Recorded(Output),
    /// The computation failed.
    Failed(Error),
    /// The owner gave up before it was done.
    Abandoned,
}

impl Landing {
    /// The same for those who wait through another handle.
    fn for_others(&self) -> Self {
        match self {
            Self::Done {
                output,
                stored: true,
                ..
            } => Self::Recorded(*output),
            _ => Self::Abandoned,
        }
    }
}

/// A request that claims addresses.
#[derive(Debug, Default)]
pub(crate) struct Claimant {
    /// Which handle it was made through.
    handle: usize,
}

impl Claimant {
    /// A request that is made through this handle.
    pub(crate) fn new(handle: &Arc<Inner>) -> Arc<Self> {
        Arc::new(Self {
            handle: Arc::as_ptr(handle).addr(),
        })
    }
}

/// An address under computation.
#[derive(Debug)]
struct Flight {
    owner: Arc<Claimant>,
    /// Nearly always nobody, so that costs a word.
    waiters: Option<Box<Vec<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    claimant: Arc<Claimant>,
    sender: oneshot::Sender<Landing>,
}

/// A flight of somebody else's, to be waited for.
#[derive(Debug)]
pub(crate) struct Joined(oneshot::Receiver<Landing>);

impl Future for Joined {
    type Output = Landing;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Landing> {
        let landed = Pin::new(&mut self.0).poll(cx);
        landed.map(|landing| landing.unwrap_or(Landing::Abandoned))
    }
}

/// The table of flights. One lock, held for a batch of addresses at a time.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    table: Mutex<HashMap<CAddr, Flight, BuildAddrHasher>>,
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
        claimant: &Arc<Claimant>,
        addrs: impl IntoIterator<Item = CAddr>,
    ) -> Vec<(usize, Joined)> {
        let mut joined = Vec::new();
        let mut table = self.table.lock();
        for (place, addr) in addrs.into_iter().enumerate() {
            match table.entry(addr) {
                Entry::Vacant(entry) => {
                    entry.insert(Flight {
                        owner: Arc::clone(claimant),
                        waiters: None,
                    });
                }
                Entry::Occupied(mut entry) => {
                    let (sender, receiver) = oneshot::channel();
                    let waiter = Waiter {
                        claimant: Arc::clone(claimant),
                        sender,
                    };
                    entry.get_mut().waiters.get_or_insert_default().push(waiter);
                    joined.push((place, Joined(receiver)));
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
                if let Some(Flight {
                    owner,
                    waiters: Some(waiters),
                }) = table.remove(&addr)
                {
                    waiting.push((end, owner, waiters));
                }
            }
            // Where nothing landed, nobody need look again.
            if table.len() < open {
                self.landed.fetch_add(1, Ordering::Release);
            }
        }
        for (end, owner, waiters) in waiting {
            let landing = how(end);
            for Waiter { claimant, sender } in *waiters {
                let landing = match claimant.handle == owner.handle {
                    true => landing.clone(),
                    false => landing.for_others(),
                };
                // Who stopped waiting needs no answer.
                let _ = sender.send(landing);
            }
        }
    }

    /// Ends flights that the caller gives up.
    pub(crate) fn abandon(&self, addrs: impl IntoIterator<Item = CAddr>) {
        let ended = addrs.into_iter().map(|addr| (addr, ()));
        self.land(ended, |()| Landing::Abandoned);
    }

    /// Whether somebody is computing the address now.
    pub(crate) fn contains(&self, addr: CAddr) -> bool {
        self.table.lock().contains_key(&addr)
    }

    /// Whether somebody waits for a flight of the caller's.
    pub(crate) fn is_awaited(&self, addr: CAddr) -> bool {
        let table = self.table.lock();
        let waiters = table.get(&addr).and_then(|it| it.waiters.as_deref());
        waiters.is_some_and(|waiters| waiters.iter().any(|waiter| !waiter.sender.is_closed()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    fn of_handle(handle: usize) -> Arc<Claimant> {
        Arc::new(Claimant { handle })
    }

    #[test]
    fn the_first_owns_and_the_others_hear_how_it_ends() {
        let (flights, addr) = (Flights::default(), CAddr::of_blob(b"x"));
        let (one, two) = (of_handle(0), of_handle(0));
        assert!(flights.claim(&one, [addr]).is_empty());
        assert!(!flights.is_awaited(addr));
        let (place, waiter) = flights.claim(&two, [addr]).remove(0);
        assert!(place == 0 && flights.is_awaited(addr));
        let before = flights.landings();
        flights.abandon([addr]);
        assert!(matches!(waiter.now_or_never(), Some(Landing::Abandoned)));
        assert!(flights.landings() > before && !flights.contains(addr));
        let before = flights.landings();
        flights.abandon([]);
        assert_eq!(flights.landings(), before);
        assert!(flights.claim(&one, [addr]).is_empty());
    }

    #[test]
    fn who_stopped_waiting_is_not_waited_for() {
        let (flights, addr) = (Flights::default(), CAddr::of_blob(b"x"));
        flights.claim(&of_handle(0), [addr]);
        drop(flights.claim(&of_handle(0), [addr]));
        assert!(!flights.is_awaited(addr));
    }

    #[test]
    fn another_handle_hears_of_what_was_recorded_and_of_nothing_else() {
        let (flights, addr) = (Flights::default(), CAddr::of_blob(b"x"));
        let output = Output {
            addr,
            len: 1,
            cost: Duration::ZERO,
        };
        let done = |stored| Landing::Done {
            output,
            blob: Some(Blob::new("x")),
            stored,
        };
        let failed = Landing::Failed(Error::new(deriva_api::ErrorKind::Function, "its own"));
        for (landing, recorded) in [(done(true), true), (done(false), false), (failed, false)] {
            flights.claim(&of_handle(0), [addr]);
            let (_, same) = flights.claim(&of_handle(0), [addr]).remove(0);
            let (_, other) = flights.claim(&of_handle(1), [addr]).remove(0);
            flights.land([(addr, landing)], |landing| landing);
            assert!(matches!(
                same.now_or_never(),
                Some(Landing::Done { .. } | Landing::Failed(_))
            ));
            let heard = other.now_or_never();
            match recorded {
                true => assert!(matches!(heard, Some(Landing::Recorded(it)) if it == output)),
                false => assert!(matches!(heard, Some(Landing::Abandoned))),
            }
        }
    }
}
