//! Inputs that were there when the plan was made, and could not be read.

use deriva_api::{Error, ErrorKind};

use super::Run;
use crate::materialize::plan::NodeId;

/// An input of a node that could not be read, and why.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) input: NodeId,
    pub(super) error: Error,
}

impl Run {
    /// Inputs of a node could not be read. Where all of them are damaged or gone and recipes can make
    /// them again, that is left to a new plan.
    pub(super) async fn lost(&mut self, node: NodeId, inputs: Vec<Unread>) {
        let inner = &self.context.inner;
        let mut gone = Vec::new();
        let mut damaged = Vec::new();
        for Unread { input, error } in inputs {
            match (self.graph.made(input), error.kind()) {
                (Some(stat), ErrorKind::Corrupt) => damaged.push(stat.addr),
                (Some(stat), ErrorKind::NotFound) => gone.push(stat.addr),
                (None, ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    let leaf = self.graph.plan.addr(input);
                    let lost = &mut self.verdict.lost_leaves;
                    let error = lost.name(&*inner.dag, leaf, error).await;
                    return self.fail(node, error);
                }
                _ => return self.fail(node, error),
            }
        }
        match inner.discard_damaged(&damaged).await {
            // What may only be read stays as it is, and is made in memory.
            Err(error) if error.kind() != ErrorKind::Unsupported => self.fail(node, error),
            _ => {
                self.verdict.distrust(gone.into_iter().chain(damaged));
                self.verdict.plan_anew();
            }
        }
    }
}
