//! Nodes that wait for nothing, in the order in which they run.

use std::collections::{BTreeMap, VecDeque};

use super::graph::Way;
use crate::materialize::plan::NodeId;
use crate::schedule::ReadyQueue;

/// The priority of a node, and whether somebody waits for it.
pub(super) type Rank = (i32, bool);

#[derive(Debug)]
pub(super) struct Ready {
    /// In the order in which they became ready; before these, those that somebody waits for.
    light: VecDeque<NodeId>,
    heavy: Heavy,
    /// Nodes to be looked up under their resolved address.
    look_ups: Vec<NodeId>,
    /// The longest remaining path above each node, where there are heavy ones.
    priorities: Vec<u64>,
}

/// Heavy nodes: the most urgent first, among those what somebody waits for, among those the longest remaining path.
#[derive(Debug, Default)]
struct Heavy(BTreeMap<Rank, ReadyQueue>);

/// The heavy node that goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) node: NodeId,
    pub(super) priority: i32,
    /// How many are as urgent, itself among them.
    pub(super) equals: usize,
}

impl Ready {
    /// Nothing is ready. `priorities` has the longest remaining path above each node, or is empty where no node is
    /// heavy.
    pub(super) fn new(priorities: Vec<u64>) -> Self {
        Self {
            light: VecDeque::new(),
            heavy: Heavy::default(),
            look_ups: Vec::new(),
            priorities,
        }
    }

    pub(super) fn push(&mut self, node: NodeId, way: Way, rank: Rank) {
        match way {
            Way::LookUp => self.look_ups.push(node),
            Way::Light if rank.1 => self.light.push_front(node),
            Way::Light => self.light.push_back(node),
            Way::Heavy => {
                let path = self.priorities.get(node as usize).copied();
                self.heavy.push(node, rank, path.unwrap_or(0));
            }
        }
    }

    pub(super) fn has_look_ups(&self) -> bool {
        !self.look_ups.is_empty()
    }

    pub(super) fn look_up(&mut self, node: NodeId) {
        self.look_ups.push(node);
    }

    pub(super) fn take_look_ups(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.look_ups)
    }

    /// The number of light nodes.
    pub(super) fn light(&self) -> usize {
        self.light.len()
    }

    /// Takes the next light nodes, at the most `most` of them.
    pub(super) fn take_light(&mut self, most: usize) -> Vec<NodeId> {
        self.light.drain(..self.light.len().min(most)).collect()
    }

    pub(super) fn next_heavy(&self) -> Option<Next> {
        let (rank, queue) = self.heavy.0.last_key_value()?;
        Some(Next {
            node: queue.peek()?,
            priority: rank.0,
            equals: queue.len(),
        })
    }

    pub(super) fn pop_heavy(&mut self) -> Option<NodeId> {
        self.heavy.pop()
    }

    /// Puts everything in its order again, as ranks are not what they were.
    pub(super) fn reorder(&mut self, rank: impl Fn(NodeId) -> Rank) {
        let mut heavy = std::mem::take(&mut self.heavy);
        while let Some(node) = heavy.pop() {
            self.push(node, Way::Heavy, rank(node));
        }
        let light = std::mem::take(&mut self.light).into_iter();
        let (first, last): (VecDeque<_>, VecDeque<_>) = light.partition(|node| rank(*node).1);
        self.light = first;
        self.light.extend(last);
    }
}

impl Heavy {
    fn push(&mut self, node: NodeId, rank: Rank, path: u64) {
        self.0.entry(rank).or_default().push(node, path);
    }

    fn pop(&mut self) -> Option<NodeId> {
        let mut last = self.0.last_entry()?;
        let node = last.get_mut().pop();
        if last.get().is_empty() {
            last.remove();
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Rank = (0, false);
    const WAITED_FOR: Rank = (0, true);
    const URGENT: Rank = (5, false);

    fn heavy(ready: &mut Ready) -> Vec<NodeId> {
        std::iter::from_fn(|| ready.pop_heavy()).collect()
    }

    #[test]
    fn light_nodes_run_as_they_became_ready_after_those_that_somebody_waits_for() {
        let mut ready = Ready::new(Vec::new());
        for node in 0..4 {
            ready.push(node, Way::Light, NOBODY);
        }
        ready.push(9, Way::Light, WAITED_FOR);
        assert_eq!(ready.light(), 5);
        assert_eq!(ready.take_light(2), [9, 0]);
        ready.reorder(|node| if node == 3 { WAITED_FOR } else { NOBODY });
        assert_eq!(ready.take_light(100), [3, 1, 2]);
        assert_eq!(ready.light(), 0);
    }

    #[test]
    fn heavy_nodes_run_by_rank_and_then_by_the_path_above_them() {
        let mut ready = Ready::new(vec![10, 30, 20, 40]);
        for (node, rank) in [(0, NOBODY), (1, NOBODY), (2, WAITED_FOR), (3, NOBODY)] {
            ready.push(node, Way::Heavy, rank);
        }
        let next = |priority, node, equals| {
            Some(Next {
                node,
                priority,
                equals,
            })
        };
        assert_eq!(ready.next_heavy(), next(0, 2, 1));
        ready.reorder(|node| if node == 0 { URGENT } else { NOBODY });
        assert_eq!(ready.next_heavy(), next(5, 0, 1));
        assert_eq!(ready.pop_heavy(), Some(0));
        assert_eq!(ready.next_heavy(), next(0, 3, 3));
        assert_eq!(heavy(&mut ready), [3, 1, 2]);
        assert_eq!(ready.next_heavy(), None);
    }

    #[test]
    fn without_priorities_the_lowest_node_goes_first() {
        let mut ready = Ready::new(Vec::new());
        for node in [7, 3, 5] {
            ready.push(node, Way::Heavy, NOBODY);
        }
        assert_eq!(heavy(&mut ready), [3, 5, 7]);
    }

    #[test]
    fn look_ups_wait_by_themselves() {
        let mut ready = Ready::new(Vec::new());
        ready.push(1, Way::LookUp, NOBODY);
        ready.look_up(2);
        assert!(ready.has_look_ups());
        assert_eq!((ready.light(), ready.next_heavy()), (0, None));
        assert_eq!(ready.take_look_ups(), [1, 2]);
        assert!(!ready.has_look_ups());
    }
}
