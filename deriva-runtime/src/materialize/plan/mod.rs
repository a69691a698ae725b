//! The planner: which part of the graph must still be computed.
//!
//! Breadth-first from the requested addresses, with one bulk look-up a batch. It stops at blobs, at
//! recipes whose output is there, and at recipes that somebody else computes already. Nodes are dense
//! `u32` indices in the order in which they were met, so the frontier is the end of that order; what is
//! known of a node lies in flat arrays, and nothing is recursive.
//!
//! A plan has room for a number of recipes. Where the graph needs more, the planner answers with the
//! frontier that it came to: those are to be materialized first, and then it is asked again
//! (`stages.rs`).

mod error;
mod frontier;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use deriva_api::{
    AddrTable, BlobStat, BlobStore, CAddr, Clock, ComputeFunction, DagStore, Error, Executor,
    FunctionRegistry, Output, Recipe, Result,
};

use crate::materialize::carried::Carried;
use crate::shared::Inner;
use crate::shared::able::{Able, able};
use crate::shared::claimant::Claimant;
use crate::shared::costs::Costs;
use crate::shared::flights::{Flights, Joined};
use crate::shared::invalidations::Invalidations;
use crate::shared::ledger::Ledger;
use crate::shared::policy::Policies;

use error::Unable;
pub(crate) use frontier::Claims;

/// Index of a node in a plan.
pub(crate) type NodeId = u32;

/// How many addresses one look-up asks for: few enough that the answer stays in the processor's cache.
pub(crate) const BATCH: usize = 512;

/// What is to be done with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Nothing: the bytes are stored. `made` tells that a recipe can make them again.
    Stored { content: u32, made: bool },
    /// Nothing: this request has the bytes in hand.
    Held,
    /// Nothing: it failed in an earlier plan of this request.
    Failed,
    /// To be computed here.
    Compute {
        recipe: u32,
        function: u32,
        has_params: bool,
    },
    /// Being computed by another request.
    Join,
}

/// What must be computed for a request, and in what order it may be.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    addrs: Vec<CAddr>,
    tasks: Vec<Task>,
    /// The node through which each was first met; its own index for a requested one.
    found_by: Vec<NodeId>,
    inputs_at: Vec<u32>,
    inputs: Vec<NodeId>,
    dependents_at: Vec<u32>,
    dependents: Vec<NodeId>,
    /// What stored nodes hold.
    contents: Vec<BlobStat>,
    recipes: Vec<Recipe>,
    pub(crate) functions: Vec<Arc<dyn ComputeFunction>>,
    pub(crate) targets: Vec<NodeId>,
    /// Recorded outputs of nodes whose blob was lost: what a new computation must agree with.
    pub(crate) expected: HashMap<NodeId, Output>,
    /// Recipes whose recorded output is reused.
    pub(crate) reused: Vec<(CAddr, Output)>,
    /// Flights of others that nodes of this plan wait for.
    pub(crate) joins: Vec<Join>,
    /// What others computed without the checks that are asked for: to be computed again, and compared.
    pub(crate) unchecked: HashMap<NodeId, Option<Output>>,
    /// Nodes that are not to be computed, and why.
    pub(crate) refused: Vec<(NodeId, Error)>,
}

/// A flight of another that a node waits for.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) node: NodeId,
    pub(crate) flight: Joined,
    /// Whether it is checked as this request asks for.
    pub(crate) satisfies: bool,
}

impl Plan {
    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.addrs.len()
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> std::ops::Range<NodeId> {
        0..self.len() as NodeId
    }

    /// Number of nodes to be computed here.
    pub(crate) fn computes(&self) -> u64 {
        self.recipes.len() as u64
    }

    pub(crate) fn addr(&self, node: NodeId) -> CAddr {
        self.addrs[node as usize]
    }

    pub(crate) fn task(&self, node: NodeId) -> Task {
        self.tasks[node as usize]
    }

    /// The recipe of a node that is to be computed, and the index of its function.
    pub(crate) fn recipe(&self, node: NodeId) -> Option<(&Recipe, u32)> {
        match self.task(node) {
            Task::Compute {
                recipe, function, ..
            } => Some((&self.recipes[recipe as usize], function)),
            _ => None,
        }
    }

    /// The recipe of a node that is to be computed, if it has params. Where it has none it is not touched.
    pub(crate) fn with_params(&self, node: NodeId) -> Option<&Recipe> {
        match self.task(node) {
            Task::Compute {
                recipe, has_params, ..
            } if has_params => Some(&self.recipes[recipe as usize]),
            _ => None,
        }
    }

