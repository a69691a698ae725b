//! The graph below an address, as an answer.

use serde::Serialize;

use crate::node::as_shown;
use crate::{CAddr, FunctionId, NodeState, Output};

/// The graph below an address, or as much of it as was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Graph {
    /// The address first, then what it is made from, breadth-first and in the order of inputs; each address once.
    pub nodes: Vec<GraphNode>,
    /// All edges between these nodes, by the recipe that reads, then by its inputs.
    pub edges: Vec<GraphEdge>,
    /// Inputs of listed recipes that lead to what is not listed, as depth or limit cut it off. Each place that names an
    /// address counts; what lies below is not counted.
    pub left_out: u64,
}

/// A node of a [`Graph`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GraphNode {
    /// The address.
    pub addr: CAddr,
    /// What is known of it.
    pub state: NodeState,
    /// The function, where it is a recipe.
    pub function: Option<FunctionId>,
    /// Number of its inputs, listed or not; 0 where it is no recipe.
    pub inputs: u32,
    /// The recorded output, where there is one, stored or not.
    #[serde(serialize_with = "as_shown")]
    pub output: Option<Output>,
    /// Length of the bytes in bytes, where it is known.
    #[serde(rename = "bytes")]
    pub len: Option<u64>,
    /// Edges on the shortest way from the address that was asked for.
    pub depth: u32,
}

/// An edge of a [`Graph`]: an input, and the recipe that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GraphEdge {
    /// The place of the input among the nodes.
    pub from: u32,
    /// The place of the recipe among the nodes.
    pub to: u32,
    /// Which of the recipe's inputs it is, counted from 0.
    pub input: u32,
}

impl GraphNode {
    /// An address this far below the one that was asked for, of which no more is said.
    #[must_use]
    pub fn new(addr: CAddr, state: NodeState, depth: u32) -> Self {
        Self {
            addr,
            state,
            function: None,
            inputs: 0,
            output: None,
            len: None,
            depth,
        }
    }
}

impl GraphEdge {
    /// The places of an input and of the recipe that reads it, and which of its inputs it is.
    #[must_use]
    pub fn new(from: u32, to: u32, input: u32) -> Self {
        Self { from, to, input }
    }
}

impl Graph {
    /// Whether everything is listed that the address is made from.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.left_out == 0
    }
}
