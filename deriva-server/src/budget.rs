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

/// Bytes that all calls together may hold.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Semaphore>);

/// A part of it, for as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct Charge(Option<OwnedSemaphorePermit>);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(UNIT))))
    }

    /// Room for as many bytes, if there is.
    pub(crate) fn charge(&self, bytes: usize) -> Option<Charge> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        let permit = Arc::clone(&self.0).try_acquire_many_owned(units).ok()?;
        Some(Charge(Some(permit)))
    }

    /// How many bytes of what may take `most` can be held at once, with room for them: fewer where room is short. A last few, the
    /// `least`, everybody has without asking.
    pub(crate) fn piece(&self, most: u64, least: u64) -> (u64, Charge) {
        let mut bytes = most;
        while bytes > least {
            if let Some(charge) = usize::try_from(bytes).ok().and_then(|it| self.charge(it)) {
                return (bytes, charge);
            }
            bytes /= 4;
        }
        (least, Charge::default())
    }

    #[cfg(test)]
    fn left(&self) -> usize {
        self.0.available_permits() * UNIT
    }
}

impl Charge {
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
        let budget = Budget::new(1 << 20);
        let mut first = budget.charge(1 << 19).unwrap();
        assert!(first.grow(&budget, 1 << 18));
        assert_eq!(budget.left(), 1 << 18);
        assert!(budget.charge(1 << 19).is_none());
        assert!(!first.grow(&budget, 1 << 19));
        drop(first);
        assert_eq!(budget.left(), 1 << 20);
    }

    #[test]
    fn a_piece_is_smaller_where_room_is_short_and_there_is_always_one() {
        let budget = Budget::new(1 << 20);
        let (whole, held) = budget.piece(1 << 19, 1 << 12);
        assert_eq!(whole, 1 << 19);
        let little = budget.charge(1 << 10).unwrap();
        let more: Vec<_> = std::iter::from_fn(|| {
            let (bytes, charge) = budget.piece(1 << 19, 1 << 12);
            (bytes > 1 << 12).then_some(charge)
        })
        .collect();
        assert!(more.len() > 1);
        assert_eq!(budget.piece(1 << 19, 1 << 12).0, 1 << 12);
        drop((held, little, more));
        assert_eq!(budget.left(), 1 << 20);
    }
}
