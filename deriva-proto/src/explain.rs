//! What a computation would take, and why. Whole answers are in [`crate::parts`].

mod diff;
mod forecast;

use deriva_api::diff::Diff;
use deriva_api::{CAddr, Error, ExplainedNode, FunctionId, NodeState, Output, Result, Why};

use crate::fields::{addr_of, addrs_of, bytes_of, bytes_of_all, number, same};
use crate::v1;

impl From<&ExplainedNode> for v1::ExplainedNode {
    fn from(node: &ExplainedNode) -> Self {
        Self {
            addr: bytes_of(node.addr),
            state: v1::NodeState::from(node.state).into(),
            function: node.function.as_ref().map(Into::into),
            inputs: bytes_of_all(&node.inputs),
            output: node.output.map(Into::into),
            len: node.len,
            seconds: node.seconds,
            continued: false,
        }
    }
}

impl TryFrom<v1::ExplainedNode> for ExplainedNode {
    type Error = Error;

    /// One that goes on with the inputs of the node before is none by itself.
    fn try_from(found: v1::ExplainedNode) -> Result<Self> {
        let addr = addr_of("ExplainedNode.addr", &found.addr)?;
        let state = number::<v1::NodeState, _>("ExplainedNode.state", found.state)?;
        let mut node = Self::new(addr, state);
        node.function = found.function.map(FunctionId::try_from).transpose()?;
        node.inputs = addrs_of("ExplainedNode.inputs", &found.inputs)?;
        node.output = found.output.map(Output::try_from).transpose()?;
        same!(found -> node: len, seconds);
        Ok(node)
    }
}

impl From<&Why> for v1::WhyResponse {
    /// Without what differs from another address, which is an answer of its own.
    fn from(why: &Why) -> Self {
        Self {
            state: v1::NodeState::from(why.state).into(),
            forgotten: why.forgotten,
        }
    }
}

impl v1::WhyResponse {
    /// Why the address that was asked for would be computed, or would not, with what differs from another one, where that was asked
    /// for.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](deriva_api::ErrorKind::Invalid) for a state that only a later version knows.
    pub fn of(&self, addr: CAddr, diff: Option<Diff>) -> Result<Why> {
        let state: NodeState = number::<v1::NodeState, _>("WhyResponse.state", self.state)?;
        let mut why = Why::new(addr, state);
        why.forgotten = self.forgotten;
        why.diff = diff;
        Ok(why)
    }
}
