//! What others lend to the nodes of a run, and what the run lends on; see `claimant.rs`.
//!
//! Where nobody lends, nothing is kept and nothing costs. Where somebody does, there is the urgency of each node
//! beside the plan: that of a node which is waited for flows down to everything that it needs. A loan that grows is
//! followed down from where it grew; one that shrinks is worked out anew.

use std::collections::{BTreeMap, HashMap, VecDeque};

use deriva_api::{AddrTable, CAddr};

use super::wanted::Wanted;
use super::{Run, State};
use crate::materialize::plan::{NodeId, Task};
use crate::schedule::ReadyQueue;
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
    pub(super) joins: HashMap<NodeId, JoinId>,
    /// A result that somebody waits for is to be written soon.
    pub(super) hurry: bool,
}

/// Heavy nodes that are ready: the most urgent first, among those what somebody waits for, among those the
/// longest remaining path.
#[derive(Debug, Default)]
pub(super) struct Ready(BTreeMap<Rank, ReadyQueue>);

/// The priority of a node, and whether somebody waits for it.
type Rank = (i32, bool);

impl Ready {
    pub(super) fn push(&mut self, node: NodeId, rank: Rank, path: u64) {
        self.0.entry(rank).or_default().push(node, path);
    }

    /// The next node, its priority, and how many are as urgent.
    pub(super) fn peek(&self) -> Option<(NodeId, i32, usize)> {
        let (rank, queue) = self.0.last_key_value()?;
        Some((queue.peek()?, rank.0, queue.len()))
    }

    pub(super) fn pop(&mut self) -> Option<NodeId> {
        let mut last = self.0.last_entry()?;
        let node = last.get_mut().pop();
        if last.get().is_empty() {
            last.remove();
        }
        node
    }
}

impl Lent {
    pub(super) fn new(base: Urgency) -> Self {
        Self {
            base,
            places: AddrTable::new(),
            wanted: Wanted::default(),
            raised: Vec::new(),
            joins: HashMap::new(),
            hurry: false,
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
    fn top(&self) -> i32 {
        self.base
            .priority
            .max(self.wanted.top().unwrap_or(i32::MIN))
    }
}

impl Run {
    /// Hears what others lend by now.
    pub(super) fn hear(&mut self) {
        let told = self.claimant.take_told();
        if told.is_empty() {
            return;
        }
        let base = self.base();
        let mut anew = base != self.lent.base;
        self.lent.base = base;
        let mut grown = Vec::new();
        for addr in told {
            let Some(node) = self.claimed(addr) else {
                continue;
            };
            let lent = self.inner.flights.lent(addr, &self.claimant);
            let before = self.lent.wanted.set(node, addr, lent);
            let before = before.unwrap_or(Urgency::NONE);
            let lent = lent.unwrap_or(Urgency::NONE);
            anew |= before.and(lent) != lent;
            grown.push((node, lent));
        }
        if anew {
            self.raise_anew();
        } else {
            grown
                .into_iter()
                .for_each(|(node, lent)| self.raise(node, lent));
        }
        self.requeue();
    }

    /// Takes over what is lent to the functions that the request is nested in, before anything else is.
    pub(super) fn rebase(&mut self) {
        let base = self.base();
        if base != self.lent.base {
            self.lent.base = base;
            self.raise_anew();
            self.requeue();
        }
    }

    /// The urgency of the request, and of the functions that it is nested in.
    fn base(&self) -> Urgency {
        let lent = self.inner.nested.lent(&self.options.nesting);
        let mut base = self.claimant.own;
        base.priority = base.priority.max(lent.unwrap_or(i32::MIN));
        base
    }

    /// The open node whose claim an address is.
    fn claimed(&mut self, addr: CAddr) -> Option<NodeId> {
        let addr_of = |node| self.plan.addr(node);
        if self.lent.places.is_empty() {
            for node in 0..self.plan.len() as NodeId {
                self.lent.places.find_or_add(addr_of(node), node, addr_of);
            }
        }
        let of_resolved = || {
            let mut resolved = self.resolved.iter();
            resolved.find_map(|(node, resolved)| (*resolved == addr).then_some(*node))
        };
        let node = self.lent.places.find(&addr, addr_of).or_else(of_resolved)?;
        (self.nodes[node as usize].state == State::Open).then_some(node)
    }

    fn raise_anew(&mut self) {
        self.lent.raised.clear();
        let wanted: Vec<(NodeId, Urgency)> = self.lent.wanted.iter().collect();
        for (node, lent) in wanted {
            self.raise(node, lent);
        }
        for (node, join) in &self.lent.joins {
            self.inner.flights.raise(*join, self.lent.urgency(*node));
        }
        for node in self.executing.steps.keys() {
            self.lend_to_nested(*node);
        }
    }

    /// Lends to a node, and to everything that it needs.
    fn raise(&mut self, node: NodeId, lent: Urgency) {
        if self.lent.raised.is_empty() {
            self.lent.raised = vec![Urgency::NONE; self.plan.len()];
        }
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            let before = self.lent.raised[node as usize];
            let raised = before.and(lent);
            if raised == before || self.nodes[node as usize].state != State::Open {
                continue;
            }
            self.lent.raised[node as usize] = raised;
            if let Some(join) = self.lent.joins.get(&node) {
                self.inner.flights.raise(*join, self.lent.urgency(node));
            }
            if let Task::Compute { .. } = self.plan.task(node) {
                open.extend_from_slice(self.plan.inputs(node));
            }
            if self.executing.steps.contains_key(&node) {
                self.lend_to_nested(node);
            }
        }
    }

    /// Lends to what the function of a running node has asked for.
    pub(super) fn lend_to_nested(&self, node: NodeId) {
        let (priority, lent) = self.lent.rank(node);
        let lent = lent.then_some(priority);
        self.inner.nested.lend(self.plan.addr(node), lent);
    }

    /// Puts what is ready in its order again.
    fn requeue(&mut self) {
        let mut ready = std::mem::take(&mut self.heavy);
        while let Some(node) = ready.pop() {
            self.queue(node, false);
        }
        let light = std::mem::take(&mut self.light).into_iter();
        let (first, last): (VecDeque<_>, VecDeque<_>) =
            light.partition(|node| self.lent.rank(*node).1);
        self.light = first;
        self.light.extend(last);
        self.executing.set_top(self.lent.top());
    }

    /// A node is finished, or failed: nobody waits for it any more.
    pub(super) fn loan_ended(&mut self, node: NodeId) {
        if !self.lent.wanted.is_empty() && self.lent.wanted.end_of(node) {
            self.lent.hurry = true;
            self.executing.set_top(self.lent.top());
        }
    }
}
