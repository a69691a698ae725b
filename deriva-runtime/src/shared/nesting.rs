//! Functions that call back into deriva.
//!
//! A heavy function may ask for other addresses while it runs, and block its thread until they are
//! there. Such a nested request takes no slot of the executor and its steps get threads of their own:
//! those that it waits for would otherwise wait for the thread that waits for them. A recipe that asks in this
//! way for itself, for what is made from it, or for one whose function has asked for it, is an error, not a wait
//! without end. Left out: waits for somebody's resolved recipe, and what another request begins to wait for
//! after the look at it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use deriva_api::{BuildAddrHasher, CAddr, DagStore, Error, ErrorKind, Result};

use crate::planted::{Fault, planted};
use crate::shared::claimant::Claimant;
use crate::shared::flights::Flights;
use crate::shared::sync::Mutex;

/// Recipes looked up at a time.
const BATCH: usize = 512;
/// How deep requests may be nested: each level blocks a thread.
const MAX_DEPTH: usize = 32;

/// The recipes whose functions are running around a request, outermost first, and the priority of the request that
/// runs the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nesting(Arc<[CAddr]>, Option<i32>);

thread_local! {
    /// Of the function that runs on this thread.
    static INSIDE: RefCell<Option<Nesting>> = const { RefCell::new(None) };
}

tokio::task_local! {
    /// Of the request for which this task executes a step.
    static REQUEST: Nesting;
}

impl Nesting {
    /// That of a request which is made here, now.
    pub(crate) fn here() -> Self {
        INSIDE.with_borrow(|inside| inside.clone().unwrap_or_default())
    }

    /// Whether a function asked for this.
    pub(crate) fn is_nested(&self) -> bool {
        !self.0.is_empty()
    }

    /// The priority of the request whose function asks.
    pub(crate) fn priority(&self) -> i32 {
        self.1.unwrap_or(i32::MIN)
    }

    /// That of the steps of a request with this nesting and this priority.
    pub(crate) fn of_priority(&self, priority: i32) -> Self {
        Self(Arc::clone(&self.0), Some(priority))
    }

    /// That of the request for which this task executes a step.
    pub(crate) fn of_request() -> Self {
        REQUEST.try_with(Clone::clone).unwrap_or_default()
    }

    /// Lets the steps that `work` executes know this nesting.
    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
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
        let inside = Self(self.0.iter().copied().chain([addr]).collect(), self.1);
        let before = INSIDE.replace(Some(inside));
        // Functions that panic are caught inside `call`.
        let result = call();
        INSIDE.set(before);
        result
    }

    /// Notes that `claimant`, a request with this nesting, waits for `joined`, which others compute, until what is returned is
    /// dropped.
    ///
    /// # Errors
    /// That of [`Nesting::deadlock`] where one of those waits for what the request is nested in, and what the
    /// store says.
    pub(crate) async fn wait(
        &self,
        waits: &Arc<NestedWaits>,
        flights: &Flights,
        dag: &dyn DagStore,
        claimant: &Arc<Claimant>,
        joined: Vec<CAddr>,
    ) -> Result<Waiting> {
        // Added first: of two that wait for each other, one sees the other.
        let waiting = waits.add(self, claimant, &joined);
        self.check(waits, flights, dag, joined).await?;
        Ok(waiting)
    }

    /// Follows what `joined` waits for: inputs in flight, and what functions have asked for.
    async fn check(
        &self,
        waits: &NestedWaits,
        flights: &Flights,
        dag: &dyn DagStore,
        mut joined: Vec<CAddr>,
    ) -> Result<()> {
        let mut walked: HashSet<CAddr, BuildAddrHasher> = joined.iter().copied().collect();
        while !joined.is_empty() {
            let batch = joined.split_off(joined.len().saturating_sub(BATCH));
            let nodes = dag.get_many(&batch).await?;
            let inputs = nodes.iter().flatten().flat_map(|node| node.recipe.inputs());
            for addr in inputs.chain(waits.asked_by(&batch)) {
                if let Some(error) = self.deadlock(addr) {
                    return Err(error);
                }
                // The rest is done, or not begun.
                if flights.contains(addr) && walked.insert(addr) {
                    joined.push(addr);
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
                "a function asked for the recipe that it is computing, or for what waits for that",
            )
            .with("addr", addr)
            .hint("name what a function needs as an input of its recipe")
        })
    }
}

/// What nested requests wait for, of all requests.
#[derive(Debug, Default)]
pub(crate) struct NestedWaits(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    waits: BTreeMap<u64, Wait>,
    /// The priorities that are lent to recipes whose functions run.
    lent: HashMap<CAddr, i32, BuildAddrHasher>,
}

/// The recipes whose functions wait, the request that they wait for, and what that waits for.
#[derive(Debug)]
struct Wait {
    nesting: Nesting,
    claimant: Arc<Claimant>,
    joined: Vec<CAddr>,
}

/// Keeps a note of what a nested request waits for.
pub(crate) struct Waiting {
    waits: Arc<NestedWaits>,
    id: u64,
}

impl NestedWaits {
    fn add(
        self: &Arc<Self>,
        nesting: &Nesting,
        claimant: &Arc<Claimant>,
        joined: &[CAddr],
    ) -> Waiting {
        let mut state = self.0.lock();
        let id = state.next;
        state.next += 1;
        let wait = Wait {
            nesting: nesting.clone(),
            claimant: Arc::clone(claimant),
            joined: joined.to_vec(),
        };
        state.waits.insert(id, wait);
        Waiting {
            waits: Arc::clone(self),
            id,
        }
    }

