//! What a run holds in memory: a pool of live values, so that a node that needs none costs a number.
//!
//! A value goes after its last consumer. When the budget is short, values that the store has go
//! earlier and are read again when they are needed: the newest first, as those computed first are
//! needed first. Where that is not enough, values that were not to be kept are to be written all the same.

use std::time::Duration;

use deriva_api::{Blob, BlobStat, Output};

use crate::materialize::plan::{NodeId, Plan, Task};
use crate::planted::{Fault, planted};
use crate::shared::memory::Account;

/// What holding a value costs beside its bytes: its place in the pool and the header of its bytes.
const OVERHEAD: u64 = 128;

/// Where the value of a node lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u32);

impl Default for Place {
    /// Nowhere.
    fn default() -> Self {
        Self(u32::MAX)
    }
}

/// A value, and how long it took to compute.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) blob: Blob,
    cost: Duration,
}

impl Held {
    pub(super) fn output(&self) -> Output {
        Output {
            addr: self.blob.addr(),
            len: self.blob.len(),
            cost: self.cost,
        }
    }
}

/// What is known of the value of a node.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Dependents that still need it; one more for a requested node.
    consumers: u32,
    place: Place,
    /// Its blob is in the store, or will be with the batch that is being written.
    is_kept: bool,
}

/// The values of a run.
#[derive(Debug)]
pub(super) struct Values {
    nodes: Vec<Node>,
    pool: Vec<Option<Held>>,
    free: Vec<u32>,
    account: Account,
    /// Set aside for outputs that are being made.
    ahead: u64,
    /// Nodes whose value the store has too, and nodes whose value it has not; some are gone by now.
    stored: Vec<NodeId>,
    unstored: Vec<NodeId>,
}

impl Values {
    /// Nothing is held. What is stored by now is kept.
    pub(super) fn new(account: Account, plan: &Plan) -> Self {
        let node = |node| Node {
            consumers: plan.dependents(node).len() as u32,
            place: Place::default(),
            is_kept: matches!(plan.task(node), Task::Stored { .. }),
        };
        let mut nodes: Vec<Node> = plan.nodes().map(node).collect();
        for target in &plan.targets {
            nodes[*target as usize].consumers += 1;
        }
        Self {
            nodes,
            pool: Vec::new(),
            free: Vec::new(),
            account,
            ahead: 0,
            stored: Vec::new(),
            unstored: Vec::new(),
        }
    }

    /// The value of a node, if it is held.
    pub(super) fn of(&self, node: NodeId) -> Option<&Blob> {
        self.held(node).map(|held| &held.blob)
    }

    /// Address and length of a node's bytes, once they are known: in hand, or stored.
    pub(super) fn content(&self, plan: &Plan, node: NodeId) -> Option<BlobStat> {
        match self.of(node) {
            Some(blob) => Some(blob.stat()),
            None => plan.content(node),
        }
    }

