//! Inputs that were there when the plan was made, and could not be read.

use deriva_api::{CAddr, Error, ErrorKind};

use super::Run;
use crate::materialize::plan::{NodeId, Task};

/// An input of a node that could not be read, and why.
pub(super) struct Unread {
    pub(super) input: NodeId,
    pub(super) error: Error,
}

impl Run {
    /// Takes blobs for absent that are said to be there, until they are made again.
    pub(super) fn distrust(&mut self, lost: impl IntoIterator<Item = CAddr>) {
        let before = self.carried.distrusted.len();
        self.carried.distrusted.extend(lost);
        self.lost |= self.carried.distrusted.len() > before;
    }

    /// Inputs of a node could not be read. Where all of them are damaged or gone and recipes can make
    /// them again, that is left to a new plan.
    pub(super) async fn lost(&mut self, node: NodeId, inputs: Vec<Unread>) {
        let mut gone = Vec::new();
        let mut damaged = Vec::new();
        for Unread { input, error } in inputs {
            let made = matches!(self.plan.task(input), Task::Stored { made: true, .. });
            let stat = self.plan.content(input).filter(|_| made);
            match (stat, error.kind()) {
                (Some(stat), ErrorKind::Corrupt) => damaged.push(stat.addr),
                (Some(stat), ErrorKind::NotFound) => gone.push(stat.addr),
                (None, ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    let leaf = self.plan.addr(input);
                    let error = self.lost_leaves.name(&*self.inner.dag, leaf, error).await;
                    return self.fail(node, error);
                }
                _ => return self.fail(node, error),
            }
        }
        match self.inner.discard_damaged(&damaged).await {
            // What may only be read stays as it is, and is made in memory.
            Err(error) if error.kind() != ErrorKind::Unsupported => self.fail(node, error),
            _ => {
                self.distrust(gone.into_iter().chain(damaged));
                self.replan = true;
            }
        }
    }
}
