//! What differs between the graphs of two addresses: "why did it recompute?"
//!
//! Both graphs are walked in parallel from the two addresses, a frontier of pairs at a time with one bulk
//! look-up a batch. Equal addresses name equal graphs, so the walk ends there: it takes time and memory in
//! proportion to what differs, however large the graphs are. Each pair is compared once, nothing recurses.

use std::collections::{BTreeSet, HashMap, HashSet};

use deriva_api::diff::{Diff, Difference, DifferenceKind, Passed};
use deriva_api::{BuildAddrHasher, CAddr, DagStore, FunctionId, Node, Params, Recipe, Result};

use crate::shared::Deriva;

/// Pairs in one look-up.
const BATCH: usize = 1024;
/// Pairs that are compared at the most: graphs that have nothing to do with each other could otherwise pair
/// every node with every other.
const MAX_PAIRS: usize = 1_000_000;
/// Recipes of a path that a difference lists.
const PATH: usize = 32;

impl Deriva {
    /// Differences that [`Deriva::diff`] answers with at the most.
    pub const DIFFERENCES: usize = 1000;

    /// What differs between the graphs of two addresses; up to [`Deriva::DIFFERENCES`] of it.
    ///
    /// Inputs are paired by position. Where there are more or fewer than before, equal ones are paired
    /// first, the rest in their order.
    ///
    /// # Errors
    /// What the store says. An address that is no recipe is taken for a blob, stored or not.
    pub async fn diff(&self, before: CAddr, after: CAddr) -> Result<Diff> {
        self.diff_up_to(before, after, Self::DIFFERENCES).await
    }

    /// What differs between the graphs of two addresses: the first `limit` differences, of any number.
    ///
    /// # Errors
    /// As [`Deriva::diff`].
    pub async fn diff_up_to(&self, before: CAddr, after: CAddr, limit: usize) -> Result<Diff> {
        let mut walk = Walk {
            limit,
            ..Walk::default()
        };
        walk.meet(before, after, None);
        let mut next = 0;
        while next < walk.pairs.len() && !walk.diff.truncated {
            let batch = next..walk.pairs.len().min(next + BATCH);
            next = batch.end;
            let nodes = walk.recipes(&*self.inner.dag, batch.clone()).await?;
            for pair in batch {
                walk.compare(pair as u32, &nodes)?;
            }
        }
        Ok(walk.diff)
    }
}

type Nodes = HashMap<CAddr, Node, BuildAddrHasher>;

/// Two addresses to be compared, and how they were met.
#[derive(Debug)]
struct Pair {
    before: CAddr,
    after: CAddr,
    /// The pair above, and which of its inputs this is.
    above: Option<(u32, u32)>,
    /// The function of the recipe now, once it is known.
    function: Option<FunctionId>,
}

#[derive(Debug, Default)]
struct Walk {
    /// In the order in which they were met: the rest of them is the frontier.
    pairs: Vec<Pair>,
    met: HashSet<(CAddr, CAddr)>,
    diff: Diff,
    limit: usize,
}

impl Walk {
    fn meet(&mut self, before: CAddr, after: CAddr, above: Option<(u32, u32)>) {
        if before == after || !self.met.insert((before, after)) {
            return;
        }
        if self.pairs.len() >= MAX_PAIRS {
            self.diff.truncated = true;
            return;
        }
        self.pairs.push(Pair {
            before,
            after,
            above,
            function: None,
        });
    }

    async fn recipes(&self, dag: &dyn DagStore, batch: std::ops::Range<usize>) -> Result<Nodes> {
        let pairs = self.pairs[batch].iter();
        let addrs: BTreeSet<CAddr> = pairs.flat_map(|pair| [pair.before, pair.after]).collect();
        let addrs: Vec<CAddr> = addrs.into_iter().collect();
        let found = dag.get_many(&addrs).await?;
        let found = addrs.into_iter().zip(found);
        Ok(found
            .filter_map(|(addr, node)| Some((addr, node?)))
            .collect())
    }

    fn compare(&mut self, at: u32, nodes: &Nodes) -> Result<()> {
        self.diff.compared += 1;
        let (before, after) = {
            let pair = &mut self.pairs[at as usize];
            let (before, after) = (nodes.get(&pair.before), nodes.get(&pair.after));
            pair.function = after.map(|node| node.recipe.function());
            (before, after)
        };
        match (before, after) {
            (Some(before), Some(after)) => {
                self.functions(at, &before.recipe, &after.recipe);
                self.params(at, &before.recipe, &after.recipe)?;
                self.inputs(at, &before.recipe, &after.recipe);
            }
            (None, None) => self.differs(at, DifferenceKind::BlobChanged),
            (None, Some(_)) => self.differs(at, DifferenceKind::BlobBecameRecipe),
            (Some(_), None) => self.differs(at, DifferenceKind::RecipeBecameBlob),
        }
        Ok(())
    }

