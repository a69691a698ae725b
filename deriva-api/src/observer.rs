//! The contract of observers.

use std::sync::Arc;
use std::time::Duration;

use crate::{
    Audited, CAddr, Collected, Error, Event, Invalidated, Planned, Scrubbed, Summary, Violation,
    Work,
};

/// Is told what a deriva does. One value for each instance hears of all its requests; each request may have one more.
///
/// Every call has a default that does nothing. A closure over events is an observer that hears these alone.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use std::time::Duration;
///
/// use deriva_api::{Error, Observer, Summary};
///
/// #[derive(Default)]
/// struct Failures(AtomicU64);
///
/// impl Observer for Failures {
///     // Nothing is made for each recipe, as nobody would look at it.
///     fn wants_events(&self) -> bool {
///         false
///     }
///
///     fn request_ended(&self, ended: Result<&Summary, &Error>, _took: Duration) {
///         self.0.fetch_add(u64::from(ended.is_err()), Relaxed);
///     }
/// }
/// ```
///
/// # What implementers promise
/// - Each call returns soon and does not block: whoever is observed makes it, and waits.
/// - No call panics. Of an instance's observer a panic is caught and logged, and all goes on; of a request's own it
///   ends the request with [`Internal`](crate::ErrorKind::Internal).
/// - Any number of calls at once is accepted: requests run beside each other.
///
/// # What callers may assume
/// - The events of one request come in order, one at a time, after it began and before it ended.
/// - Whatever begins ends, and is told to have ended once: with an error of the kind
///   [`Cancelled`](crate::ErrorKind::Cancelled) where it was dropped, [`Internal`](crate::ErrorKind::Internal) where a panic
///   ended it.
pub trait Observer: Send + Sync + 'static {
    /// Whether [`Observer::event`] is to be called. Asked once for each request; default: yes. Where nobody wants
    /// events, none is made.
    fn wants_events(&self) -> bool {
        true
    }

    /// A request for N addresses began.
    fn request_began(&self, addresses: usize) {
        let _ = addresses;
    }

    /// Who else is told of a request for these addresses, which just began, and of no other: what happens during it, where
    /// that one [wants events](Observer::wants_events), and its end. So an instance's observer tells apart requests that
    /// run beside each other. Default: nobody.
    fn of_request(&self, addresses: &[CAddr]) -> Option<Arc<dyn Observer>> {
        let _ = addresses;
        None
    }

    /// Something happened during a request.
    fn event(&self, event: &Event) {
        let _ = event;
    }

    /// A part of a request was planned.
    fn planned(&self, planned: &Planned) {
        let _ = planned;
    }

    /// What requests did since this was last told: some times a second while one runs, and before it is told to have
    /// ended, however it ended.
    fn worked(&self, work: &Work) {
        let _ = work;
    }

    /// A request ended, and how long it took. With `keep_going` it may have failed in part: see [`Summary::failed`].
    fn request_ended(&self, ended: Result<&Summary, &Error>, took: Duration) {
        let _ = (ended, took);
    }

    /// A store had what one read asked for, and so there was no request; and how long that took. What the memory cache
    /// had is not told: the handle counts it.
    fn read(&self, took: Duration) {
        let _ = took;
    }

    /// Runs of a computation differ, by whomever that was found: a request, an audit, healing. The ledger has it, or
    /// it could not be written, which is tried again.
    fn violated(&self, violation: &Violation) {
        let _ = violation;
    }

    /// A collection ended, or a dry run of one ([`Collected::dry_run`]). What one took that failed is in the store's
    /// numbers alone.
    fn collected(&self, ended: Result<&Collected, &Error>) {
        let _ = ended;
    }

    /// A scrub ended.
    fn scrubbed(&self, ended: Result<&Scrubbed, &Error>) {
        let _ = ended;
    }

    /// An invalidation ended, or a dry run of one ([`Invalidated::dry_run`]).
    fn invalidated(&self, ended: Result<&Invalidated, &Error>) {
        let _ = ended;
    }

    /// An audit ended, or a dry run of one ([`Audited::dry_run`]).
    fn audited(&self, ended: Result<&Audited, &Error>) {
        let _ = ended;
    }
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}
