//! One batch of the frontier: looked up, claimed, and turned into tasks.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use deriva_api::{CAddr, Result};

use super::{NodeId, Planner, Task};
use crate::materialize::carried::{Carried, Seen};
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::flights::{Joined, Landing};
use crate::shared::invalidations::Revision;
use crate::shared::lookup::{Found, look_up};

/// Claims that nobody looks after yet; those still here when it is dropped are abandoned.
#[derive(Debug)]
pub(crate) struct Claims {
    inner: Arc<Inner>,
    addrs: Vec<CAddr>,
}

impl Claims {
    pub(crate) fn new(inner: &Arc<Inner>, addrs: Vec<CAddr>) -> Self {
        Self {
            inner: Arc::clone(inner),
            addrs,
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
            self.inner.flights.abandon(self.addrs.drain(..));
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

impl Planner {
    /// Finds out what is to be done with these nodes; what they need joins the frontier.
    pub(super) async fn expand(
        &mut self,
        inner: &Inner,
        batch: Range<usize>,
        carried: &Carried,
    ) -> Result<()> {
        let first = batch.start as NodeId;
        let addrs = self.plan.addrs[batch].to_vec();
        let since = inner.invalidations.now();
        let landings = inner.flights.landings();
        let began = inner.clock.now();
        let lookup = look_up(&*inner.dag, &*inner.blobs, &addrs, &carried.distrusted).await?;
        let took = inner.clock.now().saturating_sub(began);
        inner.costs.observe_lookup(addrs.len() as u64, took);
        let open = |i: &usize| carried.of(&addrs[*i]).is_none() && lookup.is_open(*i);
        let mut open: Vec<usize> = (0..addrs.len()).filter(open).collect();
        let joined = inner
            .flights
            .claim(&self.claimant, open.iter().map(|i| addrs[*i]));
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
        if landings != inner.flights.landings() {
            let claimed = Claimed {
                addrs: &addrs,
                places: &open,
                before,
                since,
            };
            anew = self.look_again(inner, claimed, carried).await?;
        }
        for (i, found) in lookup.found().enumerate() {
            let node = first + i as NodeId;
            if let Some(landing) = joins.remove(&i) {
                self.plan.joins.push((node, landing));
            } else if let Some(seen) = carried.of(&addrs[i]) {
                self.plan.tasks[node as usize] = match seen {
                    Seen::Held(..) => Task::Held,
                    Seen::Failed(_) => Task::Failed,
                };
            } else {
                self.assign(inner, node, addrs[i], anew.remove(&i).unwrap_or(found));
            }
            self.plan.inputs_at.push(self.plan.inputs.len() as u32);
        }
        Ok(())
    }

    /// Looks up again what was claimed; what is there by now is given back at once.
    async fn look_again(
        &mut self,
        inner: &Inner,
        claimed: Claimed<'_>,
        carried: &Carried,
    ) -> Result<BTreeMap<usize, Found>> {
        let owned = claimed.places;
        let asked: Vec<CAddr> = owned.iter().map(|i| claimed.addrs[*i]).collect();
        let lookup = look_up(&*inner.dag, &*inner.blobs, &asked, &carried.distrusted).await?;
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
            let stored = |output| Landing::Done {
                output,
                blob: None,
                stored: true,
            };
            let done = done
                .into_iter()
                .map(|(addr, output)| (addr, stored(output)));
            inner.land_unrecorded(claimed.since, done);
        }
        Ok(anew)
    }

    fn assign(&mut self, inner: &Inner, node: NodeId, addr: CAddr, found: Found) {
        match found {
            Found::Leaf(stat) => self.plan.set_stored(node, stat, false),
            Found::Missing => self.missing.push(node),
            Found::Present(_, output) => {
                self.plan.reused.push((addr, output));
                self.plan.set_stored(node, output.stat(), true);
            }
            Found::Lost(recipe, output) => {
                self.plan.expected.insert(node, output);
                self.compute(inner, node, recipe);
            }
            Found::Absent(recipe) => self.compute(inner, node, recipe),
        }
    }
}
