//! The memory that bytes take on their way in and out, over all calls.

use std::sync::Arc;
use std::time::Duration;

use deriva::{Error, ErrorKind};
use deriva_proto::status_with_retry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// What is counted at a time.
const UNIT: usize = 1 << 10;
/// When it is worth to try again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Bytes that all calls together may hold: an eighth of them on their way out, the others on their way in, so that readers who
/// stop leave room for what arrives.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    arriving: Arc<Semaphore>,
    leaving: Arc<Semaphore>,
}

/// A part of it, for as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct Charge(Option<OwnedSemaphorePermit>);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let (units, leaving) = (bytes.div_ceil(UNIT), bytes.div_ceil(UNIT) / 8);
        Self {
            arriving: Arc::new(Semaphore::new(units - leaving)),
            leaving: Arc::new(Semaphore::new(leaving)),
        }
    }

    /// Room for as many bytes that arrive, if there is.
    fn charge(&self, bytes: usize) -> Option<Charge> {
        charged(&self.arriving, bytes)
    }

    /// Room for as many bytes that wait to leave, if there is.
    pub(crate) fn leaving(&self, bytes: usize) -> Option<Charge> {
        charged(&self.leaving, bytes)
    }

    /// How many bytes of what may take `most` can be held at once on their way out, with room for them: fewer where room is short. A
    /// last few, the `least`, everybody has without asking.
    pub(crate) fn piece(&self, most: u64, least: u64) -> (u64, Charge) {
        let mut bytes = most;
        while bytes > least {
            let room = usize::try_from(bytes).ok();
            if let Some(charge) = room.and_then(|it| self.leaving(it)) {
                return (bytes, charge);
            }
            bytes /= 4;
        }
        (least, Charge::default())
    }

    #[cfg(test)]
    fn left(&self) -> usize {
        self.arriving.available_permits() * UNIT
    }
}

fn charged(room: &Arc<Semaphore>, bytes: usize) -> Option<Charge> {
    let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
    let permit = Arc::clone(room).try_acquire_many_owned(units).ok()?;
    Some(Charge(Some(permit)))
}

impl Charge {
    /// Whether it is of nothing.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Takes more; answers whether there was room.
    pub(crate) fn grow(&mut self, budget: &Budget, bytes: usize) -> bool {
        match (budget.charge(bytes), &mut self.0) {
            (Some(Charge(Some(more))), Some(held)) => held.merge(more),
            (Some(more), _) => *self = more,
            (None, _) => return false,
        }
        true
    }
}

/// What a call is told that finds no room. It is not put off: who calls knows best whether to wait.
pub(crate) fn overloaded(what: &'static str) -> Status {
    let error = Error::new(ErrorKind::Full, format!("the server has {what}"));
    let error = error.hint("make the call again a little later, or fewer at once");
    status_with_retry(&error, RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_charged_is_given_back() {
        let budget = Budget::new(8 << 20);
        let mut first = budget.charge(3 << 20).unwrap();
        assert!(first.grow(&budget, 3 << 20));
        assert_eq!(budget.left(), 1 << 20);
        assert!(budget.charge(2 << 20).is_none());
        assert!(!first.grow(&budget, 2 << 20));
        drop(first);
        assert_eq!(budget.left(), 7 << 20);
    }

    #[test]
    fn a_piece_is_smaller_where_room_is_short_and_there_is_always_one() {
        let budget = Budget::new(8 << 20);
        let (whole, held) = budget.piece(1 << 19, 1 << 12);
        assert_eq!(whole, 1 << 19);
        let (little, also) = budget.piece(500 << 10, 1 << 12);
        assert_eq!(little, 500 << 10);
        // Room is left for 12 KiB: a sixteenth of what is asked for fits, and then not even that.
        let (smaller, third) = budget.piece(160 << 10, 1 << 12);
        assert_eq!(smaller, 10 << 10);
        let (least, _) = budget.piece(1 << 19, 1 << 12);
        assert_eq!(least, 1 << 12);
        // What arrives has room of its own.
        assert_eq!(budget.left(), 7 << 20);
        drop((held, also, third));
        assert_eq!(budget.piece(1 << 19, 1 << 12).0, 1 << 19);
    }
}