    fn functions(&mut self, at: u32, before: &Recipe, after: &Recipe) {
        let ids = || (before.function(), after.function());
        if before.name() != after.name() {
            let (from, to) = ids();
            self.differs(at, DifferenceKind::FunctionChanged { from, to });
        } else if before.version() != after.version() {
            let (from, to) = ids();
            self.differs(at, DifferenceKind::VersionChanged { from, to });
        }
    }

    fn params(&mut self, at: u32, before: &Recipe, after: &Recipe) -> Result<()> {
        if before.params_bytes() == after.params_bytes() {
            return Ok(());
        }
        let (before, after) = (before.params()?, after.params()?);
        let names = |params: &Params| params.iter().map(|(name, _)| name.to_owned()).collect();
        let mut all: BTreeSet<String> = names(&before);
        all.append(&mut names(&after));
        for name in all {
            let (from, to) = (before.get(&name).cloned(), after.get(&name).cloned());
            if from != to {
                self.differs(at, DifferenceKind::ParamChanged { name, from, to });
            }
        }
        Ok(())
    }

    fn inputs(&mut self, at: u32, before: &Recipe, after: &Recipe) {
        let before: Vec<CAddr> = before.inputs().collect();
        let after: Vec<CAddr> = after.inputs().collect();
        if before == after {
            return;
        }
        let same_number = before.len() == after.len();
        if same_number && sorted(&before) == sorted(&after) {
            self.differs(at, DifferenceKind::InputsReordered);
            return;
        }
        let (old, new) = match same_number {
            true => (places(&before), places(&after)),
            false => unmatched(&before, &after),
        };
        let paired = old.len().min(new.len());
        for (old, new) in old.iter().zip(&new) {
            self.meet(
                before[*old as usize],
                after[*new as usize],
                Some((at, *new)),
            );
        }
        for input in old.into_iter().skip(paired) {
            let addr = before[input as usize];
            self.differs(at, DifferenceKind::InputRemoved { input, addr });
        }
        for input in new.into_iter().skip(paired) {
            let addr = after[input as usize];
            self.differs(at, DifferenceKind::InputAdded { input, addr });
        }
    }

    fn differs(&mut self, at: u32, kind: DifferenceKind) {
        if self.diff.differences.len() >= self.limit {
            self.diff.truncated = true;
            return;
        }
        let (path, above) = self.path(at);
        let pair = &self.pairs[at as usize];
        let mut difference = Difference::new(pair.before, pair.after, kind);
        difference.path = path;
        difference.above = above;
        difference.function.clone_from(&pair.function);
        self.diff.differences.push(difference);
    }

    /// The way down to a pair, and how much of it was left out at the top.
    fn path(&self, at: u32) -> (Vec<Passed>, u64) {
        let mut path = Vec::new();
        let mut above = 0;
        let mut next = self.pairs[at as usize].above;
        while let Some((pair, input)) = next {
            let pair = &self.pairs[pair as usize];
            next = pair.above;
            match &pair.function {
                Some(function) if path.len() < PATH => {
                    path.push(Passed::new(
                        pair.before,
                        pair.after,
                        function.clone(),
                        input,
                    ));
                }
                _ => above += 1,
            }
        }
        path.reverse();
        (path, above)
    }
}

fn sorted(addrs: &[CAddr]) -> Vec<CAddr> {
    let mut addrs = addrs.to_vec();
    addrs.sort_unstable();
    addrs
}

fn places(addrs: &[CAddr]) -> Vec<u32> {
    (0..addrs.len() as u32).collect()
}

/// The places that are left on both sides when equal addresses have been paired, the first ones first.
fn unmatched(before: &[CAddr], after: &[CAddr]) -> (Vec<u32>, Vec<u32>) {
    (left(before, after), left(after, before))
}

/// The places of what `other` has not, or not as often.
fn left(addrs: &[CAddr], other: &[CAddr]) -> Vec<u32> {
    let mut unpaired: HashMap<CAddr, u32, BuildAddrHasher> = HashMap::default();
    for addr in other {
        *unpaired.entry(*addr).or_default() += 1;
    }
    let mut paired = |addr: &CAddr| match unpaired.get_mut(addr) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    let places = (0u32..).zip(addrs);
    let places = places.filter(|(_, addr)| !paired(addr));
    places.map(|(place, _)| place).collect()
}
