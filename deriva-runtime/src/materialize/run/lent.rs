//! What others lend to the nodes of a run, and what the run lends on; see `claimant.rs`.
//!
//! Where nobody lends, nothing is kept and nothing costs. Where somebody does, there is the urgency of each node
//! beside the plan: that of a node which is waited for flows down to everything that it needs. A loan that grows is
//! followed down from where it grew; one that shrinks is worked out anew.

use std::collections::HashMap;

use deriva_api::{AddrTable, CAddr};

use super::Context;
use super::executing::Executing;
use super::graph::Graph;
use super::ready::Rank;
use super::wanted::Wanted;
use crate::materialize::plan::{NodeId, Task};
use crate::shared::claimant::Urgency;
use crate::shared::flights::JoinId;

/// What is lent to a run.
#[derive(Debug)]
pub(super) struct Lent {
    /// Of the request itself, with what is lent to the function that made it.
    base: Urgency,
    /// Where each address stands in the plan.
    places: AddrTable,
    /// What is lent for claims of this run.
    wanted: Wanted,
    /// For each node, what is lent to it and to what needs it; empty where nothing is.
    raised: Vec<Urgency>,
    /// What nodes of this run wait for in others.
    joins: HashMap<NodeId, JoinId>,
}

impl Lent {
    pub(super) fn new(base: Urgency) -> Self {
        Self {
            base,
            places: AddrTable::new(),
            wanted: Wanted::default(),
            raised: Vec::new(),
            joins: HashMap::new(),
        }
    }

    /// What is lent to a node.
    fn of(&self, node: NodeId) -> Urgency {
        let raised = self.raised.get(node as usize);
        raised.copied().unwrap_or(Urgency::NONE)
    }

    /// The priority of a node, and whether it goes before what nobody waits for.
    pub(super) fn rank(&self, node: NodeId) -> Rank {
        let lent = self.of(node).priority;
        match lent >= self.base.priority && lent > i32::MIN {
            true => (lent, true),
            false => (self.base.priority, false),
        }
    }

    /// The urgency of a node, lent or not.
    pub(super) fn urgency(&self, node: NodeId) -> Urgency {
        self.base.and(self.of(node))
    }

    /// The highest priority of a node of the run.
    pub(super) fn top(&self) -> i32 {
        self.base
            .priority
            .max(self.wanted.top().unwrap_or(i32::MIN))
    }

    /// A node waits for something in another request.
    pub(super) fn joins(&mut self, node: NodeId, join: JoinId) {
        self.joins.insert(node, join);
    }

    /// What a node waited for has landed.
    pub(super) fn landed(&mut self, node: NodeId) {
        self.joins.remove(&node);
    }

    /// Hears what others lend by now; answers whether anything changed.
    pub(super) fn hear(&mut self, context: &Context, graph: &Graph, executing: &Executing) -> bool {
        let told = context.claimant.take_told();
        if told.is_empty() {
            return false;
        }
        let base = base(context);
        let mut anew = base != self.base;
        self.base = base;
        let mut grown = Vec::new();
        for addr in told {
            let Some(node) = self.claimed(graph, addr) else {
                continue;
            };
            let lent = context.inner.flights.lent(addr, &context.claimant);
            let before = self.wanted.set(node, addr, lent);
            let before = before.unwrap_or(Urgency::NONE);
            let lent = lent.unwrap_or(Urgency::NONE);
            anew |= before.and(lent) != lent;
            grown.push((node, lent));
        }
        if anew {
            self.raise_anew(context, graph, executing);
        } else {
            for (node, lent) in grown {
                self.raise(context, graph, executing, node, lent);
            }
        }
        true
    }

    /// Takes over what is lent to the functions that the request is nested in, before anything else is; answers whether
    /// anything is.
    pub(super) fn rebase(
        &mut self,
        context: &Context,
        graph: &Graph,
        executing: &Executing,
    ) -> bool {
        let base = base(context);
        let changed = base != self.base;
        if changed {
            self.base = base;
            self.raise_anew(context, graph, executing);
        }
        changed
    }

    /// The open node whose claim an address is.
    fn claimed(&mut self, graph: &Graph, addr: CAddr) -> Option<NodeId> {
        let addr_of = |node| graph.plan.addr(node);
        if self.places.is_empty() {
            for node in graph.plan.nodes() {
                self.places.find_or_add(addr_of(node), node, addr_of);
            }
        }
        let of_resolved = || {
            let mut resolved = graph.all_resolved();
            resolved.find_map(|(node, resolved)| (resolved == addr).then_some(node))
        };
        let node = self.places.find(&addr, addr_of).or_else(of_resolved)?;
        graph.is_open(node).then_some(node)
    }

    fn raise_anew(&mut self, context: &Context, graph: &Graph, executing: &Executing) {
        self.raised.clear();
        let wanted: Vec<(NodeId, Urgency)> = self.wanted.iter().collect();
        for (node, lent) in wanted {
            self.raise(context, graph, executing, node, lent);
        }
        for (node, join) in &self.joins {
            context.inner.flights.raise(*join, self.urgency(*node));
        }
        for node in executing.nodes() {
            self.lend_to_nested(context, graph, node);
        }
    }

    /// Lends to a node, and to everything that it needs.
    fn raise(
        &mut self,
        context: &Context,
        graph: &Graph,
        executing: &Executing,
        node: NodeId,
        lent: Urgency,
    ) {
        if self.raised.is_empty() {
            self.raised = vec![Urgency::NONE; graph.plan.len()];
        }
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            let before = self.raised[node as usize];
            let raised = before.and(lent);
            if raised == before || !graph.is_open(node) {
                continue;
            }
            self.raised[node as usize] = raised;
            if let Some(join) = self.joins.get(&node) {
                context.inner.flights.raise(*join, self.urgency(node));
            }
            if let Task::Compute { .. } = graph.plan.task(node) {
                open.extend_from_slice(graph.plan.inputs(node));
            }
            if executing.has(node) {
                self.lend_to_nested(context, graph, node);
            }
        }
    }

    /// Lends to what the function of a running node has asked for.
    pub(super) fn lend_to_nested(&self, context: &Context, graph: &Graph, node: NodeId) {
        let (priority, lent) = self.rank(node);
        let lent = lent.then_some(priority);
        context.inner.nested.lend(graph.plan.addr(node), lent);
    }

    /// A node is finished, or failed: nobody waits for it any more. Answers whether anybody did.
    pub(super) fn ended(&mut self, node: NodeId) -> bool {
        !self.wanted.is_empty() && self.wanted.end_of(node)
    }
}

/// The urgency of a request, and of the functions that it is nested in.
fn base(context: &Context) -> Urgency {
    let lent = context.inner.nested.lent(&context.options.nesting);
    let mut base = context.claimant.own;
    base.priority = base.priority.max(lent.unwrap_or(i32::MIN));
    base
}
