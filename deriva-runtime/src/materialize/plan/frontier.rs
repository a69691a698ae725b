//! One batch of the frontier: looked up, claimed, and turned into tasks.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use deriva_api::{CAddr, Error, Result};

use super::{Join, NodeId, Planner, Planning, Task};
use crate::materialize::carried::{Carried, Seen};
use crate::planted::{Fault, planted};
use crate::shared::flights::{Flights, Joined, Landing};
use crate::shared::invalidations::Revision;
use crate::shared::lookup::{Found, look_up};

/// Claims that nobody looks after yet; those still here when it is dropped are abandoned.
#[derive(Debug)]
pub(crate) struct Claims {
    flights: Arc<Flights>,
    addrs: Vec<CAddr>,
}

impl Claims {
    pub(crate) fn new(flights: &Arc<Flights>) -> Self {
        Self {
            flights: Arc::clone(flights),
            addrs: Vec::new(),
        }
    }

    /// Hands the claims over to the caller, who must land them.
    pub(crate) fn disarm(mut self) -> Vec<CAddr> {
        std::mem::take(&mut self.addrs)
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        if !planted(Fault::keeps_the_claims_of_a_failed_plan) {
            self.flights.abandon(self.addrs.drain(..));
        }
    }
}

/// What was claimed of a batch.
struct Claimed<'a> {
    addrs: &'a [CAddr],
    /// Places in `addrs`.
    places: &'a [usize],
    /// Claims of earlier batches.
    before: usize,
    /// When the batch was looked up.
    since: Revision,
}

impl Planner<'_> {
    /// Finds out what is to be done with these nodes; what they need joins the frontier.
    pub(super) async fn expand(&mut self, batch: Range<usize>, carried: &Carried) -> Result<()> {
        let Planning {
            dag,
            blobs,
            flights,
            invalidations,
            costs,
            clock,
            ledger,
            ..
        } = self.planning;
        let first = batch.start as NodeId;
        let addrs = self.plan.addrs[batch].to_vec();
        let since = invalidations.now();
        let landings = flights.landings();
        let began = clock.now();
        let lookup = look_up(dag, blobs, &addrs, carried.doubts(ledger)).await?;
        let took = clock.now().saturating_sub(began);
        costs.observe_lookup(addrs.len() as u64, took);
        let mut refused: BTreeMap<usize, Error> = BTreeMap::new();
        if !ledger.is_empty() {
            let refusal = |i: usize| {
                let function = lookup.recipe(i)?.function();
                self.planning.policies.refuses(ledger, addrs[i], &function)
            };
            let of = |i| Some((i, refusal(i)?));
            let open = (0..addrs.len()).filter(|i| lookup.is_open(*i));
            refused.extend(open.filter_map(of));
        }
        let open = |i: &usize| {
            carried.of(&addrs[*i]).is_none() && lookup.is_open(*i) && !refused.contains_key(i)
        };
        let mut open: Vec<usize> = (0..addrs.len()).filter(open).collect();
        let joined = flights.claim(&self.claimant, open.iter().map(|i| addrs[*i]));
        let mut joins: BTreeMap<usize, Joined> = joined
            .into_iter()
            .map(|(place, landing)| (open[place], landing))
            .collect();
        if !joins.is_empty() {
            open.retain(|i| !joins.contains_key(i));
        }
        let before = self.claims.addrs.len();
        self.claims.addrs.extend(open.iter().map(|i| addrs[*i]));
        // A flight that landed between look-up and claim may have recorded what is now claimed. What is
        // owned cannot be recorded by others any more, so one repetition is enough.
        let mut anew = BTreeMap::new();
        if landings != flights.landings() {
            let claimed = Claimed {
                addrs: &addrs,
                places: &open,
                before,
                since,
            };
            anew = self.look_again(claimed, carried).await?;
        }
        for (i, found) in lookup.found().enumerate() {
            let node = first + i as NodeId;
            if let Some(flight) = joins.remove(&i) {
                let satisfies = self.satisfies(&flight, addrs[i], &found);
                self.plan.joins.push(Join {
                    node,
                    flight,
                    satisfies,
                });
            } else if let Some(error) = refused.remove(&i) {
                self.plan.tasks[node as usize] = Task::Failed;
                self.plan.refused.push((node, error));
            } else if let Some(seen) = carried.of(&addrs[i]) {
                self.plan.tasks[node as usize] = match seen {
                    Seen::Held(..) => Task::Held,
                    Seen::Failed(_) => Task::Failed,
                };
            } else {
                self.assign(node, addrs[i], anew.remove(&i).unwrap_or(found));
                if let Some(output) = carried.unchecked.get(&addrs[i]) {
                    self.plan.unchecked.insert(node, *output);
                }
            }
            self.plan.inputs_at.push(self.plan.inputs.len() as u32);
        }
        Ok(())
    }

    /// Looks up again what was claimed; what is there by now is given back at once.
    async fn look_again(
        &mut self,
        claimed: Claimed<'_>,
        carried: &Carried,
    ) -> Result<BTreeMap<usize, Found>> {
        let Planning {
            dag,
            blobs,
            flights,
            invalidations,
            ledger,
            ..
        } = self.planning;
        let owned = claimed.places;
        let asked: Vec<CAddr> = owned.iter().map(|i| claimed.addrs[*i]).collect();
        let lookup = look_up(dag, blobs, &asked, carried.doubts(ledger)).await?;
        let anew: BTreeMap<usize, Found> = owned.iter().copied().zip(lookup.found()).collect();
        let done = |addr: &CAddr, i: &usize| match &anew[i] {
            Found::Present(_, output) => Some((*addr, *output)),
            _ => None,
        };
        let done: HashMap<CAddr, _> = asked
            .iter()
            .zip(owned)
            .filter_map(|(addr, i)| done(addr, i))
            .collect();
        if !done.is_empty() {
            let batch = self.claims.addrs.split_off(claimed.before);
            let kept = batch.into_iter().filter(|addr| !done.contains_key(addr));
            self.claims.addrs.extend(kept);
            let done = done.into_iter();
            let done = done.map(|(addr, output)| (addr, Landing::stored(output)));
            flights.land_unrecorded(invalidations, claimed.since, done);
        }
        Ok(anew)
    }

    /// Whether what a flight brings is checked as this request asks for.
    fn satisfies(&self, flight: &Joined, addr: CAddr, found: &Found) -> bool {
        let (Found::Absent(recipe) | Found::Lost(recipe, _)) = found else {
            return true;
        };
        let (policies, claimant) = (self.planning.policies, &self.claimant);
        !policies.checks_anything(&claimant.asked)
            || policies.are_checked(flight.owner(), claimant, addr, &recipe.function())
    }

    fn assign(&mut self, node: NodeId, addr: CAddr, found: Found) {
        match found {
            Found::Leaf(stat) => self.plan.set_stored(node, stat, false),
            Found::Missing => self.missing.push(node),
            Found::Present(_, output) => {
                self.plan.reused.push((addr, output));
                self.plan.set_stored(node, output.stat(), true);
            }
            Found::Lost(recipe, output) => {
                self.plan.expected.insert(node, output);
                self.compute(node, recipe);
            }
            Found::Absent(recipe) => self.compute(node, recipe),
        }
    }
}