    /// Values that are held and that no store has.
    pub(super) fn unkept(&self) -> impl Iterator<Item = (NodeId, &Held)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(node, at)| {
            let held = self.at(at.place).filter(|_| !at.is_kept)?;
            Some((node as NodeId, held))
        })
    }

    /// The blob of a node is in the store, or will be soon; or it is not.
    pub(super) fn set_kept(&mut self, node: NodeId, is_kept: bool) {
        self.nodes[node as usize].is_kept = is_kept;
    }

    /// Holds the value of a node while somebody needs it.
    pub(super) fn hold(&mut self, node: NodeId, blob: Blob, cost: Duration) {
        let Node {
            consumers,
            place,
            is_kept,
        } = self.nodes[node as usize];
        if consumers == 0 {
            return;
        }
        self.take(place);
        self.nodes[node as usize].place = self.add(Held { blob, cost });
        if !is_kept {
            self.unstored.push(node);
        }
    }

    /// The value of a node that was held last stays in memory as long as it is needed: it must not be recorded.
    pub(super) fn stays(&mut self, node: NodeId) {
        if self.unstored.last() == Some(&node) {
            self.unstored.pop();
        }
    }

    /// Somebody needs the value of a node no more.
    pub(super) fn release(&mut self, node: NodeId) {
        let at = &mut self.nodes[node as usize];
        at.consumers -= 1;
        if at.consumers == 0 {
            let place = std::mem::take(&mut at.place);
            self.take(place);
        }
    }

    /// Whether nothing is held beside what `may_stay`, and the account has that, no more and no less.
    pub(super) fn are_gone_but(&self, may_stay: impl Fn(NodeId) -> bool) -> bool {
        let held = self.pool.iter().flatten();
        let sizes = held.map(|held| held.blob.len() + OVERHEAD);
        let is_right =
            |(node, at): (usize, &Node)| may_stay(node as NodeId) || self.at(at.place).is_none();
        self.account.held() == sizes.sum::<u64>() + self.ahead
            && self.nodes.iter().enumerate().all(is_right)
    }

    /// The store has the values of these nodes: they may go when memory is short.
    pub(super) fn may_go(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        self.stored.extend(nodes);
        // Those that are gone by now are left behind: to look costs more than to keep their numbers, as
        // long as there are not many times more of these than nodes.
        if self.stored.len() > 2 * self.nodes.len() {
            let mut stored = std::mem::take(&mut self.stored);
            stored.retain(|node| self.of(*node).is_some());
            self.stored = stored;
        }
    }

    /// Lets stored values go until the budget is kept, and tells of each that went. Where that is not enough, answers
    /// with nodes whose values are to be written, so that they can go; these count as kept from now on.
    pub(super) fn relieve(&mut self, mut gone: impl FnMut(NodeId, BlobStat)) -> Vec<NodeId> {
        let mut excess = self.excess(0);
        while excess > 0 {
            let Some(node) = self.stored.pop() else {
                break;
            };
            let place = std::mem::take(&mut self.nodes[node as usize].place);
            if let Some(held) = self.take(place) {
                excess = excess.saturating_sub(held.blob.len() + OVERHEAD);
                gone(node, held.blob.stat());
            }
        }
        let mut spilled = Vec::new();
        while excess > 0 {
            let Some(node) = self.unstored.pop() else {
                break;
            };
            let Node { place, is_kept, .. } = self.nodes[node as usize];
            if let Some(held) = self.at(place).filter(|_| !is_kept) {
                excess = excess.saturating_sub(held.blob.len() + OVERHEAD);
                self.set_kept(node, true);
                spilled.push(node);
            }
        }
        spilled
    }

    /// The value of a node with what it cost, if it is held.
    pub(super) fn held(&self, node: NodeId) -> Option<&Held> {
        self.at(self.nodes[node as usize].place)
    }

    /// Bytes beyond the budget, were there `more`.
    pub(super) fn excess(&mut self, more: u64) -> u64 {
        self.account.excess(more)
    }

    /// Sets bytes aside for an output that is being made: they count as held.
    pub(super) fn set_aside(&mut self, bytes: u64) {
        self.ahead += bytes;
        self.account.add(bytes);
    }

    /// The output is made, or will not be.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.ahead -= bytes;
        self.account.give_back(bytes);
    }

    fn at(&self, place: Place) -> Option<&Held> {
        self.pool.get(place.0 as usize)?.as_ref()
    }

    fn add(&mut self, held: Held) -> Place {
        self.account.add(held.blob.len() + OVERHEAD);
        match self.free.pop() {
            Some(place) => {
                self.pool[place as usize] = Some(held);
                Place(place)
            }
            None => {
                self.pool.push(Some(held));
                Place(self.pool.len() as u32 - 1)
            }
        }
    }

    fn take(&mut self, place: Place) -> Option<Held> {
        let held = self.pool.get_mut(place.0 as usize)?.take()?;
        self.free.push(place.0);
        if !planted(Fault::keeps_the_bytes_of_values) {
            self.account.give_back(held.blob.len() + OVERHEAD);
        }
        Some(held)
    }
}

#[cfg(test)]
mod tests {
    use deriva_api::Weight;

    use super::*;
    use crate::materialize::plan::tests::{account, content, planned};

    const EACH: u64 = 1000 + OVERHEAD;

    fn blob(byte: u8) -> Blob {
        Blob::new(vec![byte; 1000])
    }

