//! Slots of the executor, shared fairly by all requests.
//!
//! The executor has room for N steps. A request says how many steps it could start now and at what level;
//! a slot that becomes free goes to the request of the highest level, among those to the one with the fewest
//! slots, among those to the one that waits longest.
//!
//! A step that ends may be what the next step of its request waits for. So unless somebody waits whose level is
//! as high, its slot goes back to the request, which uses it or lets it go once it has looked at what became of
//! the step ([`Slot::ended`]). Of two requests with steps to run, the one of the lower level gets a slot only
//! where the other has nothing to start. That the slot is idle for a moment is at the expense of lower levels
//! alone.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::planted::{Fault, planted};
use crate::shared::sync::Mutex;

/// All slots of an executor.
#[derive(Debug)]
pub(crate) struct Slots {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    count: usize,
    free: usize,
    /// Counts tickets, and wishes.
    next: u64,
    parties: Vec<Party>,
}

/// A request that runs steps, or may.
#[derive(Debug)]
struct Party {
    id: u64,
    /// That of the most urgent step that it has not run yet.
    top: i32,
    /// That of the steps that it could start now.
    level: i32,
    wanted: usize,
    /// The order of wishes.
    since: u64,
    /// Slots that it has, those among them that it has not taken yet.
    used: usize,
    granted: usize,
    bell: Arc<Notify>,
}

/// What a request asks for slots with.
#[derive(Debug)]
pub(crate) struct Ticket {
    slots: Arc<Slots>,
    id: u64,
    bell: Arc<Notify>,
}

/// The right to have one step in flight; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    id: u64,
}

impl State {
    fn party(&mut self, id: u64) -> Option<&mut Party> {
        self.parties.iter_mut().find(|party| party.id == id)
    }

    fn give_back(&mut self, id: u64) {
        self.free += 1;
        if let Some(party) = self.party(id) {
            party.used -= 1;
        }
    }

    /// Hands out free slots while somebody waits. Who is looking now is not told.
    fn grant(&mut self, looking: Option<u64>) {
        while self.free > 0 {
            let waiting = self.parties.iter_mut().filter(|party| party.wanted > 0);
            let rank = |party: &&mut Party| (-i64::from(party.level), party.used, party.since);
            let Some(party) = waiting.min_by_key(rank) else {
                return;
            };
            party.wanted -= 1;
            party.used += 1;
            party.granted += 1;
            party.since = self.next;
            if looking != Some(party.id) {
                party.bell.notify_one();
            }
            self.next += 1;
            self.free -= 1;
        }
    }
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            state: Mutex::new(State {
                count: count.max(1),
                free: count.max(1),
                next: 0,
                parties: Vec::new(),
            }),
        }
    }

    /// A ticket for a request of this level.
    pub(crate) fn ticket(self: &Arc<Self>, level: i32) -> Ticket {
        let mut state = self.state.lock();
        let (id, bell) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        state.parties.push(Party {
            id,
            top: level,
            level,
            wanted: 0,
            since: id,
            used: 0,
            granted: 0,
            bell: Arc::clone(&bell),
        });
        drop(state);
        Ticket {
            slots: Arc::clone(self),
            id,
            bell,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.state.lock().count as u64
    }

    /// How many slots are held, and how many are wished for.
    pub(crate) fn in_use(&self) -> (u64, u64, u64) {
        let state = self.state.lock();
        let wishes = state.parties.iter().map(|party| party.wanted as u64);
        let slots = state.count - state.free;
        (slots as u64, state.parties.len() as u64, wishes.sum())
    }
}

impl Slots {
    /// For each request that wishes for slots: at what level, and for how many.
    pub(crate) fn wishes(&self) -> Vec<(i32, usize)> {
        let state = self.state.lock();
        let wishing = state.parties.iter().filter(|party| party.wanted > 0);
        wishing.map(|party| (party.level, party.wanted)).collect()
    }
}

impl Ticket {
    /// Wishes for `count` slots in all that are not taken yet, in place of what was wished before, and takes one
    /// that is granted.
    pub(crate) fn take(&self, count: usize, level: i32) -> Option<Slot> {
        let mut state = self.slots.state.lock();
        let next = state.next;
        let party = state.party(self.id)?;
        party.level = level;
        if party.wanted == 0 {
            party.since = next;
        }
        let excess = party.granted.saturating_sub(count);
        party.wanted = count.saturating_sub(party.granted);
        party.granted -= excess;
        party.used -= excess;
        state.next += 1;
        state.free += excess;
        state.grant(Some(self.id));
        let party = state.party(self.id)?;
        if count == 0 || party.granted == 0 {
            return None;
        }
        party.granted -= 1;
        Some(Slot {
            slots: Arc::clone(&self.slots),
            id: self.id,
        })
    }

    /// Wishes for nothing, and lets go of what is not taken.
    pub(crate) fn withdraw(&self) {
        self.take(0, i32::MIN);
    }

