//! Reading the stored inputs of light nodes, many at a time.

use std::time::Duration;

use deriva_api::{Blob, BlobStore, CAddr, Error, ErrorKind, Result};

use super::lost::Unread;
use super::values::Values;
use crate::materialize::plan::{NodeId, Plan};

/// What came of reading the inputs of some nodes.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Nodes that have all their inputs in memory.
    pub(super) whole: Vec<NodeId>,
    /// The others, and what each of them lacks.
    pub(super) lacking: Vec<(NodeId, Vec<Unread>)>,
}

impl Values {
    /// Brings the stored inputs of these nodes into memory.
    pub(super) async fn load(
        &mut self,
        blobs: &dyn BlobStore,
        plan: &Plan,
        nodes: Vec<NodeId>,
    ) -> Loaded {
        let mut wanted: Vec<NodeId> = Vec::new();
        for node in &nodes {
            let inputs = plan.inputs(*node).iter();
            wanted.extend(inputs.filter(|input| self.of(**input).is_none()));
        }
        if wanted.is_empty() {
            return Loaded {
                whole: nodes,
                lacking: Vec::new(),
            };
        }
        wanted.sort_unstable();
        wanted.dedup();
        let contents = wanted.iter().filter_map(|node| plan.content(*node));
        let addrs: Vec<CAddr> = contents.map(|stat| stat.addr).collect();
        if let Ok(blobs) = read(blobs, &addrs).await {
            for (node, blob) in wanted.iter().zip(blobs) {
                self.hold(*node, blob, Duration::ZERO);
            }
            self.may_go(wanted);
            return Loaded {
                whole: nodes,
                lacking: Vec::new(),
            };
        }
        // Something could not be read: find out which, and let the others go on.
        let mut loaded = Loaded::default();
        for node in nodes {
            match self.load_one(blobs, plan, node).await {
                unread if unread.is_empty() => loaded.whole.push(node),
                unread => loaded.lacking.push((node, unread)),
            }
        }
        loaded
    }

    async fn load_one(&mut self, blobs: &dyn BlobStore, plan: &Plan, node: NodeId) -> Vec<Unread> {
        let mut lost: Vec<Unread> = Vec::new();
        for input in plan.inputs(node).iter().copied() {
            if self.of(input).is_some() || lost.iter().any(|unread| unread.input == input) {
                continue;
            }
            let Some(stat) = plan.content(input) else {
                continue;
            };
            match read(blobs, &[stat.addr]).await {
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
