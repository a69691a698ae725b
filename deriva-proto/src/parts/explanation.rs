//! Explanations in parts: nodes, then what is said of all of them.

use std::iter::once;

use deriva_api::{CAddr, ExplainedNode, Explanation, Forecast, FunctionId, Result};

use super::{ADDRS, Room, addrs_in_parts, in_parts, incomplete, misplaced};
use crate::fields::{addr_of, addrs_of, bytes_of, bytes_of_all};
use crate::v1;
use crate::v1::explain_response::Said;

/// The messages of an explanation, in order.
pub fn of_explanation(explanation: Explanation) -> impl Iterator<Item = v1::ExplainResponse> {
    let mut explanation = explanation;
    let nodes = std::mem::take(&mut explanation.nodes).into_iter();
    let nodes = in_parts(nodes.flat_map(node_in_parts));
    let nodes = nodes.map(|nodes| Said::Nodes(v1::ExplainedNodes { nodes }));
    let said = nodes.chain(rest_in_parts(explanation).map(Said::Done));
    said.map(|said| v1::ExplainResponse { said: Some(said) })
}

/// A node, and where it has many inputs the rest of these.
fn node_in_parts(mut node: ExplainedNode) -> impl Iterator<Item = v1::ExplainedNode> {
    let more = match node.inputs.len() > ADDRS {
        true => node.inputs.split_off(ADDRS),
        false => Vec::new(),
    };
    let addr = node.addr;
    let more = addrs_in_parts(more).map(move |inputs| v1::ExplainedNode {
        addr: bytes_of(addr),
        inputs,
        continued: true,
        ..v1::ExplainedNode::default()
    });
    once(v1::ExplainedNode::from(&node)).chain(more)
}

fn rest_in_parts(explanation: Explanation) -> impl Iterator<Item = v1::Explained> {
    let mut forecast = explanation.forecast;
    let mut path = std::mem::take(&mut forecast.critical_path);
    // The end of it goes with the forecast.
    let end = path.split_off(path.len().saturating_sub(ADDRS));
    let missing = addrs_in_parts(explanation.missing).map(|missing| v1::Explained {
        missing,
        ..v1::Explained::default()
    });
    let unknown = explanation.unknown_functions.into_iter();
    let unknown = in_parts(unknown.map(|id| v1::FunctionId::from(&id)));
    let unknown = unknown.map(|unknown_functions| v1::Explained {
        unknown_functions,
        ..v1::Explained::default()
    });
    let path = addrs_in_parts(path).map(|critical_path| v1::Explained {
        critical_path,
        ..v1::Explained::default()
    });
    let mut last = v1::Forecast::from(&forecast);
    last.critical_path = bytes_of_all(&end);
    let last = v1::Explained {
        forecast: Some(last),
        ..v1::Explained::default()
    };
    missing.chain(unknown).chain(path).chain(once(last))
}

/// Puts an explanation together.
#[derive(Clone, Debug)]
pub struct ExplanationParts {
    room: Room,
    explanation: Explanation,
    path: Vec<CAddr>,
    nodes_ended: bool,
    is_complete: bool,
}

impl ExplanationParts {
    /// Of at most this many nodes, inputs, addresses and functions, all counted together.
    #[must_use]
    pub fn at_most(items: u64) -> Self {
        Self {
            room: Room::new(items),
            explanation: Explanation::default(),
            path: Vec::new(),
            nodes_ended: false,
            is_complete: false,
        }
    }

    /// The next message. One that says nothing that is known is passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](deriva_api::ErrorKind::Invalid) where it is wrong in itself, does not fit what came before, or is more than may
    /// come.
    pub fn add(&mut self, message: v1::ExplainResponse) -> Result<()> {
        let Some(said) = message.said else {
            return Ok(());
        };
        if self.is_complete {
            return Err(misplaced("ExplainResponse", "nothing after the forecast"));
        }
        match said {
            Said::Nodes(_) if self.nodes_ended => {
                let expected = "nodes before what is said of all of them";
                Err(misplaced("ExplainResponse.nodes", expected))
            }
            Said::Nodes(nodes) => nodes.nodes.into_iter().try_for_each(|node| self.node(node)),
            Said::Done(explained) => self.explained(explained),
        }
    }

    fn node(&mut self, node: v1::ExplainedNode) -> Result<()> {
        self.room
            .take(node.inputs.len() + usize::from(!node.continued))?;
        if !node.continued {
            self.explanation.nodes.push(node.try_into()?);
            return Ok(());
        }
        let addr = addr_of("ExplainedNode.addr", &node.addr)?;
        let before = self.explanation.nodes.last_mut();
        let Some(before) = before.filter(|before| before.addr == addr) else {
            let expected = "the address of the node before";
            return Err(misplaced("ExplainedNode.continued", expected));
        };
        let inputs = addrs_of("ExplainedNode.inputs", &node.inputs)?;
        before.inputs.extend(inputs);
        Ok(())
    }

    fn explained(&mut self, explained: v1::Explained) -> Result<()> {
        let v1::Explained {
            missing,
            unknown_functions,
            forecast,
            critical_path,
        } = explained;
        self.nodes_ended = true;
        self.room
            .take(missing.len() + unknown_functions.len() + critical_path.len())?;
        let missing = addrs_of("Explained.missing", &missing)?;
        self.explanation.missing.extend(missing);
        for function in unknown_functions {
            let function = FunctionId::try_from(function)?;
            self.explanation.unknown_functions.push(function);
        }
        let path = addrs_of("Explained.critical_path", &critical_path)?;
        self.path.extend(path);
        if let Some(forecast) = forecast {
            self.room
                .take(forecast.critical_path.len() + forecast.functions.len())?;
            let mut forecast = Forecast::try_from(forecast)?;
            self.path.append(&mut forecast.critical_path);
            forecast.critical_path = std::mem::take(&mut self.path);
            self.explanation.forecast = forecast;
            self.is_complete = true;
        }
        Ok(())
    }

    /// The explanation.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](deriva_api::ErrorKind::Corrupt) where its last part did not come.
    pub fn finish(self) -> Result<Explanation> {
        match self.is_complete {
            true => Ok(self.explanation),
            false => Err(incomplete("explanation")),
        }
    }
}
