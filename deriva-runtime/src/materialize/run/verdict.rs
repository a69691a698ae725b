//! How a run ends: what failed, what is finished, what needs a new plan.

use std::collections::HashMap;

use deriva_api::{Blob, BlobStat, CAddr, Divergence, Error, ErrorKind, Output, Result};

use super::commit::{Recorded, Written};
use super::values::Values;
use crate::materialize::carried::{Carried, Seen};
use crate::materialize::plan::{NodeId, Plan};
use crate::shared::needed_by::LostLeaves;

/// What came of each requested address: address and length of its bytes, or why there are none; and the bytes, where
/// they are in hand.
pub(crate) type Results = Vec<(Result<BlobStat>, Option<Blob>)>;

#[derive(Debug)]
pub(super) struct Verdict {
    /// What ends the run.
    failure: Option<Error>,
    /// Why nodes have no output.
    failures: HashMap<NodeId, Error>,
    /// Requested nodes that have one.
    finished: HashMap<NodeId, BlobStat>,
    replan: bool,
    /// Blobs were found lost that the plan relied on.
    lost: bool,
    carried: Carried,
    pub(super) lost_leaves: LostLeaves,
}

impl Verdict {
    /// Nothing was found out beyond what is carried from earlier plans.
    pub(super) fn new(carried: Carried) -> Self {
        Self {
            failure: None,
            failures: HashMap::new(),
            finished: HashMap::new(),
            replan: false,
            lost: false,
            carried,
            lost_leaves: LostLeaves::default(),
        }
    }

    /// What an earlier plan found out about an address.
    pub(super) fn seen(&self, addr: &CAddr) -> Option<&Seen> {
        self.carried.of(addr)
    }

    /// A requested node is finished.
    pub(super) fn finished(&mut self, node: NodeId, stat: BlobStat) {
        self.finished.insert(node, stat);
    }

    /// A node failed, or cannot be had as something that it needs failed.
    pub(super) fn failed(&mut self, node: NodeId, error: Error) {
        self.failures.insert(node, error);
    }

    /// The run ends with this error, unless it ends with another one already.
    pub(super) fn end_with(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    /// Whether the run ends with an error.
    pub(super) fn is_failure(&self) -> bool {
        self.failure.is_some()
    }

    pub(super) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// What is left needs a new plan.
    pub(super) fn plan_anew(&mut self) {
        self.replan = true;
    }

    pub(super) fn needs_a_plan(&self) -> bool {
        self.replan
    }

    /// Blobs were found lost that the plan relied on.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Takes blobs for absent that are said to be there, until they are made again.
    pub(super) fn distrust(&mut self, lost: impl IntoIterator<Item = CAddr>) {
        let before = self.carried.distrusted.len();
        self.carried.distrusted.extend(lost);
        self.lost |= self.carried.distrusted.len() > before;
    }

    pub(super) fn distrusts(&self, content: &CAddr) -> bool {
        self.carried.distrusted.contains(content)
    }

    /// What another request computed is to be computed once more, and compared.
    pub(super) fn repeat(&mut self, addr: CAddr, output: Output) {
        self.carried.unchecked.insert(addr, Some(output));
        self.replan = true;
    }

    /// It was.
    pub(super) fn repeated(&mut self, addr: &CAddr) {
        self.carried.unchecked.remove(addr);
    }

    /// Whether what an earlier plan has in hand is doubted.
    pub(super) fn doubts(&self, addr: &CAddr) -> bool {
        self.carried.doubted.contains(addr)
    }

    /// A blob was made again.
    pub(super) fn trust(&mut self, content: &CAddr) {
        self.carried.distrusted.remove(content);
    }

    /// Takes in how writing a batch ended. Answers with what diverges from what was recorded before, where all else is
    /// stored now.
    pub(super) fn written(&mut self, written: Result<Written>) -> Option<Vec<(CAddr, Divergence)>> {
        match written {
            Ok(Written::Refused) => self.replan = true,
            Ok(Written::Recorded(Recorded { divergences, gone })) => {
                self.replan |= !gone.is_empty();
                self.distrust(gone);
                return Some(divergences);
            }
            Err(error) => self.end_with(error),
        }
        None
    }

    /// What came of each requested node.
    pub(super) fn results(&self, plan: &Plan, values: &Values) -> Results {
        let unknown = || Error::new(ErrorKind::Internal, "a request ended without a result");
        let result = |target: &NodeId| match self.finished.get(target) {
            Some(stat) => (Ok(*stat), values.of(*target).cloned()),
            None => {
                let failure = self.failures.get(target).cloned();
                (Err(failure.unwrap_or_else(unknown)), None)
            }
        };
        plan.targets.iter().map(result).collect()
    }

    /// Carries what no store has over to a next plan of the same request.
    pub(super) fn carry(
        &mut self,
        plan: &Plan,
        held: impl IntoIterator<Item = (NodeId, Output, Blob)>,
        doubted: impl IntoIterator<Item = CAddr>,
    ) {
        self.carried.doubted.extend(doubted);
        let held = held.into_iter();
        let held = held.map(|(node, output, blob)| (node, Seen::Held(output, blob)));
        let failed = self.failures.iter();
        let failed = failed.map(|(node, error)| (*node, Seen::Failed(error.clone())));
        let seen = held
            .chain(failed)
            .map(|(node, seen)| (plan.addr(node), seen));
        self.carried.add(seen);
    }

    /// What a next plan of the same request is to know.
    pub(super) fn take_carried(&mut self) -> Carried {
        std::mem::take(&mut self.carried)
    }
}
