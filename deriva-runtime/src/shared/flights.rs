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
use std::time::Duration;

use deriva_api::{Blob, BuildAddrHasher, CAddr, Error, Output};
use tokio::sync::oneshot;

use crate::planted::{Fault, planted};
use crate::shared::claimant::{Claimant, Urgency};
use crate::shared::invalidations::{Invalidations, Revision};
use crate::shared::sync::{AtomicU64, Mutex};

/// How a flight ended.
#[derive(Clone, Debug)]
pub(crate) enum Landing {
    /// The output, and its bytes where the owner still held them. Recorded durably if `stored`.
    Done {
        output: Output,
        blob: Option<Blob>,
        stored: bool,
        /// It was found to differ from run to run, or rests on what was; then it is not stored.
        doubted: bool,
    },
    /// Another handle recorded this output in the store of the graph.
    Recorded(Output),
    /// The computation failed.
    Failed(Error),
    /// The owner gave up before it was done.
    Abandoned,
}

impl Landing {
    /// The output was recorded.
    pub(crate) fn stored(output: Output) -> Self {
        Self::Done {
            output,
            blob: None,
            stored: true,
            doubted: false,
        }
    }

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

/// An address under computation.
#[derive(Debug)]
struct Flight {
    owner: Arc<Claimant>,
    waiters: Waiters,
}

/// Those who wait for a flight: nearly always nobody, so that costs a word.
type Waiters = Option<Box<Vec<Waiter>>>;

#[derive(Debug)]
struct Waiter {
    id: u64,
    claimant: Arc<Claimant>,
    /// What it lends.
    urgency: Urgency,
    sender: oneshot::Sender<Landing>,
}

impl Flight {
    /// What those who wait lend together; `None` where nobody waits.
    fn lent(&self) -> Option<Urgency> {
        let waiters = self.waiters.iter().flat_map(|waiters| waiters.iter());
        let lent = waiters.filter_map(|waiter| {
            let mut urgency = waiter.urgency;
            if Arc::ptr_eq(&waiter.claimant, &self.owner) {
                // What a request waits for in itself is as urgent as the rest of it.
                return (urgency != self.owner.own).then_some(urgency);
            }
            if !waiter.claimant.is_of_handle_of(&self.owner) {
                // Its time is that of another clock.
                urgency.until = Duration::MAX;
            }
            Some(urgency)
        });
        lent.reduce(Urgency::and)
    }

    /// Changes who waits, and tells the owner where that makes a difference.
    fn change<T>(&mut self, addr: CAddr, change: impl FnOnce(&mut Vec<Waiter>) -> T) -> T {
        let before = self.lent();
        let changed = change(self.waiters.get_or_insert_default());
        let after = self.lent();
        let own = self.owner.own;
        let matters = |lent: Option<Urgency>| lent.is_some_and(|lent| own.is_raised_by(lent));
        if before != after && (matters(before) || matters(after)) {
            self.owner.tell(addr);
        }
        changed
    }
}

/// A flight of somebody else's, to be waited for. Dropping it ends the wait, and what is lent.
#[derive(Debug)]
pub(crate) struct Joined {
    flights: Arc<Flights>,
    owner: Arc<Claimant>,
    id: JoinId,
    landing: oneshot::Receiver<Landing>,
    has_landed: bool,
}

/// Names the wait for a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JoinId {
    addr: CAddr,
    waiter: u64,
}

impl Joined {
    pub(crate) fn id(&self) -> JoinId {
        self.id
    }

    /// Who has the flight.
    pub(crate) fn owner(&self) -> &Claimant {
        &self.owner
    }
}

impl Future for Joined {
    type Output = Landing;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Landing> {
        let landed = Pin::new(&mut self.landing).poll(cx);
        self.has_landed |= landed.is_ready();
        landed.map(|landing| landing.unwrap_or(Landing::Abandoned))
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if !self.has_landed {
            self.flights.leave(self.id);
        }
    }
}

/// The table of flights. One lock, held for a batch of addresses at a time.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    table: Mutex<HashMap<CAddr, Flight, BuildAddrHasher>>,
    landed: AtomicU64,
    /// Counts waits.
    joins: AtomicU64,
}

impl Flights {
    /// Counts landings. Who looks up outputs and then claims compares it before and after: where it
    /// moved, an output may have been recorded in between and the look-up is to be made again.
    pub(crate) fn landings(&self) -> u64 {
        self.landed.load(Ordering::Acquire)
    }

    /// Lands flights whose results are not recorded. Where anything was forgotten since, they may rely on it
    /// and are abandoned: who waits for them may have asked later.
    pub(crate) fn land_unrecorded(
        &self,
        invalidations: &Invalidations,
        since: Revision,
        landings: impl IntoIterator<Item = (CAddr, Landing)>,
    ) {
        invalidations.with_changed(since, |changed| {
            let changed = changed && !planted(Fault::hands_on_what_was_forgotten);
            let how = |landing| if changed { Landing::Abandoned } else { landing };
            self.land(landings, how);
        });
    }

