//! Functions that call back into deriva.
//!
//! A heavy function may ask for other addresses while it runs, and block its thread until they are
//! there. Such a nested request takes no slot of the executor and its steps get threads of their own:
//! those that it waits for would otherwise wait for the thread that waits for them. A recipe that asks in this
//! way for itself, or for what is made from it, is an error, not a wait without end. Left out: two recipes
//! whose functions ask for each other's in two requests at once.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use deriva_api::{BuildAddrHasher, CAddr, Error, ErrorKind, Result};

use crate::inner::Inner;

/// Recipes looked up at a time.
const BATCH: usize = 512;
/// How deep requests may be nested: each level blocks a thread.
const MAX_DEPTH: usize = 32;

/// The recipes whose functions are running around a request, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nesting(Arc<[CAddr]>);

thread_local! {
    /// Of the function that runs on this thread.
    static AROUND: RefCell<Option<Nesting>> = const { RefCell::new(None) };
}

tokio::task_local! {
    /// Of the request for which this task executes a step.
    static REQUEST: Nesting;
}

impl Nesting {
    /// That of a request which is made here, now.
    pub(crate) fn here() -> Self {
        AROUND.with_borrow(|around| around.clone().unwrap_or_default())
    }

    /// Whether a function asked for this.
    pub(crate) fn is_nested(&self) -> bool {
        !self.0.is_empty()
    }

    /// That of the request for which this task executes a step.
    pub(crate) fn of_request() -> Self {
        REQUEST.try_with(Clone::clone).unwrap_or_default()
    }

    /// Lets the steps that `work` executes know this nesting.
    pub(crate) async fn around<F: Future>(self, work: F) -> F::Output {
        REQUEST.scope(self, work).await
    }

    /// Calls the function of the recipe `addr` on this thread: requests made in it are nested in it.
    ///
    /// # Errors
    /// Those of `call`, and `Invalid` where functions call each other too deep.
    pub(crate) fn enter<T>(&self, addr: CAddr, call: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.0.len() >= MAX_DEPTH {
            return Err(Error::new(
                ErrorKind::Invalid,
                "functions that call back into deriva are nested too deep",
            )
            .with("depth", self.0.len())
            .hint("name what a function needs as an input of its recipe"));
        }
        let inside = Self(self.0.iter().copied().chain([addr]).collect());
        let before = AROUND.replace(Some(inside));
        // Functions that panic are caught inside `call`.
        let result = call();
        AROUND.set(before);
        result
    }

    /// Looks whether what a nested request would wait for waits itself for what the request is nested in. What
    /// lies between the two is in flight, so no more than that is walked.
    ///
    /// # Errors
    /// That of [`Nesting::deadlock`], and what the store says.
    pub(crate) async fn check(&self, inner: &Inner, mut joined: Vec<CAddr>) -> Result<()> {
        let mut walked: HashSet<CAddr, BuildAddrHasher> = joined.iter().copied().collect();
        while !joined.is_empty() {
            let batch = joined.split_off(joined.len().saturating_sub(BATCH));
            for node in inner.dag.get_many(&batch).await?.into_iter().flatten() {
                for input in node.recipe.inputs() {
                    if let Some(error) = self.deadlock(input) {
                        return Err(error);
                    }
                    if inner.flights.contains(input) && walked.insert(input) {
                        joined.push(input);
                    }
                }
            }
        }
        Ok(())
    }

    /// The error of a request that waits for what it is nested in; `None` where it does not.
    pub(crate) fn deadlock(&self, addr: CAddr) -> Option<Error> {
        self.0.contains(&addr).then(|| {
            Error::new(
                ErrorKind::Invalid,
                "a function asked for the recipe that it is computing",
            )
            .with("addr", addr)
        })
    }
}