    /// Sets the level of the most urgent step that the request has not run yet.
    pub(crate) fn set_top(&self, level: i32) {
        if let Some(party) = self.slots.state.lock().party(self.id) {
            party.top = level;
        }
    }

    /// Leaves: the request runs no more steps, and the slots of those that run are for others.
    pub(crate) fn leave(&self) {
        let mut state = self.slots.state.lock();
        if let Some(place) = state.parties.iter().position(|it| it.id == self.id) {
            let party = state.parties.remove(place);
            state.free += party.granted;
            state.grant(None);
        }
    }

    /// Waits until something is granted that was not when the caller looked last.
    pub(crate) async fn granted(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !planted(Fault::keeps_tickets) {
            self.leave();
        }
    }
}

impl Slot {
    /// What becomes of the slot of a step that ended: it is for the next step of the same request, unless
    /// somebody waits for one whose level is as high.
    pub(crate) fn ended(self) -> Option<Self> {
        let mut state = self.slots.state.lock();
        let top = state.party(self.id)?.top;
        let others = |party: &Party| party.id != self.id && party.wanted > 0;
        let is_free = state.parties.iter().any(|it| others(it) && it.level >= top);
        drop(state);
        (!is_free).then_some(self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.state.lock();
        state.give_back(self.id);
        state.grant(None);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_free_slot_goes_to_level_then_to_who_has_fewest_then_to_who_came_first() {
        let slots = Arc::new(Slots::new(2));
        let [busy, idle, urgent] = [0, 0, 1].map(|level| slots.ticket(level));
        let held = busy.take(3, 0).unwrap();
        let other = busy.take(2, 0).unwrap();
        assert!(busy.take(1, 0).is_none() && idle.take(1, 0).is_none());
        assert!(urgent.take(1, 1).is_none());
        drop(held);
        let most = urgent.take(1, 1).unwrap();
        assert!(idle.take(1, 0).is_none() && busy.take(1, 0).is_none());
        drop(most);
        let first = idle.take(1, 0).unwrap();
        assert!(busy.take(1, 0).is_none());
        drop((other, first));
        assert!(busy.take(1, 0).is_some());
        assert_eq!(slots.in_use().0, 0);
    }

    #[test]
    fn a_wish_keeps_its_place_until_it_is_withdrawn() {
        let slots = Arc::new(Slots::new(1));
        let [busy, one, two] = [0; 3].map(|level| slots.ticket(level));
        let held = busy.take(1, 0).unwrap();
        assert!(one.take(1, 0).is_none() && two.take(1, 0).is_none());
        // Said again, which is no new wish.
        assert!(one.take(2, 0).is_none());
        drop(held);
        let held = one.take(1, 0).unwrap();
        assert!(busy.take(1, 0).is_none());
        two.withdraw();
        assert!(two.take(1, 0).is_none());
        drop(held);
        assert!(two.take(1, 0).is_none());
        assert!(busy.take(1, 0).is_some());
    }

    #[test]
    fn a_wish_that_was_withdrawn_takes_no_slot() {
        let slots = Arc::new(Slots::new(1));
        let (one, two) = (slots.ticket(0), slots.ticket(0));
        let held = one.take(1, 0).unwrap();
        assert!(two.take(1, 0).is_none() && one.take(1, 0).is_none());
        two.withdraw();
        drop(held);
        assert!(one.granted().now_or_never().is_some());
        // Granted, and let go untaken.
        assert!(two.take(1, 0).is_none());
        one.withdraw();
        assert!(two.granted().now_or_never().is_some());
        drop(two);
        assert!(one.take(1, 0).is_some());
    }

    #[test]
    fn the_slot_of_a_step_that_ended_is_for_the_next_one_unless_an_equal_waits() {
        let slots = Arc::new(Slots::new(1));
        let [low, high, equal] = [-1, 1, 1].map(|level| slots.ticket(level));
        let slot = high.take(1, 1).unwrap();
        assert!(low.take(5, -1).is_none());
        let slot = slot.ended().expect("only a lower one waits");
        // The wish comes first, then the slot.
        assert!(high.take(1, 1).is_none());
        drop(slot);
        let slot = high.take(1, 1).unwrap();
        assert!(equal.take(1, 1).is_none());
        assert!(slot.ended().is_none());
        let slot = equal.take(1, 1).unwrap();
        // What is left of that request is less urgent than what it ran.
        equal.set_top(-2);
        assert!(slot.ended().is_none());
        assert!(low.take(5, -1).is_some());
    }

    #[test]
    fn a_slot_outlives_its_request() {
        let slots = Arc::new(Slots::new(2));
        let (one, two) = (slots.ticket(0), slots.ticket(0));
        let slot = one.take(2, 0).unwrap();
        assert!(two.take(1, 0).is_none());
        drop(one);
        assert!(two.take(1, 0).is_some());
        assert_eq!(slots.in_use().0, 1);
        assert!(slot.ended().is_none());
        assert_eq!(slots.in_use().0, 0);
    }
}
