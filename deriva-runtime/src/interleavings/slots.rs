//! Slots: never more than there are, and none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use shuttle::future::block_on;
use shuttle::rand::Rng;
use shuttle::thread::yield_now;

use super::{SCHEDULES, threads};
use crate::shared::slots::Slots;
use crate::shared::sync::explore;

const SLOTS: usize = 2;

/// Some take their slot, some withdraw before it comes, some leave it untaken.
#[test]
fn slots_are_never_more_than_there_are_and_none_is_lost() {
    explore(SCHEDULES, || {
        let slots = Arc::new(Slots::new(SLOTS));
        let used = Arc::new(AtomicUsize::new(0));
        let shared = (slots.clone(), used);
        threads(5, move |thread| {
            let (slots, used) = &shared;
            let level = thread as i32 / 2;
            let ticket = slots.ticket(level);
            let mut returned = None;
            for _ in 0..2 {
                let mut taken = ticket.take(2, level);
                // The wish stands, so what came back may be for this request.
                drop(returned.take());
                if shuttle::rand::thread_rng().gen_bool(0.3) {
                    yield_now();
                    ticket.withdraw();
                    continue;
                }
                // Nobody wakes who is not granted one: where a slot is lost, everybody waits.
                let slot = loop {
                    match taken.take().or_else(|| ticket.take(1, level)) {
                        Some(slot) => break slot,
                        None => block_on(ticket.granted()),
                    }
                };
                assert!(
                    used.fetch_add(1, SeqCst) < SLOTS,
                    "more slots than there are"
                );
                yield_now();
                used.fetch_sub(1, SeqCst);
                returned = slot.ended();
            }
        });
        assert_eq!(slots.in_use().0, 0);
    });
}
