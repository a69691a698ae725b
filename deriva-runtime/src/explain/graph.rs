//! The graph below an address: what there is, whether or not a request would touch it.
//!
//! Breadth-first, a batch of addresses at a time with one bulk look-up each; nothing recurses. The walk holds what it
//! answers with and, while it goes on, an index of the listed addresses: about 250 bytes a node, 12 an edge. Of what
//! it leaves out it holds nothing, so a limit bounds the memory however large the graph is.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use deriva_api::{CAddr, FunctionId, Output, Result};
use serde::Serialize;

use crate::explain::node::{BATCH, Met, NodeState, as_shown, look_up_nodes};
use crate::shared::settings::in_range;
use crate::shared::{Deriva, Inner};

/// Nodes that a walk lists at the most, unless it is told otherwise.
const LIMIT: u32 = 5_000_000;

impl Deriva {
    /// Asks for the graph below an address: the address, and everything that it is made from. `.await` it, after
    /// setting how much of it is wanted.
    ///
    /// Unlike [`Deriva::explain`] it also goes on below recipes whose output is there. An address under which nothing
    /// lies is no error but a node of the answer, [`NodeState::Missing`].
    ///
    /// The request fails with `Invalid` for a limit of 0, and with what the stores say, such as `Corrupt` where a
    /// recipe is damaged.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use deriva_api::{BlobStore, DagStore, Result};
    /// # use deriva_runtime::{DerivaBuilder, NodeState};
    /// # async fn example(store: deriva_testkit::ModelStore) -> Result<()> {
    /// # let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) = (Arc::new(store.clone()), Arc::new(store));
    /// # let deriva = DerivaBuilder::new().blobs(blobs).dag(dag).build().await?;
    /// let leaf = deriva.put("hello").await?;
    /// let upper = deriva.recipe("text.upper", "1").input(leaf).insert().await?;
    /// let twice = deriva.recipe("bytes.concat", "1").inputs([upper, upper]).insert().await?;
    ///
    /// let graph = deriva.graph(twice).await?;
    /// let addrs: Vec<_> = graph.nodes.iter().map(|node| node.addr).collect();
    /// assert_eq!(addrs, [twice, upper, leaf]);
    /// assert_eq!(graph.nodes[2].state, NodeState::Leaf);
    /// let edges: Vec<_> = graph.edges.iter().map(|edge| (edge.from, edge.to, edge.input)).collect();
    /// assert_eq!(edges, [(1, 0, 0), (1, 0, 1), (2, 1, 0)]);
    ///
    /// let above = deriva.graph(twice).depth(1).await?;
    /// assert_eq!((above.nodes.len(), above.left_out), (2, 1));
    /// # Ok(())
    /// # }
    /// # let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # tokio.block_on(example(deriva_testkit::ModelStore::new())).unwrap();
    /// ```
    pub fn graph(&self, addr: CAddr) -> GraphWalk {
        GraphWalk {
            inner: Arc::clone(&self.inner),
            addr,
            depth: u32::MAX,
            limit: LIMIT,
        }
    }
}

/// A request for the graph below an address. `.await` it.
#[derive(Debug)]
#[must_use = "a request does nothing until it is awaited"]
pub struct GraphWalk {
    inner: Arc<Inner>,
    addr: CAddr,
    depth: u32,
    limit: u32,
}

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

impl Graph {
    /// Whether everything is listed that the address is made from.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.left_out == 0
    }
}

impl GraphWalk {
    /// Lists what is at most this many edges below the address; with 0 only the address itself. Default: all.
    pub fn depth(mut self, edges: u32) -> Self {
        self.depth = edges;
        self
    }

    /// Lists at most this many nodes, 1 or more: the nearest. Default: 5 million.
    pub fn limit(mut self, nodes: u32) -> Self {
        self.limit = nodes;
        self
    }
}

impl IntoFuture for GraphWalk {
    type Output = Result<Graph>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { walk(&self).await })
    }
}

async fn walk(request: &GraphWalk) -> Result<Graph> {
    in_range("limit", request.limit, 1..=u32::MAX)?;
    let mut graph = Graph::default();
    let mut met = Met::from_iter([request.addr]);
    let (mut depth, mut level_ends) = (0, met.len());
    while graph.nodes.len() < met.len() {
        let next = met.iter().skip(graph.nodes.len()).take(BATCH);
        let batch: Vec<CAddr> = next.copied().collect();
        for node in look_up_nodes(&request.inner, &batch).await? {
            let to = graph.nodes.len();
            // Everything at this depth was met through the nodes of the depth before.
            if to == level_ends {
                depth += 1;
                level_ends = met.len();
            }
            let mut inputs = 0;
            for addr in node.inputs() {
                let room = depth < request.depth && met.len() < request.limit as usize;
                let place = match room {
                    true => Some(met.insert_full(addr).0),
                    false => met.get_index_of(&addr),
                };
                match place {
                    Some(from) => graph.edges.push(GraphEdge {
                        from: from as u32,
                        to: to as u32,
                        input: inputs,
                    }),
                    None => graph.left_out += 1,
                }
                inputs += 1;
            }
            graph.nodes.push(GraphNode {
                addr: node.addr,
                state: node.state,
                function: node.function,
                inputs,
                output: node.output,
                len: node.len,
                depth,
            });
        }
        tokio::task::consume_budget().await;
    }
    Ok(graph)
}
