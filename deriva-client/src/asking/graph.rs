//! The graph below an address there.

use std::future::IntoFuture;

use deriva_api::{CAddr, Graph, Result};
use deriva_proto::parts::GraphParts;
use deriva_proto::{bytes_of, v1};
use futures::future::BoxFuture;

use super::{MOST, next};
use crate::answers::told;
use crate::client::Client;
use crate::failure::{Attempts, Failure};

impl Client {
    /// Asks for the graph below an address there: the address, and everything that it is made from. `.await` it, after setting how much of
    /// it is wanted; the server may have limits of its own, and what they cut off counts as left out.
    ///
    /// An address under which nothing lies is no error but a node of the answer. The request fails with what the server says.
    pub fn graph(&self, addr: CAddr) -> GraphWalk {
        GraphWalk {
            client: self.clone(),
            addr,
            depth: None,
            limit: None,
        }
    }

    async fn walked(&self, request: v1::WalkRequest) -> Result<Graph, Failure> {
        let link = self.link();
        let mut service = link.graph();
        let opened = service.walk(request).await;
        let mut stream = opened
            .map_err(|status| Failure::of(status, link))?
            .into_inner();
        let mut parts = GraphParts::at_most(MOST);
        while let Some(message) = next(&mut stream, self).await? {
            told(parts.add(message))?;
        }
        Ok(told(parts.finish())?)
    }
}

/// A request for the graph below an address. `.await` it.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is awaited"]
pub struct GraphWalk {
    client: Client,
    addr: CAddr,
    depth: Option<u32>,
    limit: Option<u32>,
}

impl GraphWalk {
    /// Lists what is at most this many edges below the address; with 0 only the address itself. Default: all.
    pub fn depth(mut self, edges: u32) -> Self {
        self.depth = Some(edges);
        self
    }

    /// Lists at most this many nodes, 1 or more: the nearest. Default: as many as the server tells.
    pub fn limit(mut self, nodes: u32) -> Self {
        self.limit = Some(nodes);
        self
    }
}

impl IntoFuture for GraphWalk {
    type Output = Result<Graph>;
    type IntoFuture = BoxFuture<'static, Result<Graph>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let request = v1::WalkRequest {
                addr: bytes_of(self.addr),
                depth: self.depth,
                limit: self.limit,
            };
            let mut attempts = Attempts::new(self.client.link(), "graph");
            loop {
                match self.client.walked(request.clone()).await {
                    Ok(graph) => return Ok(graph),
                    Err(failure) => attempts.again(failure).await?,
                }
            }
        })
    }
}