    fn hold(values: &mut Values, node: NodeId, kept: bool) {
        values.set_kept(node, kept);
        values.hold(node, blob(node as u8), Duration::from_secs(1));
    }

    /// 0 needs 1, 2 and twice 3, which all need the stored 4. The target is 0.
    fn plan() -> Plan {
        let inputs: &[Option<&[NodeId]>] = &[
            Some(&[1, 2, 3, 3]),
            Some(&[4]),
            Some(&[4]),
            Some(&[4]),
            None,
        ];
        planned(inputs, Weight::Light)
    }

    #[test]
    fn a_value_goes_after_its_last_consumer_and_its_bytes_with_it() {
        let plan = plan();
        let (memory, account) = account(u64::MAX);
        let mut values = Values::new(account, &plan);
        hold(&mut values, 3, true);
        hold(&mut values, 0, true);
        assert_eq!(values.of(3), Some(&blob(3)));
        assert_eq!(values.content(&plan, 3), Some(blob(3).stat()));
        assert_eq!(values.content(&plan, 4), Some(content(4).stat()));
        assert!(values.of(4).is_none() && values.content(&plan, 1).is_none());
        assert_eq!(values.account.held(), 2 * EACH);
        values.release(3);
        assert!(values.of(3).is_some());
        values.release(3);
        assert!(values.of(3).is_none());
        // Nobody needs it any more.
        hold(&mut values, 3, true);
        assert!(values.of(3).is_none());
        assert!(values.are_gone_but(|node| node == 0));
        assert!(!values.are_gone_but(|_| false));
        drop(values);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn stored_values_go_first_the_newest_before_the_others() {
        let plan = plan();
        let (_memory, account) = account(2 * EACH);
        let mut values = Values::new(account, &plan);
        for node in [1, 2, 3] {
            hold(&mut values, node, true);
            values.may_go([node]);
        }
        let mut gone = Vec::new();
        let spilled = values.relieve(|node, stat| gone.push((node, stat)));
        assert!(spilled.is_empty(), "{spilled:?}");
        assert_eq!(gone, [(3, blob(3).stat())]);
        assert!(values.of(3).is_none() && values.of(2).is_some());
        // It is read again.
        values.hold(3, blob(3), Duration::ZERO);
        assert!(values.of(3).is_some());
    }

    #[test]
    fn what_no_store_has_is_to_be_written_where_nothing_else_can_go() {
        let plan = plan();
        let (_memory, account) = account(EACH);
        let mut values = Values::new(account, &plan);
        for node in [1, 2, 3] {
            hold(&mut values, node, false);
        }
        assert_eq!(
            values.unkept().map(|(node, _)| node).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        let none_went = |node, _| panic!("{node} is in no store");
        assert_eq!(values.relieve(none_went), [3, 2]);
        assert_eq!(
            values.unkept().map(|(node, _)| node).collect::<Vec<_>>(),
            [1]
        );
        // They stay until they are written, and are not asked for twice.
        assert_eq!(
            values.held(3).unwrap().output().cost,
            Duration::from_secs(1)
        );
        assert_eq!(values.relieve(none_went), [1]);
        values.may_go([3, 2, 1]);
        let mut gone = 0;
        values.relieve(|_, _| gone += 1);
        assert_eq!(gone, 2, "until the budget is kept");
    }

    #[test]
    fn what_is_set_aside_counts() {
        let plan = plan();
        let (_memory, account) = account(2 * EACH);
        let mut values = Values::new(account, &plan);
        values.set_aside(EACH);
        hold(&mut values, 1, true);
        assert_eq!((values.excess(0), values.excess(5)), (0, 5));
        assert!(values.are_gone_but(|node| node == 1));
        values.give_back(EACH);
        assert_eq!(values.excess(EACH), 0);
    }

    #[test]
    fn numbers_of_what_is_gone_do_not_pile_up() {
        let plan = plan();
        let (_memory, account) = account(u64::MAX);
        let mut values = Values::new(account, &plan);
        hold(&mut values, 1, true);
        for _ in 0..100 {
            values.may_go([1, 2, 3]);
        }
        assert!(
            values.stored.len() <= 100 + 2 * plan.len(),
            "{}",
            values.stored.len()
        );
        assert!(values.stored.contains(&1));
    }
}
