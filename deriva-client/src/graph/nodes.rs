//! Recipes with their outputs, in as many messages as their sizes need.

use deriva_api::{CAddr, Node, Result};
use deriva_proto::{bytes_of_all, v1};

use crate::answers::{same, told, was};
use crate::client::Client;
use crate::failure::{Attempts, Failure};

impl Client {
    /// One answer for each address of a batch. Where the connection breaks, the rest is asked for.
    pub(crate) async fn nodes(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>> {
        let mut found = Vec::with_capacity(addrs.len());
        let mut attempts = Attempts::new(self.link(), "get_many");
        while found.len() < addrs.len() {
            let before = found.len();
            let Err(failure) = self.next_nodes(addrs, &mut found).await else {
                continue;
            };
            if found.len() > before {
                attempts.progressed();
            }
            attempts.again(failure).await?;
        }
        Ok(found)
    }

    /// Reads answers to one call, until all are there.
    async fn next_nodes(
        &self,
        addrs: &[CAddr],
        found: &mut Vec<Option<Node>>,
    ) -> Result<(), Failure> {
        let link = self.link();
        let request = v1::GetNodesRequest {
            addrs: bytes_of_all(&addrs[found.len()..]),
        };
        let mut service = link.graph();
        let mut stream = link.in_time(service.get(request)).await?.into_inner();
        while let Some(page) = link.in_time(stream.message()).await? {
            for node in page.nodes {
                let Some(addr) = addrs.get(found.len()) else {
                    let expected = format_args!("{} answers", addrs.len()).to_string();
                    return Err(was(expected, "more").into());
                };
                let node = told(node.node.map(Node::try_from).transpose())?;
                if let Some(node) = &node {
                    same(*addr, node.recipe.addr())?;
                }
                found.push(node);
            }
        }
        match found.len() == addrs.len() {
            true => Ok(()),
            false => {
                let expected = format!("{} answers", addrs.len());
                Err(was(expected, found.len()).into())
            }
        }
    }
}