    /// Claims addresses. Those that somebody else has are answered by their place in the order of
    /// `addrs`, with what tells how they end; all others are the caller's, who must land them.
    pub(crate) fn claim(
        self: &Arc<Self>,
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
                    let (sender, landing) = oneshot::channel();
                    let id = self.joins.fetch_add(1, Ordering::Relaxed);
                    let waiter = Waiter {
                        id,
                        claimant: Arc::clone(claimant),
                        urgency: claimant.own,
                        sender,
                    };
                    entry.get_mut().change(addr, |waiters| waiters.push(waiter));
                    let join = Joined {
                        flights: Arc::clone(self),
                        owner: Arc::clone(&entry.get().owner),
                        id: JoinId { addr, waiter: id },
                        landing,
                        has_landed: false,
                    };
                    joined.push((place, join));
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
            for Waiter {
                claimant, sender, ..
            } in *waiters
            {
                let landing = match claimant.is_of_handle_of(&owner) {
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

    /// What those who wait for a flight of `owner`'s lend; `None` where nobody does, or it is no such flight.
    pub(crate) fn lent(&self, addr: CAddr, owner: &Arc<Claimant>) -> Option<Urgency> {
        let table = self.table.lock();
        let flight = table.get(&addr)?;
        let is_own = Arc::ptr_eq(&flight.owner, owner);
        flight.lent().filter(|_| is_own)
    }

    /// From now on somebody who waits lends this.
    pub(crate) fn raise(&self, join: JoinId, urgency: Urgency) {
        let mut table = self.table.lock();
        let Some(flight) = table.get_mut(&join.addr) else {
            return;
        };
        flight.change(join.addr, |waiters| {
            let mut waiters = waiters.iter_mut();
            if let Some(waiter) = waiters.find(|waiter| waiter.id == join.waiter) {
                waiter.urgency = urgency;
            }
        });
    }

    /// Ends a wait.
    fn leave(&self, join: JoinId) {
        let mut table = self.table.lock();
        // Another flight of the address may have begun since.
        if let Some(flight) = table.get_mut(&join.addr) {
            flight.change(join.addr, |waiters| {
                waiters.retain(|it| it.id != join.waiter)
            });
        }
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
        let waiters = table.get(&addr).and_then(|it| it.waiters.as_deref());
        waiters.is_some_and(|waiters| waiters.iter().any(|waiter| !waiter.sender.is_closed()))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn of_handle(handle: usize) -> Arc<Claimant> {
        asking(handle, 0)
    }

    fn asking(handle: usize, priority: i32) -> Arc<Claimant> {
        let until = Duration::MAX;
        Claimant::new(handle, Urgency { priority, until })
    }

    #[test]
    fn the_first_owns_and_the_others_hear_how_it_ends() {
        let (flights, addr) = (Arc::<Flights>::default(), CAddr::of_blob(b"x"));
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
        let (flights, addr) = (Arc::<Flights>::default(), CAddr::of_blob(b"x"));
        flights.claim(&of_handle(0), [addr]);
        drop(flights.claim(&of_handle(0), [addr]));
        assert!(!flights.is_awaited(addr));
    }

    #[test]
    fn another_handle_hears_of_what_was_recorded_and_of_nothing_else() {
        let (flights, addr) = (Arc::<Flights>::default(), CAddr::of_blob(b"x"));
        let output = Output {
            addr,
            len: 1,
            cost: Duration::ZERO,
        };
        let done = |stored| Landing::Done {
            output,
            blob: Some(Blob::new("x")),
            stored,
            doubted: false,
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
    #[test]
    fn who_waits_lends_until_nobody_waits_and_only_what_makes_a_difference_is_told() {
        let (flights, addr) = (Arc::<Flights>::default(), CAddr::of_blob(b"x"));
        let owner = asking(0, 0);
        let lent = || flights.lent(addr, &owner).map(|lent| lent.priority);
        let told = || owner.take_told().len();
        flights.claim(&owner, [addr]);
        let low = flights.claim(&asking(0, -5), [addr]);
        assert_eq!((lent(), told()), (Some(-5), 0));
        let high = flights.claim(&asking(0, 5), [addr]);
        assert_eq!((lent(), told()), (Some(5), 1));
        let raised = Urgency {
            priority: 9,
            until: Duration::MAX,
        };
        flights.raise(low[0].1.id(), raised);
        assert_eq!((lent(), told()), (Some(9), 1));
        drop(high);
        assert_eq!((lent(), told()), (Some(9), 0));
        drop(low);
        assert_eq!((lent(), told()), (None, 1));
        // Nothing is lent to who claims it next by who waited before.
        let late = flights.claim(&asking(0, 7), [addr]).remove(0).1;
        flights.abandon([addr]);
        let next = asking(0, 0);
        flights.claim(&next, [addr]);
        flights.raise(late.id(), raised);
        drop(late);
        assert_eq!(flights.lent(addr, &next), None);
        assert_eq!(next.take_told(), []);
    }

    #[test]
    fn a_deadline_is_lent_where_it_is_later_and_measured_by_the_same_clock() {
        let (flights, addr) = (Arc::<Flights>::default(), CAddr::of_blob(b"x"));
        let until = |handle, seconds| {
            let until = Duration::from_secs(seconds);
            Claimant::new(handle, Urgency { priority: 0, until })
        };
        let owner = until(0, 10);
        flights.claim(&owner, [addr]);
        let lent = || flights.lent(addr, &owner).unwrap().until;
        let _early = flights.claim(&until(0, 5), [addr]);
        assert_eq!(lent(), Duration::from_secs(5));
        let _late = flights.claim(&until(0, 20), [addr]);
        assert_eq!(lent(), Duration::from_secs(20));
        let _elsewhere = flights.claim(&until(1, 1), [addr]);
        assert_eq!(lent(), Duration::MAX);
    }
}