    /// Address and length of a stored node's bytes.
    pub(crate) fn content(&self, node: NodeId) -> Option<BlobStat> {
        match self.task(node) {
            Task::Stored { content, .. } => Some(self.contents[content as usize]),
            _ => None,
        }
    }

    /// From now on the bytes of a node are to be had from the store.
    pub(crate) fn set_stored(&mut self, node: NodeId, stat: BlobStat, made: bool) {
        let content = self.contents.len() as u32;
        self.contents.push(stat);
        self.tasks[node as usize] = Task::Stored { content, made };
    }

    /// The inputs of a node, in the recipe's order.
    pub(crate) fn inputs(&self, node: NodeId) -> &[NodeId] {
        &self.inputs[self.input_range(node)]
    }

    fn input_range(&self, node: NodeId) -> std::ops::Range<usize> {
        let at = node as usize;
        self.inputs_at[at] as usize..self.inputs_at[at + 1] as usize
    }

    /// The nodes that have `node` among their inputs, once for each such input.
    pub(crate) fn dependents(&self, node: NodeId) -> &[NodeId] {
        let at = node as usize;
        &self.dependents[self.dependents_at[at] as usize..self.dependents_at[at + 1] as usize]
    }

    /// All dependents, and where those of each node begin.
    pub(crate) fn edges(&self) -> (&[u32], &[NodeId]) {
        (&self.dependents_at, &self.dependents)
    }

    /// Steps from what was asked for to the node that is farthest from it: of those met last.
    pub(crate) fn depth(&self) -> u64 {
        let last = self.nodes().next_back();
        last.map_or(0, |node| self.path(node).len() as u64 - 1)
    }

    /// The path from a requested address (first) to `node` (last).
    pub(crate) fn path(&self, node: NodeId) -> Vec<CAddr> {
        let mut path = vec![self.addr(node)];
        let mut at = node;
        while self.found_by[at as usize] != at {
            at = self.found_by[at as usize];
            path.push(self.addr(at));
        }
        path.reverse();
        path
    }

    /// Turns the edges round: counting sort, in the order of nodes.
    fn link(&mut self) {
        let mut at = vec![0u32; self.len() + 1];
        for input in &self.inputs {
            at[*input as usize + 1] += 1;
        }
        for i in 1..at.len() {
            at[i] += at[i - 1];
        }
        let mut next = at.clone();
        self.dependents = vec![0; self.inputs.len()];
        for node in self.nodes() {
            for input in &self.inputs[self.input_range(node)] {
                let slot = &mut next[*input as usize];
                self.dependents[*slot as usize] = node;
                *slot += 1;
            }
        }
        self.dependents_at = at;
    }
}

/// What came of planning.
pub(crate) enum Planned {
    /// Everything that must be computed. The claims on it must be landed.
    Whole(Box<Plan>, Claims),
    /// More recipes than there is room for: what to materialize first.
    TooMany(Vec<CAddr>),
}

/// How much a plan may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Recipes, about.
    pub(crate) recipes: usize,
    /// Recipes that it holds however long they are.
    pub(crate) least: usize,
    /// Bytes of recipes, beyond these.
    pub(crate) bytes: u64,
}

impl Room {
    /// Room for N recipes more.
    pub(crate) fn more(mut self, recipes: usize) -> Self {
        self.recipes += recipes;
        self.least += recipes;
        self
    }

    fn is_used(&self, recipes: usize, bytes: u64) -> bool {
        recipes > self.recipes || (recipes > self.least && bytes > self.bytes)
    }
}

/// What the planner asks and tells: the stores, who computes what, which functions there are, and what it costs.
#[derive(Clone, Copy)]
pub(crate) struct Planning<'a> {
    pub(crate) dag: &'a dyn DagStore,
    pub(crate) blobs: &'a dyn BlobStore,
    pub(crate) functions: &'a FunctionRegistry,
    pub(crate) executor: &'a dyn Executor,
    pub(crate) flights: &'a Arc<Flights>,
    pub(crate) invalidations: &'a Invalidations,
    pub(crate) costs: &'a Costs,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) ledger: &'a Ledger,
    pub(crate) policies: &'a Policies,
}

