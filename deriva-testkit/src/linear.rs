//! Whether the answers of concurrent calls could have come from calls made one after the other.
//!
//! This is the search of Wing and Gong with the memory of Lowe: try every call that nobody else had ended
//! before it began, and never the same remaining calls from the same state twice.

use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva_api::Result;
use parking_lot::Mutex;

use crate::cases::asserting::fail;

/// The calls on one address or name: what was asked, what was answered, and when.
pub(crate) struct History<C, A> {
    time: AtomicU64,
    events: Mutex<Vec<Event<C, A>>>,
}

struct Event<C, A> {
    call: C,
    answer: A,
    began: u64,
    ended: u64,
}

impl<C: Debug, A: Debug + PartialEq> History<C, A> {
    pub(crate) fn new() -> Self {
        Self {
            time: AtomicU64::new(0),
            events: Mutex::default(),
        }
    }

    /// Makes a call and notes it.
    pub(crate) async fn call(&self, call: C, made: impl Future<Output = Result<A>>) -> Result<()> {
        let began = self.time.fetch_add(1, Ordering::SeqCst);
        let answer = made.await?;
        let ended = self.time.fetch_add(1, Ordering::SeqCst);
        self.events.lock().push(Event {
            call,
            answer,
            began,
            ended,
        });
        Ok(())
    }

    /// Panics, showing the calls and how far an order of them was found, unless there is one in which `apply`
    /// gives the answers that were given. At most 64 calls can be judged.
    #[track_caller]
    pub(crate) fn check<S: Clone + Eq + Hash>(self, first: S, apply: impl Fn(&mut S, &C) -> A) {
        let mut events = self.events.into_inner();
        events.sort_by_key(|event| event.began);
        assert!(events.len() <= 64, "a history of {} calls", events.len());
        let mut search = Search {
            events: &events,
            apply,
            seen: HashSet::new(),
            furthest: (0, first.clone()),
        };
        if search.explains(0, first) {
            return;
        }
        let (done, state) = &search.furthest;
        let mut told = String::new();
        for (at, event) in events.iter().enumerate() {
            let explained = done & (1 << at) != 0;
            let model = (search.apply)(&mut state.clone(), &event.call);
            let model = match explained {
                true => String::new(),
                false => format!(" (the model would answer {model:?} next)"),
            };
            told += &format!("\n  {event:?}{model}");
        }
        fail(format_args!(
            "no order of these calls explains what the store answered; the furthest has {} of {}:{told}",
            done.count_ones(),
            events.len(),
        ));
    }
}

struct Search<'a, S, C, A, F> {
    events: &'a [Event<C, A>],
    apply: F,
    seen: HashSet<(u64, S)>,
    /// The most calls that an order explains, and the state after them.
    furthest: (u64, S),
}

impl<S, C, A, F> Search<'_, S, C, A, F>
where
    S: Clone + Eq + Hash,
    A: PartialEq,
    F: Fn(&mut S, &C) -> A,
{
    /// Whether the events that are not `done` can follow on this state.
    fn explains(&mut self, done: u64, state: S) -> bool {
        let left = |at: &usize| done & (1 << at) == 0;
        let earliest = (0..self.events.len())
            .filter(left)
            .map(|at| self.events[at].ended)
            .min();
        let Some(earliest) = earliest else {
            return true;
        };
        if !self.seen.insert((done, state.clone())) {
            return false;
        }
        if done.count_ones() > self.furthest.0.count_ones() {
            self.furthest = (done, state.clone());
        }
        let events = self.events;
        (0..events.len()).filter(left).any(|at| {
            let event = &events[at];
            let mut next = state.clone();
            event.began < earliest
                && (self.apply)(&mut next, &event.call) == event.answer
                && self.explains(done | 1 << at, next)
        })
    }
}

impl<C: Debug, A: Debug> Debug for Event<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}..{}: {:?} -> {:?}",
            self.began, self.ended, self.call, self.answer
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes of a value are `Some`, reads `None`; the answer is the value after it.
    fn history(events: &[(u64, u64, Option<u8>, u8)]) -> std::thread::Result<()> {
        let history = History::new();
        for (began, ended, call, answer) in events.iter().copied() {
            history.events.lock().push(Event {
                call,
                answer,
                began,
                ended,
            });
        }
        let check = || {
            history.check(0, |state, call: &Option<u8>| {
                *state = call.unwrap_or(*state);
                *state
            })
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(check))
    }

    #[test]
    fn overlapping_calls_may_take_effect_in_any_order() {
        assert!(history(&[(0, 5, Some(1), 1), (1, 2, None, 0), (3, 4, None, 1)]).is_ok());
        assert!(history(&[(0, 5, Some(1), 1), (1, 6, Some(2), 2), (7, 8, None, 1)]).is_ok());
    }

    #[test]
    fn a_value_that_goes_back_or_was_never_written_has_no_order() {
        assert!(history(&[(0, 5, Some(1), 1), (1, 2, None, 1), (3, 4, None, 0)]).is_err());
        assert!(history(&[(0, 1, Some(1), 1), (2, 3, None, 0)]).is_err());
        assert!(history(&[(0, 1, None, 7)]).is_err());
    }

    #[test]
    fn a_failure_shows_the_calls_how_far_an_order_goes_and_its_line() {
        let panic = history(&[(0, 1, Some(1), 1), (2, 3, None, 0)]).unwrap_err();
        let told = panic.downcast_ref::<String>().unwrap();
        assert!(told.contains("linear.rs:"), "{told}");
        assert!(told.contains("the furthest has 1 of 2"), "{told}");
        assert!(
            told.contains("2..3: None -> 0 (the model would answer 1 next)"),
            "{told}"
        );
    }
}
