//! The planner: which part of the graph must still be computed.
//!
//! Breadth-first from the requested addresses, a frontier at a time, with one bulk look-up a batch.
//! It stops at blobs, at recipes whose output is there, and at recipes that somebody else computes
//! already. Nodes are dense `u32` indices; edges are two flat arrays, and nothing is recursive.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use deriva_api::{
    BlobStat, BuildAddrHasher, CAddr, ComputeFunction, Error, ErrorKind, FunctionId, Output,
    Recipe, Result,
};
use tokio::sync::oneshot;

use crate::flights::{Claim, Landing};
use crate::inner::Inner;
use crate::survey::{Distrusted, Found, survey};

/// Index of a node in a plan.
pub(crate) type NodeId = u32;

/// How many addresses one look-up asks for.
const BATCH: usize = 2048;
/// How many missing addresses an error lists by name; the rest is counted.
const LISTED: usize = 20;

/// What is to be done with a node.
#[derive(Debug)]
pub(crate) enum Task {
    /// Nothing: these bytes are stored. `made` tells that a recipe can make them again.
    Stored { stat: BlobStat, made: bool },
    /// To be computed here.
    Compute { recipe: Recipe, function: u32 },
    /// Being computed by another request.
    Join,
}

/// A node of a plan.
#[derive(Debug)]
pub(crate) struct PlanNode {
    pub(crate) addr: CAddr,
    pub(crate) task: Task,
    /// The node through which this one was first met; its own index for a requested one.
    found_by: NodeId,
    inputs: std::ops::Range<u32>,
}

/// What must be computed for a request, and in what order it may be.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<PlanNode>,
    pub(crate) targets: Vec<NodeId>,
    pub(crate) functions: Vec<Arc<dyn ComputeFunction>>,
    /// Recorded outputs of nodes whose blob was lost: what a new computation must agree with.
    pub(crate) expected: HashMap<NodeId, Output>,
    /// Recipes whose recorded output is reused.
    pub(crate) reused: Vec<(CAddr, Output)>,
    /// Flights of others that nodes of this plan wait for.
    pub(crate) joins: Vec<(NodeId, oneshot::Receiver<Landing>)>,
    /// Number of nodes to be computed here.
    pub(crate) computes: u64,
    inputs: Vec<NodeId>,
    dependents: Vec<NodeId>,
    dependents_at: Vec<u32>,
}

impl Plan {
    /// The inputs of a node, in the recipe's order.
    pub(crate) fn inputs(&self, node: NodeId) -> &[NodeId] {
        let range = &self.nodes[node as usize].inputs;
        &self.inputs[range.start as usize..range.end as usize]
    }

    /// The nodes that have `node` among their inputs, once for each such input.
    pub(crate) fn dependents(&self, node: NodeId) -> &[NodeId] {
        let at = node as usize;
        &self.dependents[self.dependents_at[at] as usize..self.dependents_at[at + 1] as usize]
    }

    /// The path from a requested address (first) to `node` (last).
    pub(crate) fn path(&self, node: NodeId) -> Vec<CAddr> {
        let mut path = vec![self.nodes[node as usize].addr];
        let mut at = node;
        while self.nodes[at as usize].found_by != at {
            at = self.nodes[at as usize].found_by;
            path.push(self.nodes[at as usize].addr);
        }
        path.reverse();
        path
    }

    /// Turns the edges round: counting sort, in the order of nodes.
    fn link(&mut self) {
        let mut at = vec![0u32; self.nodes.len() + 1];
        for input in &self.inputs {
            at[*input as usize + 1] += 1;
        }
        for i in 1..at.len() {
            at[i] += at[i - 1];
        }
        let mut next = at.clone();
        self.dependents = vec![0; self.inputs.len()];
        for (node, planned) in self.nodes.iter().enumerate() {
            for input in &self.inputs[planned.inputs.start as usize..planned.inputs.end as usize] {
                let slot = &mut next[*input as usize];
                self.dependents[*slot as usize] = node as NodeId;
                *slot += 1;
            }
        }
        self.dependents_at = at;
    }
}

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
        self.inner
            .flights
            .land(self.addrs.drain(..).map(|addr| (addr, Landing::Abandoned)));
    }
}