    /// How many waits are state.
    pub(crate) fn in_use(&self) -> u64 {
        self.0.lock().waits.len() as u64
    }

    /// What the functions of these recipes have asked for and not been given.
    fn asked_by(&self, recipes: &[CAddr]) -> Vec<CAddr> {
        let state = self.0.lock();
        let asks = |nesting: &Nesting| nesting.0.iter().any(|addr| recipes.contains(addr));
        let waits = state.waits.values().filter(|wait| asks(&wait.nesting));
        waits.flat_map(|wait| &wait.joined).copied().collect()
    }

    /// Lends this priority, or none any more, to a recipe whose function runs: to what it asks for, that is.
    pub(crate) fn lend(&self, recipe: CAddr, priority: Option<i32>) {
        let mut state = self.0.lock();
        let before = match priority {
            Some(priority) => state.lent.insert(recipe, priority),
            None => state.lent.remove(&recipe),
        };
        if before != priority {
            let waits = state.waits.values();
            for wait in waits.filter(|wait| wait.nesting.0.contains(&recipe)) {
                wait.claimant.tell(recipe);
            }
        }
    }

    /// The priority that is lent to the functions around a request.
    pub(crate) fn lent(&self, nesting: &Nesting) -> Option<i32> {
        if !nesting.is_nested() {
            return None;
        }
        let state = self.0.lock();
        nesting
            .0
            .iter()
            .filter_map(|recipe| state.lent.get(recipe))
            .max()
            .copied()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !planted(Fault::keeps_nested_waits) {
            self.waits.0.lock().waits.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use deriva_api::{DagStore, Params, Recipe};
    use deriva_testkit::ModelStore;

    use super::*;
    use crate::shared::claimant::Urgency;

    fn nested_in(recipe: CAddr) -> Nesting {
        Nesting::default()
            .enter(recipe, || Ok(Nesting::here()))
            .unwrap()
    }

    #[tokio::test]
    async fn a_request_that_waits_for_what_it_is_nested_in_is_told_so() {
        let (waits, flights) = (Arc::<NestedWaits>::default(), Arc::<Flights>::default());
        let dag = ModelStore::new();
        let outer = CAddr::of_blob(b"outer");
        let over = |input| Recipe::new(&"f/1".parse().unwrap(), &[input], &Params::new()).unwrap();
        let recipes = [over(outer), over(CAddr::of_blob(b"leaf"))];
        dag.insert(&recipes).await.unwrap();
        let (owner, nested) = (Claimant::new(0, Urgency::NONE), nested_in(outer));
        flights.claim(&owner, [outer, recipes[0].addr(), recipes[1].addr()]);
        let wait = |joined: CAddr| nested.wait(&waits, &flights, &dag, &owner, vec![joined]);
        let error = wait(recipes[0].addr()).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let waiting = wait(recipes[1].addr()).await.unwrap();
        assert_eq!(waits.in_use(), 1);
        drop(waiting);
        assert_eq!(waits.in_use(), 0, "a wait that failed is not kept either");
    }

    #[tokio::test]
    async fn of_two_requests_that_wait_for_each_other_one_is_told() {
        let (waits, flights) = (Arc::<NestedWaits>::default(), Arc::<Flights>::default());
        let dag = ModelStore::new();
        let [one, other] = [b"one", b"two"].map(|bytes| CAddr::of_blob(bytes));
        let claimant = Claimant::new(0, Urgency::NONE);
        flights.claim(&claimant, [one, other]);
        let first = nested_in(one);
        let first = first.wait(&waits, &flights, &dag, &claimant, vec![other]);
        let _first = first.await.unwrap();
        let second = nested_in(other);
        let second = second.wait(&waits, &flights, &dag, &claimant, vec![one]);
        assert_eq!(
            second.await.map(drop).unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }

    #[test]
    fn functions_may_not_be_nested_without_end() {
        let mut nesting = Nesting::default();
        for depth in 0..MAX_DEPTH {
            let addr = CAddr::of_blob(&depth.to_le_bytes());
            nesting = nesting.enter(addr, || Ok(Nesting::here())).unwrap();
        }
        let error = nesting.enter(CAddr::MIN, || Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn the_functions_around_a_request_know_its_priority_and_what_is_lent_to_them() {
        let [outer, inner, other] = [1, 2, 3].map(|n| CAddr::of_blob(&[n]));
        let waits = NestedWaits::default();
        let here = Nesting::here();
        assert!(!here.is_nested());
        assert_eq!((here.priority(), waits.lent(&here)), (i32::MIN, None));
        let nested = here.of_priority(5).enter(outer, || {
            Nesting::here()
                .of_priority(7)
                .enter(inner, || Ok(Nesting::here()))
        });
        let nested = nested.unwrap();
        assert!(nested.is_nested() && !Nesting::here().is_nested());
        assert_eq!((nested.priority(), waits.lent(&nested)), (7, None));
        waits.lend(other, Some(9));
        assert_eq!(waits.lent(&nested), None);
        waits.lend(outer, Some(3));
        waits.lend(inner, Some(2));
        assert_eq!(waits.lent(&nested), Some(3));
        waits.lend(outer, None);
        assert_eq!(waits.lent(&nested), Some(2));
    }
}
