//! What a running function may ask, and tell.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{Clock, Error, ErrorKind, Result};

/// What a heavy function may ask while it runs: whether anybody still wants its result, and how much time is left.
/// And what it may tell: how far it is.
///
/// Nothing of this may change what the function computes. One that is given up ends with an error, best that of
/// [`CallContext::check`]. Clones are one.
///
/// The default context is that of a call which nobody gives up: light functions that run beside the scheduler
/// have it.
#[derive(Clone, Default)]
pub struct CallContext(Option<Arc<Shared>>);

struct Shared {
    cancelled: AtomicBool,
    clock: Arc<dyn Clock>,
    until: Option<Duration>,
    progress: Option<Box<Progress>>,
}

/// Hears what is done, and of how much.
pub type Progress = dyn Fn(u64, Option<u64>) + Send + Sync;

impl CallContext {
    /// A context whose call may be given up, and is wanted for so long from now on; `None` for as long as it takes.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, deadline: Option<Duration>) -> Self {
        Self::telling(clock, deadline, None)
    }

    /// As [`CallContext::new`]; `progress` hears what the function tells.
    #[must_use]
    pub fn telling(
        clock: Arc<dyn Clock>,
        deadline: Option<Duration>,
        progress: Option<Box<Progress>>,
    ) -> Self {
        let until = deadline.map(|deadline| clock.now().saturating_add(deadline));
        Self(Some(Arc::new(Shared {
            cancelled: AtomicBool::new(false),
            clock,
            until,
            progress,
        })))
    }

    /// Whether the call was given up: nobody will see its result. Costs next to nothing.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let is_cancelled = |shared: &Arc<Shared>| shared.cancelled.load(Ordering::Relaxed);
        self.0.as_ref().is_some_and(is_cancelled)
    }

    /// The time for which somebody wants the result; `None` where there is no deadline. Reads a clock.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let shared = self.0.as_ref()?;
        Some(shared.until?.saturating_sub(shared.clock.now()))
    }

    /// Whether it is worth going on: to be called every few milliseconds, its error to be returned.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] where the call was given up, [`ErrorKind::Timeout`] where its time is over.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(
                ErrorKind::Cancelled,
                "the result of the function is not wanted any more",
            ));
        }
        match self.remaining() {
            Some(Duration::ZERO) => Err(Error::new(
                ErrorKind::Timeout,
                "the function was not done by its deadline",
            )),
            _ => Ok(()),
        }
    }

    /// Tells how much is done, of how much in all where that is known, in units of the function's choice. May be
    /// called as often as one likes: what is told too fast is left out.
    pub fn progress(&self, done: u64, of: Option<u64>) {
        let told = self.0.as_ref().and_then(|shared| shared.progress.as_ref());
        if let Some(told) = told {
            told(done, of);
        }
    }

    /// Gives the call up.
    pub fn cancel(&self) {
        if let Some(shared) = &self.0 {
            shared.cancelled.store(true, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("cancelled", &self.is_cancelled())
            .field("remaining", &self.remaining())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;

    #[test]
    fn the_default_is_never_given_up() {
        let context = CallContext::default();
        context.cancel();
        context.progress(1, None);
        assert!(!context.is_cancelled() && context.remaining().is_none());
        context.check().unwrap();
    }

    #[test]
    fn a_context_is_given_up_or_runs_out_of_time() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let context = CallContext::new(Arc::clone(&clock), None);
        context.check().unwrap();
        let clone = context.clone();
        context.cancel();
        assert_eq!(clone.check().unwrap_err().kind(), ErrorKind::Cancelled);
        let late = CallContext::new(clock, Some(Duration::ZERO));
        assert_eq!(late.check().unwrap_err().kind(), ErrorKind::Timeout);
        assert!(!late.is_cancelled());
    }
}