/// Plans a request. The nodes to be computed are claimed: the caller must land them.
///
/// # Errors
/// `NotFound` when an address is neither blob nor recipe, `Unsupported` when a function is unknown;
/// either lists all that is missing, and nothing has been computed.
pub(crate) async fn plan(
    inner: &Arc<Inner>,
    targets: &[CAddr],
    distrusted: &Distrusted,
) -> Result<(Plan, Claims)> {
    let mut planner = Planner {
        plan: Plan::default(),
        index: HashMap::with_capacity_and_hasher(1024, BuildAddrHasher::default()),
        frontier: Vec::new(),
        missing: Vec::new(),
        unknown: BTreeSet::new(),
        claims: Claims::new(inner, Vec::new()),
    };
    for target in targets {
        let node = planner.meet(*target, None);
        planner.plan.targets.push(node);
    }
    while !planner.frontier.is_empty() {
        let frontier = std::mem::take(&mut planner.frontier);
        for batch in frontier.chunks(BATCH) {
            planner.expand(inner, batch, distrusted).await?;
        }
        tokio::task::consume_budget().await;
    }
    planner.check(targets)?;
    planner.plan.link();
    Ok((planner.plan, planner.claims))
}

struct Planner {
    plan: Plan,
    index: HashMap<CAddr, NodeId, BuildAddrHasher>,
    frontier: Vec<NodeId>,
    missing: Vec<NodeId>,
    unknown: BTreeSet<FunctionId>,
    claims: Claims,
}

impl Planner {
    /// The node of an address; a new one joins the frontier.
    fn meet(&mut self, addr: CAddr, found_by: Option<NodeId>) -> NodeId {
        let next = self.plan.nodes.len() as NodeId;
        let node = *self.index.entry(addr).or_insert(next);
        if node == next {
            self.plan.nodes.push(PlanNode {
                addr,
                task: Task::Join,
                found_by: found_by.unwrap_or(next),
                inputs: 0..0,
            });
            self.frontier.push(next);
        }
        node
    }

    async fn expand(
        &mut self,
        inner: &Inner,
        batch: &[NodeId],
        distrusted: &Distrusted,
    ) -> Result<()> {
        let addrs: Vec<CAddr> = batch
            .iter()
            .map(|node| self.plan.nodes[*node as usize].addr)
            .collect();
        let since = inner.invalidations.now();
        let landings = inner.flights.landings();
        let mut found = survey(&*inner.dag, &*inner.blobs, &addrs, distrusted).await?;
        let claimed: Vec<usize> = (0..batch.len())
            .filter(|i| matches!(found[*i], Found::Absent(_) | Found::Lost(..)))
            .collect();
        let claims = inner.flights.claim(claimed.iter().map(|i| addrs[*i]));
        let owned = claims
            .iter()
            .zip(&claimed)
            .filter(|(claim, _)| matches!(claim, Claim::Owned));
        let owned: Vec<usize> = owned.map(|(_, i)| *i).collect();
        let claimed_before = self.claims.addrs.len();
        self.claims.addrs.extend(owned.iter().map(|i| addrs[*i]));
        // A flight that landed between look-up and claim may have recorded what is now claimed. What
        // is owned cannot be recorded by others any more, so one repetition is enough.
        if landings != inner.flights.landings() {
            let again: Vec<CAddr> = owned.iter().map(|i| addrs[*i]).collect();
            let anew = survey(&*inner.dag, &*inner.blobs, &again, distrusted).await?;
            for (i, now) in owned.iter().zip(anew) {
                found[*i] = now;
            }
        }
        let mut joins: HashMap<usize, oneshot::Receiver<Landing>> = claimed
            .into_iter()
            .zip(claims)
            .filter_map(|(i, claim)| match claim {
                Claim::Joined(landing) => Some((i, landing)),
                Claim::Owned => None,
            })
            .collect();
        let mut released = Vec::new();
        for (i, (node, found)) in batch.iter().copied().zip(found).enumerate() {
            if let Some(landing) = joins.remove(&i) {
                self.plan.joins.push((node, landing));
                continue;
            }
            match found {
                Found::Leaf(stat) => {
                    self.plan.nodes[node as usize].task = Task::Stored { stat, made: false }
                }
                Found::Missing => self.missing.push(node),
                Found::Present(_, output) => {
                    if owned.binary_search(&i).is_ok() {
                        released.push((
                            addrs[i],
                            Landing::Done {
                                output,
                                blob: None,
                                stored: true,
                            },
                        ));
                    }
                    self.plan.reused.push((addrs[i], output));
                    self.plan.nodes[node as usize].task = Task::Stored {
                        stat: output.stat(),
                        made: true,
                    };
                }
                Found::Lost(recipe, output) => {
                    self.plan.expected.insert(node, output);
                    self.compute(inner, node, recipe);
                }
                Found::Absent(recipe) => self.compute(inner, node, recipe),
            }
        }
        if !released.is_empty() {
            let done: HashSet<CAddr> = released.iter().map(|(addr, _)| *addr).collect();
            let batch = self.claims.addrs.split_off(claimed_before);
            let kept = batch.into_iter().filter(|addr| !done.contains(addr));
            self.claims.addrs.extend(kept);
            inner.land_unrecorded(since, released);
        }
        Ok(())
    }