impl<'a> Planning<'a> {
    pub(crate) fn of(inner: &'a Inner) -> Self {
        Self {
            dag: &*inner.dag,
            blobs: &*inner.blobs,
            functions: &inner.functions,
            executor: &*inner.executor,
            flights: &inner.flights,
            invalidations: &inner.invalidations,
            costs: &inner.costs,
            clock: &*inner.clock,
            ledger: &inner.ledger,
            policies: &inner.policies,
        }
    }
}

/// Plans a request, for about as much as there is room for. The nodes to be computed are claimed.
///
/// # Errors
/// `NotFound` when an address is neither blob nor recipe, `Unsupported` when a function is unknown or the executor
/// lacks it; either lists all that is missing, and nothing has been computed.
pub(crate) async fn plan(
    planning: Planning<'_>,
    claimant: &Arc<Claimant>,
    targets: &[CAddr],
    carried: &Carried,
    room: Room,
) -> Result<Planned> {
    let mut planner = Planner {
        plan: Plan {
            inputs_at: vec![0],
            ..Plan::default()
        },
        index: AddrTable::new(),
        missing: Vec::new(),
        unable: Unable::default(),
        claims: Claims::new(planning.flights),
        planning,
        bytes: 0,
        claimant: Arc::clone(claimant),
    };
    for target in targets {
        let node = planner.meet(*target, None);
        planner.plan.targets.push(node);
    }
    let mut next = 0;
    while next < planner.plan.len() {
        if room.is_used(planner.plan.recipes.len(), planner.bytes) {
            planner.check(targets)?;
            return Ok(Planned::TooMany(planner.plan.addrs.split_off(next)));
        }
        let end = planner.plan.len().min(next + BATCH);
        planner.expand(next..end, carried).await?;
        next = end;
        tokio::task::consume_budget().await;
    }
    planner.check(targets)?;
    planner.plan.link();
    Ok(Planned::Whole(Box::new(planner.plan), planner.claims))
}

struct Planner<'a> {
    planning: Planning<'a>,
    plan: Plan,
    index: AddrTable,
    missing: Vec<NodeId>,
    unable: Unable,
    claims: Claims,
    /// How long the plan's recipes are together.
    bytes: u64,
    claimant: Arc<Claimant>,
}

impl Planner<'_> {
    /// The node of an address; a new one joins the frontier.
    fn meet(&mut self, addr: CAddr, found_by: Option<NodeId>) -> NodeId {
        let addrs = &mut self.plan.addrs;
        let next = addrs.len() as NodeId;
        let (node, new) = (self.index).find_or_add(addr, next, |node| addrs[node as usize]);
        if new {
            addrs.push(addr);
            self.plan.tasks.push(Task::Join);
            self.plan.found_by.push(found_by.unwrap_or(node));
        }
        node
    }

    fn compute(&mut self, node: NodeId, recipe: Recipe) {
        for input in recipe.inputs() {
            let input = self.meet(input, Some(node));
            self.plan.inputs.push(input);
        }
        // What lies below is looked at all the same: it may lack more.
        let Some(function) = self.function(&recipe) else {
            return;
        };
        self.plan.tasks[node as usize] = Task::Compute {
            recipe: self.plan.recipes.len() as u32,
            function,
            has_params: recipe.has_params(),
        };
        self.bytes += recipe.canonical().len() as u64;
        self.plan.recipes.push(recipe);
    }

    /// The function of a recipe. Graphs have few functions and long runs of the same one.
    fn function(&mut self, recipe: &Recipe) -> Option<u32> {
        let same = |function: &Arc<dyn ComputeFunction>| recipe.applies(function.id());
        if let Some(at) = self.plan.functions.iter().rposition(same) {
            return Some(at as u32);
        }
        match able(self.planning.functions, self.planning.executor, recipe) {
            Able::Yes(function) => self.plan.functions.push(function),
            Able::Unknown(id) => {
                self.unable.unknown.insert(id);
                return None;
            }
            Able::Lacking(id) => {
                self.unable.lacking.insert(id);
                return None;
            }
        }
        Some(self.plan.functions.len() as u32 - 1)
    }

    fn check(&self, targets: &[CAddr]) -> Result<()> {
        match error::incomplete(
            &self.plan,
            &self.missing,
            &self.unable,
            self.planning.functions,
        ) {
            Some(error) => Err(about(error, targets)),
            None => Ok(()),
        }
    }
}

fn about(error: Error, targets: &[CAddr]) -> Error {
    let error = match targets {
        [target] => error.with("addr", target),
        _ => error,
    };
    error.during("plan")
}
