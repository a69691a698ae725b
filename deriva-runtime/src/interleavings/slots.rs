//! Slots: never more than there are, and none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures::FutureExt;
use shuttle::future::block_on;
use shuttle::rand::Rng;
use shuttle::thread::yield_now;

use super::{SCHEDULES, threads};
use crate::slots::{Slots, Ticket};
use crate::sync::explore;

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
            let ticket = Ticket::new(thread as i32 / 2);
            for _ in 0..2 {
                let mut asked = slots.ask(&ticket);
                if shuttle::rand::thread_rng().gen_bool(0.3) {
                    yield_now();
                    continue;
                }
                // Nobody wakes who is not granted one: where a slot is lost, everybody waits.
                let slot = match (&mut asked).now_or_never() {
                    Some(slot) => slot,
                    None => block_on(asked),
                };
                assert!(
                    used.fetch_add(1, SeqCst) < SLOTS,
                    "more slots than there are"
                );
                yield_now();
                used.fetch_sub(1, SeqCst);
                drop(slot.unwrap());
            }
        });
        let ticket = Ticket::new(0);
        let all: Vec<_> = (0..=SLOTS)
            .map(|_| slots.ask(&ticket).try_recv().ok())
            .collect();
        assert_eq!(all.iter().flatten().count(), SLOTS);
    });
}
