//! The graph below an address: what there is, whether or not a request would touch it.
//!
//! Breadth-first, a batch of addresses at a time with one bulk look-up each; nothing recurses. The walk holds what it
//! answers with and, while it goes on, an index of the listed addresses: about 250 bytes a node, 12 an edge. Of what
//! it leaves out it holds nothing, so a limit bounds the memory however large the graph is.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use deriva_api::{CAddr, Graph, GraphEdge, GraphNode, Result};

use crate::explain::node::{BATCH, Met, look_up_nodes};
use crate::shared::settings::in_range;
use crate::shared::{Deriva, Inner};

/// Nodes that a walk lists at the most, unless it is told otherwise.
const LIMIT: u32 = 5_000_000;

impl Deriva {
    /// Asks for the graph below an address: the address, and everything that it is made from. `.await` it, after
    /// setting how much of it is wanted.
    ///
    /// Unlike [`Deriva::explain`] it also goes on below recipes whose output is there. An address under which nothing
    /// lies is no error but a node of the answer, [`deriva_api::NodeState::Missing`].
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
                    Some(from) => {
                        let edge = GraphEdge::new(from as u32, to as u32, inputs);
                        graph.edges.push(edge);
                    }
                    None => graph.left_out += 1,
                }
                inputs += 1;
            }
            let mut listed = GraphNode::new(node.addr, node.state, depth);
            listed.function = node.function;
            listed.inputs = inputs;
            listed.output = node.output;
            listed.len = node.len;
            graph.nodes.push(listed);
        }
        tokio::task::consume_budget().await;
    }
    Ok(graph)
}
