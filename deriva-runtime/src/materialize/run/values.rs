//! What a run holds in memory: a pool of live values, so that a node that needs none costs a number.
//!
//! A value goes after its last consumer. When the budget is short, values that the store has go
//! earlier and are read again when they are needed: the newest first, as those computed first are
//! needed first. Where that is not enough, values that were not to be kept are written all the same.

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Blob, Output, Record};

use super::{NodeState, Run};
use crate::materialize::plan::{NodeId, Task};
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::memory::Account;

/// What holding a value costs beside its bytes: its place in the pool and the header of its bytes.
const OVERHEAD: u64 = 128;

/// Where the value of a node lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

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
    pub(super) cost: Duration,
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

/// The values of a run.
#[derive(Debug)]
pub(super) struct Values {
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
    pub(super) fn new(inner: &Arc<Inner>) -> Self {
        Self {
            pool: Vec::new(),
            free: Vec::new(),
            account: inner.memory.account(),
            ahead: 0,
            stored: Vec::new(),
            unstored: Vec::new(),
        }
    }

    pub(super) fn get(&self, place: Place) -> Option<&Held> {
        self.pool.get(place.0 as usize)?.as_ref()
    }

    /// Whether the account has what the values take, no more and no less.
    fn are_accounted_for(&self) -> bool {
        let held = self.pool.iter().flatten();
        let sizes = held.map(|held| held.blob.len() + OVERHEAD);
        self.account.held() == sizes.sum::<u64>() + self.ahead
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

impl Run {
    pub(super) fn value(&self, node: NodeId) -> Option<&Blob> {
        let place = self.nodes[node as usize].value;
        self.values.get(place).map(|held| &held.blob)
    }

    /// Holds the value of a node while somebody needs it.
    pub(super) fn hold(&mut self, node: NodeId, blob: Blob, cost: Duration) {
        let at = &mut self.nodes[node as usize];
        if at.consumers == 0 {
            return;
        }
        self.values.take(at.value);
        at.value = self.values.add(Held { blob, cost });
        if !at.is_kept {
            self.values.unstored.push(node);
        }
    }

    /// A node needs the value of one of its inputs no more.
    pub(super) fn release(&mut self, input: NodeId) {
        let at = &mut self.nodes[input as usize];
        at.consumers -= 1;
        if at.consumers == 0 {
            self.values.take(std::mem::take(&mut at.value));
        }
    }

    /// Whether nothing is held beside the values of targets, as it must be when all is finished.
    pub(super) fn holds_targets_alone(&self) -> bool {
        let is_right = |at: &NodeState| at.is_target || self.values.get(at.value).is_none();
        self.values.are_accounted_for() && self.nodes.iter().all(is_right)
    }

    /// The store has the values of these nodes: they may go when memory is short.
    pub(super) fn may_go(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        self.values.stored.extend(nodes);
        // Those that are gone by now are left behind: to look costs more than to keep their numbers, as
        // long as there are not many times more of these than nodes.
        if self.values.stored.len() > 2 * self.plan.len() {
            let mut stored = std::mem::take(&mut self.values.stored);
            stored.retain(|node| self.values.get(self.nodes[*node as usize].value).is_some());
            self.values.stored = stored;
        }
    }

    /// Lets values go, or has them written so that they can, until the budget is kept.
    pub(super) fn relieve(&mut self) {
        let mut excess = self.values.excess(0);
        while excess > 0 {
            let Some(node) = self.values.stored.pop() else {
                break;
            };
            let place = std::mem::take(&mut self.nodes[node as usize].value);
            // A leaf was read; everything else was made.
            let made = !matches!(self.plan.task(node), Task::Stored { made: false, .. });
            if let Some(held) = self.values.take(place) {
                excess = excess.saturating_sub(held.blob.len() + OVERHEAD);
                self.plan.set_stored(node, held.blob.stat(), made);
            }
        }
        while excess > 0 {
            let Some(node) = self.values.unstored.pop() else {
                return;
            };
            excess = excess.saturating_sub(self.spill(node));
        }
    }

    /// Has a value written that was not to be kept; answers how many bytes may go when that is done.
    fn spill(&mut self, node: NodeId) -> u64 {
        let at = &mut self.nodes[node as usize];
        let Some(held) = self.values.get(at.value).filter(|_| !at.is_kept) else {
            return 0;
        };
        at.is_kept = true;
        let record = Record {
            addr: self.plan.addr(node),
            resolved: None,
            output: held.output(),
        };
        let (blob, len) = (held.blob.clone(), held.blob.len());
        self.batch.add(node, record, Some(blob), false);
        self.commit(true);
        len + OVERHEAD
    }
}
