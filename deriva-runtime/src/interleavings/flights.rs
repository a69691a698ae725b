//! Single flight: one owner at a time, and nobody waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use deriva_api::{CAddr, Output};
use shuttle::future::block_on;
use shuttle::rand::Rng;
use shuttle::thread::yield_now;

use super::{SCHEDULES, threads};
use crate::shared::claimant::{Claimant, Urgency};
use crate::shared::flights::{Flights, Landing};
use crate::shared::sync::{Mutex, explore};

const THREADS: usize = 4;

fn done() -> Landing {
    let addr = CAddr::of_blob(b"output");
    let output = Output {
        addr,
        len: 6,
        cost: Duration::ZERO,
    };
    Landing::stored(output)
}

/// Several threads want two addresses, claimed together or one after the other, and give up now and then.
#[test]
fn there_is_one_owner_at_a_time_and_every_waiter_hears_one_end() {
    explore(SCHEDULES, || {
        let flights = Arc::new(Flights::default());
        let owners = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let addrs = [CAddr::of_blob(b"a"), CAddr::of_blob(b"b")];
        let shared = (flights.clone(), owners);
        threads(THREADS, move |_| {
            let (flights, owners) = &shared;
            let claimant = Claimant::new(0, Urgency::NONE);
            let mut wanted = vec![0, 1];
            while !wanted.is_empty() {
                let joined = flights.claim(&claimant, wanted.iter().map(|i| addrs[*i]));
                let places: Vec<usize> = joined.iter().map(|(place, _)| *place).collect();
                let mut missed = Vec::new();
                for (place, i) in wanted.iter().enumerate() {
                    if places.contains(&place) {
                        continue;
                    }
                    assert_eq!(owners[*i].fetch_add(1, SeqCst), 0, "two owners");
                    yield_now();
                    owners[*i].fetch_sub(1, SeqCst);
                    if shuttle::rand::thread_rng().gen_bool(0.3) {
                        flights.abandon([addrs[*i]]);
                        missed.push(*i);
                    } else {
                        flights.land([(addrs[*i], ())], |()| done());
                    }
                }
                for (place, landing) in joined {
                    match block_on(landing) {
                        Landing::Done { .. } => {}
                        Landing::Abandoned => missed.push(wanted[place]),
                        other => panic!("heard {other:?}"),
                    }
                }
                wanted = missed;
            }
        });
        assert!(addrs.iter().all(|addr| !flights.contains(*addr)));
    });
}

/// What a dropped request does with its steps: it abandons those for which nobody waits.
#[test]
fn who_comes_while_an_owner_looks_for_waiters_is_heard_or_owns() {
    explore(SCHEDULES, || {
        let (flights, addr) = (Arc::new(Flights::default()), CAddr::of_blob(b"a"));
        let owner = Claimant::new(0, Urgency::NONE);
        assert!(flights.claim(&owner, [addr]).is_empty());
        let shared = flights.clone();
        threads(3, move |thread| {
            if thread == 0 {
                match shared.is_awaited(addr) {
                    true => shared.land([(addr, ())], |()| done()),
                    false => shared.abandon([addr]),
                }
                return;
            }
            let claimant = Claimant::new(0, Urgency::NONE);
            while let Some((_, landing)) = shared.claim(&claimant, [addr]).pop() {
                match block_on(landing) {
                    Landing::Done { .. } => return,
                    Landing::Abandoned => {}
                    other => panic!("heard {other:?}"),
                }
            }
            shared.land([(addr, ())], |()| done());
        });
        assert!(!flights.contains(addr));
    });
}

/// The owner of a flight hears of each loan that makes a difference, and of its end.
#[test]
fn who_has_heard_all_knows_what_is_lent() {
    explore(SCHEDULES, || {
        let (flights, addr) = (Arc::new(Flights::default()), CAddr::of_blob(b"a"));
        let urgency = |priority| Urgency {
            priority,
            until: Duration::MAX,
        };
        let owner = Claimant::new(0, urgency(0));
        assert!(flights.claim(&owner, [addr]).is_empty());
        let known = Arc::new(Mutex::new((None, Vec::new())));
        let shared = (flights.clone(), owner.clone(), known.clone());
        threads(4, move |thread| {
            let (flights, owner, known) = &shared;
            if thread == 0 {
                for _ in 0..3 {
                    if !owner.take_told().is_empty() {
                        let lent = flights.lent(addr, owner);
                        known.lock().0 = lent;
                    }
                }
                return;
            }
            let waiter = Claimant::new(0, urgency(thread as i32));
            let (_, joined) = flights.claim(&waiter, [addr]).remove(0);
            match thread {
                1 => flights.raise(joined.id(), urgency(9)),
                2 => yield_now(),
                // Waits on.
                _ => return known.lock().1.push(joined),
            }
        });
        let lent = flights.lent(addr, &owner);
        if !owner.take_told().is_empty() {
            known.lock().0 = lent;
        }
        assert_eq!(known.lock().0, lent);
        assert_eq!(lent, Some(urgency(3)));
    });
}
