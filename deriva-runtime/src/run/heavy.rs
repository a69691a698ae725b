//! Heavy functions: first a look whether the work was done under another name, then the executor.

use std::sync::Arc;

use deriva_api::{
    Blob, CAddr, Error, ErrorKind, Executed, Operand, Operands, Output, Result, Step,
};
use futures::FutureExt;
use tokio_util::task::AbortOnDropHandle;

use super::light::read;
use super::{Done, Run, Unread};
use crate::event::{Event, Reuse};
use crate::flights::{Claim, Landing};
use crate::inner::Inner;
use crate::leases::Lease;
use crate::plan::NodeId;

/// An input of a step: in hand, or to be read.
enum Source {
    Held(Blob),
    Read(NodeId, deriva_api::BlobStat),
}

impl Run {
    /// Early cutoff: looks up the resolved addresses of waiting nodes, in one batch. What is recorded
    /// there is reused; what somebody computes is waited for; the rest is queued.
    pub(super) async fn look_up_resolved(&mut self) -> Result<()> {
        if self.cutoff.is_empty() {
            return Ok(());
        }
        let mut resolved: Vec<(NodeId, CAddr)> = Vec::new();
        for node in std::mem::take(&mut self.cutoff) {
            match self.resolve(node)? {
                Some(addr) => resolved.push((node, addr)),
                None => self.queue(node, self.is_light(node)),
            }
        }
        let claims = self
            .inner
            .flights
            .claim(resolved.iter().map(|(_, addr)| *addr));
        let mut owned: Vec<(NodeId, CAddr)> = Vec::new();
        for ((node, addr), claim) in resolved.into_iter().zip(claims) {
            match claim {
                Claim::Owned => {
                    self.resolved.insert(node, addr);
                    owned.push((node, addr));
                }
                Claim::Joined(landing) => self.running.push(
                    landing
                        .map(move |end| {
                            Done::Landed(node, Some(addr), end.unwrap_or(Landing::Abandoned))
                        })
                        .boxed(),
                ),
            }
        }
        let addrs: Vec<CAddr> = owned.iter().map(|(_, addr)| *addr).collect();
        // From the look at a blob to the lease on it nobody takes it away.
        let inner = Arc::clone(&self.inner);
        let _together = inner.gate.read().await;
        let outputs = self.inner.dag.outputs(&addrs).await?;
        let contents: Vec<CAddr> = outputs.iter().flatten().map(|output| output.addr).collect();
        let mut stats = if contents.is_empty() {
            Vec::new()
        } else {
            self.inner.blobs.stat(&contents).await?
        }
        .into_iter();
        for ((node, _), output) in owned.into_iter().zip(outputs) {
            let there = output.is_some()
                && stats
                    .next()
                    .flatten()
                    .is_some_and(|stat| !self.distrusted.contains(&stat.addr));
            match output {
                Some(output) if there => self.reuse(node, output, None, Reuse::Cutoff, true),
                _ => self.queue(node, self.is_light(node)),
            }
        }
        Ok(())
    }

    /// The resolved address of a node, unless it is the node's own.
    fn resolve(&self, node: NodeId) -> Result<Option<CAddr>> {
        let Some((recipe, _)) = self.recipe(node) else {
            return Ok(None);
        };
        let contents: Vec<CAddr> = self
            .plan
            .inputs(node)
            .iter()
            .filter_map(|input| self.content(*input))
            .map(|stat| stat.addr)
            .collect();
        let resolved = recipe.resolve(&contents)?.addr();
        Ok((resolved != recipe.addr()).then_some(resolved))
    }