    fn compute(&mut self, inner: &Inner, node: NodeId, recipe: Recipe) {
        let Some(function) = self.function(inner, &recipe) else {
            self.unknown.insert(recipe.function());
            return;
        };
        let start = self.plan.inputs.len() as u32;
        for input in recipe.inputs() {
            let input = self.meet(input, Some(node));
            self.plan.inputs.push(input);
        }
        let planned = &mut self.plan.nodes[node as usize];
        planned.inputs = start..self.plan.inputs.len() as u32;
        planned.task = Task::Compute { recipe, function };
        self.plan.computes += 1;
    }

    /// The function of a recipe. Graphs have few functions and long runs of the same one.
    fn function(&mut self, inner: &Inner, recipe: &Recipe) -> Option<u32> {
        let same = |function: &Arc<dyn ComputeFunction>| {
            function.id().name() == recipe.name() && function.id().version() == recipe.version()
        };
        if let Some(known) = self.plan.functions.iter().rposition(same) {
            return Some(known as u32);
        }
        let function = inner.functions.lookup(recipe.name(), recipe.version())?;
        self.plan.functions.push(Arc::clone(function));
        Some(self.plan.functions.len() as u32 - 1)
    }

    fn check(&self, targets: &[CAddr]) -> Result<()> {
        if self.unknown.is_empty() && self.missing.is_empty() {
            return Ok(());
        }
        let list = |items: Vec<String>| {
            let more = items.len().saturating_sub(LISTED);
            let listed = items
                .into_iter()
                .take(LISTED)
                .collect::<Vec<_>>()
                .join(", ");
            if more == 0 {
                listed
            } else {
                format!("{listed} and {more} more")
            }
        };
        let missing = list(
            self.missing
                .iter()
                .map(|node| self.plan.nodes[*node as usize].addr.to_string())
                .collect(),
        );
        let unknown = list(self.unknown.iter().map(ToString::to_string).collect());
        let mut error = if self.missing.is_empty() {
            Error::new(
                ErrorKind::Unsupported,
                "recipes need functions that are not registered",
            )
            .hint("register them with the builder; `deriva functions` lists those that are there")
        } else {
            Error::new(
                ErrorKind::NotFound,
                "neither a blob nor a recipe is stored under an address that is needed",
            )
            .hint("put the missing blobs or insert the missing recipes, then ask again")
        };
        if let Some(node) = self.missing.first() {
            error = error.with("missing", missing).along(self.plan.path(*node));
        }
        if !self.unknown.is_empty() {
            error = error.with("unknown_functions", unknown);
        }
        if let [target] = targets {
            error = error.with("addr", target);
        }
        Err(error.during("plan"))
    }
}
