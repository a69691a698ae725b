//! What others lend for the claims of a run. Whoever asks for the same wide graph waits for each of its nodes, so
//! nothing here is as long as all that is wanted, but to go through it.

use std::collections::{BTreeMap, HashMap};

use deriva_api::CAddr;

use crate::materialize::plan::NodeId;
use crate::shared::claimant::Urgency;

/// By node, and of that by what is waited for: its own address, its resolved one, or both.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    of_nodes: HashMap<NodeId, Vec<(CAddr, Urgency)>>,
    /// How often each priority is lent.
    priorities: BTreeMap<i32, usize>,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.of_nodes.is_empty()
    }

    /// The highest priority that is lent.
    pub(super) fn top(&self) -> Option<i32> {
        self.priorities.last_key_value().map(|(top, _)| *top)
    }

    /// Each loan, with its node.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, Urgency)> {
        let all = self.of_nodes.iter();
        all.flat_map(|(node, loans)| loans.iter().map(|(_, urgency)| (*node, *urgency)))
    }

    /// Notes what is lent for an address of a node by now, if anything; answers with what was lent before.
    pub(super) fn set(
        &mut self,
        node: NodeId,
        addr: CAddr,
        lent: Option<Urgency>,
    ) -> Option<Urgency> {
        let loans = self.of_nodes.entry(node).or_default();
        let place = loans.iter().position(|(of, _)| *of == addr);
        let before = place.map(|place| loans.swap_remove(place).1);
        loans.extend(lent.map(|lent| (addr, lent)));
        if loans.is_empty() {
            self.of_nodes.remove(&node);
        }
        if let Some(before) = before {
            self.end(before.priority);
        }
        if let Some(lent) = lent {
            *self.priorities.entry(lent.priority).or_default() += 1;
        }
        before
    }

    /// Ends all that is lent to a node; answers whether anything was.
    pub(super) fn end_of(&mut self, node: NodeId) -> bool {
        let Some(loans) = self.of_nodes.remove(&node) else {
            return false;
        };
        for (_, urgency) in loans {
            self.end(urgency.priority);
        }
        true
    }

    fn end(&mut self, priority: i32) {
        if let Some(count) = self.priorities.get_mut(&priority) {
            *count -= 1;
            if *count == 0 {
                self.priorities.remove(&priority);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn urgency(priority: i32) -> Urgency {
        let until = Duration::MAX;
        Urgency { priority, until }
    }

    #[test]
    fn what_is_lent_is_known_by_node_and_address_and_so_is_the_highest() {
        let (own, resolved) = (CAddr::of_blob(b"own"), CAddr::of_blob(b"resolved"));
        let mut wanted = Wanted::default();
        assert_eq!(wanted.set(1, own, Some(urgency(5))), None);
        assert_eq!(wanted.set(1, resolved, Some(urgency(9))), None);
        assert_eq!(wanted.set(2, own, Some(urgency(5))), None);
        assert_eq!(wanted.top(), Some(9));
        // Another loan for the same address takes the place of the one before.
        assert_eq!(wanted.set(1, resolved, Some(urgency(7))), Some(urgency(9)));
        assert_eq!(wanted.top(), Some(7));
        assert_eq!(wanted.set(1, resolved, None), Some(urgency(7)));
        assert_eq!(wanted.set(1, resolved, None), None);
        assert_eq!(wanted.top(), Some(5));
        let mut all: Vec<NodeId> = wanted.iter().map(|(node, _)| node).collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
        assert!(wanted.end_of(1) && !wanted.end_of(1));
        assert_eq!(wanted.top(), Some(5));
        assert!(wanted.end_of(2) && wanted.is_empty());
        assert_eq!(wanted.top(), None);
    }
}