    /// Hands heavy nodes to the executor, as many as may be in flight.
    pub(super) fn start_heavy(&mut self) {
        while self.executing < self.options.jobs {
            let Some(node) = self.heavy.pop_front() else {
                return;
            };
            let Some((recipe, _)) = self.recipe(node) else {
                continue;
            };
            let sources = self.plan.inputs(node).iter().filter_map(|input| {
                match &self.values[*input as usize] {
                    Some(blob) => Some(Source::Held(blob.clone())),
                    None => self.content(*input).map(|stat| Source::Read(*input, stat)),
                }
            });
            let step = Step {
                addr: recipe.addr(),
                recipe: Arc::new(recipe.clone()),
                inputs: Vec::new(),
                fresh: false,
                deadline: self.options.deadline,
            };
            let addr = step.addr;
            let (inner, lease) = (Arc::clone(&self.inner), Arc::clone(&self.lease));
            let work = execute(inner, lease, node, step, sources.collect());
            let handle = AbortOnDropHandle::new(self.inner.tokio.spawn(work));
            self.executing += 1;
            self.emit(Event::Started { addr });
            self.running.push(Box::pin(async move {
                handle.await.unwrap_or_else(|source| {
                    let error = Error::new(
                        ErrorKind::Internal,
                        "the executor panicked or was shut down",
                    );
                    Done::Executed(node, Err(error.caused_by(source)))
                })
            }));
        }
    }

    pub(super) fn executed(&mut self, node: NodeId, result: Result<Executed>) {
        match result {
            Ok(Executed {
                output: Operand::Held(blob),
                cost,
                ..
            }) => self.computed(node, blob, cost),
            Ok(Executed {
                output: Operand::Stored(stat),
                cost,
                ..
            }) => {
                self.computed_elsewhere(
                    node,
                    Output {
                        addr: stat.addr,
                        len: stat.len,
                        cost,
                    },
                );
            }
            Err(error) => self.fail(node, error),
        }
    }
}

async fn execute(
    inner: Arc<Inner>,
    lease: Arc<Lease>,
    node: NodeId,
    mut step: Step,
    sources: Vec<Source>,
) -> Done {
    let prepared = match inner.executor.operands() {
        Operands::Held => hold(&inner, sources).await,
        Operands::Stored => store(&inner, &lease, sources).await,
    };
    match prepared {
        Ok(operands) => {
            step.inputs = operands;
            Done::Executed(node, inner.executor.execute(step).await)
        }
        Err(Unready::Failed(error)) => Done::Executed(node, Err(error)),
        Err(Unready::Unread(inputs)) => Done::Unread(node, inputs),
    }
}

/// Why a step could not begin.
enum Unready {
    Unread(Vec<Unread>),
    Failed(Error),
}

/// Reads what is not in hand.
async fn hold(inner: &Inner, sources: Vec<Source>) -> Result<Vec<Operand>, Unready> {
    let mut operands = Vec::with_capacity(sources.len());
    let mut unread = Vec::new();
    for source in sources {
        match source {
            Source::Held(blob) => operands.push(Operand::Held(blob)),
            Source::Read(input, stat) => match read(&*inner.blobs, &[stat.addr]).await {
                Ok(mut blobs) => operands.extend(blobs.pop().map(Operand::Held)),
                Err(error) => unread.push(Unread { input, error }),
            },
        }
    }
    if unread.is_empty() {
        Ok(operands)
    } else {
        Err(Unready::Unread(unread))
    }
}

/// Stores what is only in hand, under the lease, as the executor will read it there.
async fn store(
    inner: &Inner,
    lease: &Lease,
    sources: Vec<Source>,
) -> Result<Vec<Operand>, Unready> {
    let held: Vec<Blob> = sources
        .iter()
        .filter_map(|source| match source {
            Source::Held(blob) => Some(blob.clone()),
            Source::Read(..) => None,
        })
        .collect();
    lease.note(held.iter().map(Blob::addr));
    let together = inner.gate.read().await;
    inner.blobs.put(&held).await.map_err(Unready::Failed)?;
    drop(together);
    let operand = |source| match source {
        Source::Held(blob) => Operand::Stored(Blob::stat(&blob)),
        Source::Read(_, stat) => Operand::Stored(stat),
    };
    Ok(sources.into_iter().map(operand).collect())
}
