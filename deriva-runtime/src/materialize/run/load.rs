//! Reading the stored inputs of light nodes, many at a time.

use std::time::Duration;

use deriva_api::{Blob, BlobStore, CAddr, Error, ErrorKind, Result};

use super::Run;
use super::lost::Unread;
use crate::materialize::plan::NodeId;

impl Run {
    /// Brings the stored inputs of these nodes into memory; answers with the nodes that have them all.
    pub(super) async fn load(&mut self, nodes: Vec<NodeId>) -> Vec<NodeId> {
        let mut wanted: Vec<NodeId> = Vec::new();
        for node in &nodes {
            let inputs = self.plan.inputs(*node).iter();
            wanted.extend(inputs.filter(|input| self.value(**input).is_none()));
        }
        if wanted.is_empty() {
            return nodes;
        }
        wanted.sort_unstable();
        wanted.dedup();
        let addrs: Vec<CAddr> = wanted
            .iter()
            .filter_map(|node| self.content(*node))
            .map(|stat| stat.addr)
            .collect();
        if let Ok(blobs) = read(&*self.inner.blobs, &addrs).await {
            for (node, blob) in wanted.iter().zip(blobs) {
                self.hold(*node, blob, Duration::ZERO);
            }
            self.may_go(wanted);
            return nodes;
        }
        // Something could not be read: find out which, and let the others go on.
        let mut whole = Vec::new();
        for node in nodes {
            match self.load_one(node).await {
                lost if lost.is_empty() => whole.push(node),
                lost => self.lost(node, lost).await,
            }
        }
        whole
    }

    async fn load_one(&mut self, node: NodeId) -> Vec<Unread> {
        let mut lost: Vec<Unread> = Vec::new();
        for input in self.plan.inputs(node).to_vec() {
            if self.value(input).is_some() || lost.iter().any(|unread| unread.input == input) {
                continue;
            }
            let Some(stat) = self.content(input) else {
                continue;
            };
            match read(&*self.inner.blobs, &[stat.addr]).await {
                Ok(mut blobs) => {
                    for blob in blobs.drain(..) {
                        self.hold(input, blob, Duration::ZERO);
                    }
                    self.may_go([input]);
                }
                Err(error) => lost.push(Unread { input, error }),
            }
        }
        lost
    }
}

/// Reads blobs that must be there.
pub(super) async fn read(blobs: &dyn BlobStore, addrs: &[CAddr]) -> Result<Vec<Blob>> {
    let found = blobs.get_many(addrs).await?;
    let present = found.into_iter().zip(addrs).map(|(blob, addr)| {
        blob.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "a blob vanished during the request").with("addr", addr)
        })
    });
    present.collect()
}
