//! Slots of the executor, shared fairly by all requests.
//!
//! The executor has room for so many steps. A request that wants to start one asks for a slot; a slot
//! that becomes free goes to the request of the highest priority, among those to the one with the
//! fewest slots, among those to the one that waits longest.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::sync::{AtomicUsize, Mutex};

/// All slots of an executor.
#[derive(Debug)]
pub(crate) struct Slots {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    count: usize,
    free: usize,
    /// In the order of arrival.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    granted: oneshot::Sender<Slot>,
}

/// Who asks for slots: one for each request.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    priority: i32,
    used: Arc<AtomicUsize>,
}

impl Ticket {
    pub(crate) fn new(priority: i32) -> Self {
        Self {
            priority,
            used: Arc::default(),
        }
    }
}

/// The right to have one step in flight; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    used: Arc<AtomicUsize>,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            state: Mutex::new(State {
                count: count.max(1),
                free: count.max(1),
                waiting: Vec::new(),
            }),
        }
    }

    /// How many slots are held, and how many wishes somebody still has.
    pub(crate) fn in_use(&self) -> (u64, u64) {
        let state = self.state.lock();
        let wishes = state.waiting.iter();
        let wishes = wishes.filter(|waiting| !waiting.granted.is_closed());
        ((state.count - state.free) as u64, wishes.count() as u64)
    }

    /// Asks for a slot. Dropping the receiver withdraws the wish.
    pub(crate) fn ask(self: &Arc<Self>, ticket: &Ticket) -> oneshot::Receiver<Slot> {
        let (granted, slot) = oneshot::channel();
        self.state.lock().waiting.push(Waiting {
            ticket: ticket.clone(),
            granted,
        });
        self.grant();
        slot
    }

    /// Hands out free slots while somebody waits.
    fn grant(self: &Arc<Self>) {
        while let Some(Waiting { ticket, granted }) = self.next() {
            ticket.used.fetch_add(1, Ordering::Relaxed);
            let slot = Slot {
                slots: Arc::clone(self),
                used: ticket.used,
            };
            // A slot that nobody takes comes back with the error, is dropped here, and goes on.
            drop(granted.send(slot));
        }
    }

    /// Takes a free slot for the one who is to have it.
    fn next(&self) -> Option<Waiting> {
        let mut state = self.state.lock();
        state.waiting.retain(|waiting| !waiting.granted.is_closed());
        if state.free == 0 {
            return None;
        }
        let rank = |waiting: &Waiting| {
            let used = waiting.ticket.used.load(Ordering::Relaxed);
            (std::cmp::Reverse(waiting.ticket.priority), used)
        };
        let (place, _) = (state.waiting.iter().enumerate()).min_by_key(|(_, it)| rank(it))?;
        state.free -= 1;
        Some(state.waiting.remove(place))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.used.fetch_sub(1, Ordering::Relaxed);
        self.slots.state.lock().free += 1;
        self.slots.grant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_slot_goes_to_priority_then_to_who_has_fewest_then_to_who_came_first() {
        let slots = Arc::new(Slots::new(2));
        let (busy, idle, urgent) = (Ticket::new(0), Ticket::new(0), Ticket::new(1));
        let held = slots.ask(&busy).try_recv().unwrap();
        let other = slots.ask(&busy).try_recv().unwrap();
        let mut more = slots.ask(&busy);
        let mut first = slots.ask(&idle);
        let mut most = slots.ask(&urgent);
        drop(held);
        let most = most.try_recv().unwrap();
        assert!(first.try_recv().is_err() && more.try_recv().is_err());
        drop(most);
        let first = first.try_recv().unwrap();
        assert!(more.try_recv().is_err());
        drop((other, first));
        assert!(more.try_recv().is_ok());
    }

    #[test]
    fn a_wish_that_was_withdrawn_takes_no_slot() {
        let slots = Arc::new(Slots::new(1));
        let (one, two) = (Ticket::new(0), Ticket::new(0));
        let held = slots.ask(&one).try_recv().unwrap();
        drop(slots.ask(&two));
        let mut last = slots.ask(&one);
        drop(held);
        assert!(last.try_recv().is_ok());
        // Granted, and dropped untaken.
        drop(last);
        assert!(slots.ask(&two).try_recv().is_ok());
    }
}
