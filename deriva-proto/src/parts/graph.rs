//! Graphs in parts: each has some nodes, with the edges that lead to them or from them to what came before.
//!
//! What was put together is a graph as a walk lists it, whoever sent it: edges lead to listed nodes and form no cycle, every node
//! is below the first one, every input of a recipe is an edge or was left out, and a level follows the one above. So whoever draws it
//! can rely on that.

use std::ops::Range;

use deriva_api::{Graph, GraphEdge, GraphNode, Result};

use super::{Room, incomplete, misplaced};
use crate::v1;

/// Nodes of a part. Each has less than 400 bytes, the name of its function included.
const NODES: usize = 2048;
/// Edges of a part. Each has at most 20 bytes.
const EDGES: usize = 16 << 10;

/// The messages of a graph, in order.
pub fn of_graph(graph: Graph) -> impl Iterator<Item = v1::WalkResponse> {
    let edges = Edges::by_part(&graph);
    let parts = graph.nodes.len().div_ceil(NODES).max(1);
    (0..parts).flat_map(move |part| {
        let first = part * NODES;
        let nodes = &graph.nodes[first..graph.nodes.len().min(first + NODES)];
        let order = &edges.order[edges.of(part)];
        let edge = |at: &u32| v1::GraphEdge::from(graph.edges[*at as usize]);
        // Most parts are one message.
        let mut messages: Vec<_> = (order.chunks(EDGES).map(|edges| v1::WalkResponse {
            edges: edges.iter().map(edge).collect(),
            ..v1::WalkResponse::default()
        }))
        .collect();
        if messages.is_empty() {
            messages.push(v1::WalkResponse::default());
        }
        messages[0].nodes = nodes.iter().map(Into::into).collect();
        if part + 1 == parts {
            let last = messages.len() - 1;
            messages[last].left_out = Some(graph.left_out);
        }
        messages
    })
}

/// The places of the edges, in the order in which they are sent.
struct Edges {
    order: Vec<u32>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl Edges {
    /// An edge is sent when both of its nodes were.
    fn by_part(graph: &Graph) -> Self {
        let part = |edge: &GraphEdge| edge.from.max(edge.to) as usize / NODES;
        let mut next = vec![0; graph.nodes.len().div_ceil(NODES) + 1];
        for edge in &graph.edges {
            next[part(edge) + 1] += 1;
        }
        for at in 1..next.len() {
            next[at] += next[at - 1];
        }
        let mut order = vec![0; graph.edges.len()];
        for (at, edge) in (0u32..).zip(&graph.edges) {
            let place = &mut next[part(edge)];
            order[*place] = at;
            *place += 1;
        }
        // Each part has been filled up to where the next one begins.
        Self { order, ends: next }
    }

    fn of(&self, part: usize) -> Range<usize> {
        let begin = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        begin..self.ends[part]
    }
}

/// Puts a graph together.
#[derive(Clone, Debug)]
pub struct GraphParts {
    room: Room,
    graph: Graph,
    is_complete: bool,
}

impl GraphParts {
    /// Of at most this many nodes and edges, counted together.
    #[must_use]
    pub fn at_most(items: u64) -> Self {
        Self {
            room: Room::new(items.min(u64::from(u32::MAX))),
            graph: Graph::default(),
            is_complete: false,
        }
    }

    /// The next message. One that says nothing that is known is passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](deriva_api::ErrorKind::Invalid) where it is wrong in itself, does not fit what came before, or is more than may
    /// come.
    pub fn add(&mut self, message: v1::WalkResponse) -> Result<()> {
        let v1::WalkResponse {
            nodes,
            edges,
            left_out,
        } = message;
        if nodes.is_empty() && edges.is_empty() && left_out.is_none() {
            return Ok(());
        }
        if self.is_complete {
            let expected = "nothing after the part that says what is left out";
            return Err(misplaced("WalkResponse", expected));
        }
        self.room.take(nodes.len() + edges.len())?;
        for node in nodes {
            self.node(node.try_into()?)?;
        }
        for edge in edges {
            self.edge(edge.into())?;
        }
        if let Some(left_out) = left_out {
            self.graph.left_out = left_out;
            self.is_complete = true;
        }
        Ok(())
    }

    fn node(&mut self, node: GraphNode) -> Result<()> {
        let fits = match self.graph.nodes.last() {
            None => node.depth == 0,
            Some(before) => {
                let (least, most) = (before.depth.max(1), before.depth.saturating_add(1));
                (least..=most).contains(&node.depth)
            }
        };
        if !fits {
            let expected = "the first node alone at depth 0, and no depth left out after it,";
            return Err(misplaced("GraphNode.depth", expected));
        }
        self.graph.nodes.push(node);
        Ok(())
    }

    fn edge(&mut self, edge: GraphEdge) -> Result<()> {
        let nodes = &self.graph.nodes;
        let recipe = nodes.get(edge.to as usize);
        let fits = recipe.is_some_and(|recipe| edge.input < recipe.inputs);
        if !fits || edge.from as usize >= nodes.len() {
            let expected = "an edge from a node that came before to an input that a recipe has";
            return Err(misplaced("GraphEdge", expected));
        }
        self.graph.edges.push(edge);
        Ok(())
    }

    /// The graph.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](deriva_api::ErrorKind::Corrupt) where its last part did not come, and
    /// [`ErrorKind::Invalid`](deriva_api::ErrorKind::Invalid) where its parts make no graph.
    pub fn finish(self) -> Result<Graph> {
        if !self.is_complete {
            return Err(incomplete("graph"));
        }
        let mut graph = self.graph;
        graph
            .edges
            .sort_unstable_by_key(|edge| (edge.to, edge.input));
        let same = |pair: &[GraphEdge]| (pair[0].to, pair[0].input) == (pair[1].to, pair[1].input);
        if graph.edges.windows(2).any(same) {
            return Err(misplaced("GraphEdge.input", "one edge for an input"));
        }
        let inputs: u64 = graph.nodes.iter().map(|node| u64::from(node.inputs)).sum();
        if (graph.edges.len() as u64).checked_add(graph.left_out) != Some(inputs) {
            let expected = "every input among the edges, or left out,";
            return Err(misplaced("WalkResponse.left_out", expected));
        }
        if !hangs_together(&graph) {
            let expected = "nodes that are all below the first one, and no cycle,";
            return Err(misplaced("WalkResponse.edges", expected));
        }
        Ok(graph)
    }
}

/// Whether the first node is read by none, every other one by one or more, and none by what it is made from.
fn hangs_together(graph: &Graph) -> bool {
    let mut readers = vec![0u32; graph.nodes.len()];
    for edge in &graph.edges {
        readers[edge.from as usize] += 1;
    }
    let Some((first, below)) = readers.split_first() else {
        return false;
    };
    if *first > 0 || below.contains(&0) {
        return false;
    }
    // A node is met when all that read it were.
    let mut ready = vec![0u32];
    let mut met = 0;
    while let Some(node) = ready.pop() {
        met += 1;
        let begin = graph.edges.partition_point(|edge| edge.to < node);
        let inputs = graph.edges[begin..].iter();
        for edge in inputs.take_while(|edge| edge.to == node) {
            let left = &mut readers[edge.from as usize];
            *left -= 1;
            if *left == 0 {
                ready.push(edge.from);
            }
        }
    }
    met == graph.nodes.len()
}
