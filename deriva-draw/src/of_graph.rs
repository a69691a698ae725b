//! A graph as it is drawn: what is stored, whoever could compute it.

use deriva_api::{Graph, GraphNode, NodeState};

use crate::{Drawing, Node, State};

impl From<Graph> for Drawing {
    /// What the graph lists. What it leaves out is not drawn.
    fn from(graph: Graph) -> Self {
        let edges = graph.edges.iter().map(|edge| (edge.from, edge.to));
        Self {
            edges: edges.collect(),
            nodes: graph.nodes.into_iter().map(Node::from).collect(),
        }
    }
}

impl From<GraphNode> for Node {
    fn from(node: GraphNode) -> Self {
        let (label, group) = match &node.function {
            None => (node.addr.short(), "blobs".to_owned()),
            Some(function) => (
                format!("{function} {}", node.addr.short()),
                function.to_string(),
            ),
        };
        let state = match node.state {
            NodeState::Leaf => State::Leaf,
            NodeState::Present => State::Present,
            NodeState::Lost => State::Lost,
            NodeState::Absent => State::Absent,
            NodeState::Missing => State::Missing,
            NodeState::Condemned => State::Condemned,
            // The drawing shows what is stored, whoever could compute it.
            _ if node.output.is_some() => State::Lost,
            _ => State::Absent,
        };
        Self::new(label, group, state).cost(node.output.map(|output| output.cost))
    }
}
