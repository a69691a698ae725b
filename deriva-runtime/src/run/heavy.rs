//! Heavy functions: handed to the executor, the longest remaining path first.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deriva_api::{
    Blob, BlobStat, CAddr, Error, ErrorKind, Executed, Operand, Operands, Output, Result, Step,
};
use futures::FutureExt;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::debug;

use super::lost::Unread;
use super::{Done, Run, hand_over};
use crate::event::Event;
use crate::inner::Inner;
use crate::invalidations::Watch;
use crate::leases::Lease;
use crate::nesting::Nesting;
use crate::plan::NodeId;
use crate::planted::{Fault, planted};
use crate::policy::StoreResults;
use crate::slots::{Slot, Ticket};

/// The steps that a run has in flight.
pub(super) struct Executing {
    ticket: Ticket,
    /// A slot that was granted and not used yet; or that one was asked for.
    slot: Option<Slot>,
    asked: bool,
    pub(super) steps: HashMap<NodeId, InFlight>,
    pub(super) outcomes: mpsc::Receiver<Outcome>,
    sender: mpsc::Sender<Outcome>,
}

/// A step in flight.
pub(super) struct InFlight {
    pub(super) task: AbortHandle,
    /// The run is gone, and others wait for this step: its task lands it.
    pub(super) is_handed_over: Arc<AtomicBool>,
}

/// What became of a step, with all that is needed to land it.
pub(super) struct Outcome {
    pub(super) node: NodeId,
    pub(super) addr: CAddr,
    /// The resolved address, where it was claimed too.
    pub(super) resolved: Option<CAddr>,
    pub(super) watch: Arc<Watch>,
    pub(super) results: StoreResults,
    pub(super) is_root: bool,
    pub(super) ended: Ended,
}

/// How a step ended.
pub(super) enum Ended {
    Executed(Result<Executed>),
    /// It did not begin: inputs could not be read.
    Unread(Vec<Unread>),
}

/// An input of a step: in hand, or to be read.
enum Source {
    Held(Blob),
    Read(NodeId, BlobStat),
}

impl Executing {
    pub(super) fn new(priority: i32, jobs: usize) -> Self {
        let (sender, outcomes) = mpsc::channel(jobs);
        Self {
            ticket: Ticket::new(priority),
            slot: None,
            asked: false,
            steps: HashMap::new(),
            outcomes,
            sender,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) async fn next(&mut self) -> Option<Outcome> {
        self.outcomes.recv().await
    }

    pub(super) fn try_next(&mut self) -> Option<Outcome> {
        self.outcomes.try_recv().ok()
    }

    pub(super) fn granted(&mut self, slot: Option<Slot>) {
        self.asked = false;
        self.slot = slot;
    }
}

impl Run {
    /// Hands heavy nodes to the executor, as many as may be in flight and memory allows.
    pub(super) fn start_heavy(&mut self) {
        while self.executing.steps.len() < self.options.jobs {
            let Some(node) = self.heavy.peek() else {
                break;
            };
            let bytes = u64::from(self.nodes[node as usize].input_bytes);
            if !self.executing.is_empty() && self.values.excess(bytes) > 0 {
                break;
            }
            let slot = match self.options.nesting.is_nested() {
                true => None,
                false => match self.take_slot() {
                    None => return,
                    slot => slot,
                },
            };
            self.heavy.pop();
            self.start(node, slot);
        }
        // A slot that cannot be used now is for others.
        self.executing.slot = None;
    }

    /// A slot of the executor. Where there is none now, the loop hears when it is there.
    fn take_slot(&mut self) -> Option<Slot> {
        let slot = self.executing.slot.take();
        if slot.is_some() || self.executing.asked {
            return slot;
        }
        let mut asked = self.inner.slots.ask(&self.executing.ticket);
        if let Ok(slot) = asked.try_recv() {
            return Some(slot);
        }
        self.executing.asked = true;
        let granted = asked.map(|slot| Done::Slot(slot.ok()));
        self.running.push(granted.boxed());
        None
    }

    fn start(&mut self, node: NodeId, slot: Option<Slot>) {
        let Some((recipe, function)) = self.plan.recipe(node) else {
            return;
        };
        let inputs = self.plan.inputs(node).iter();
        let sources = inputs.filter_map(|input| match self.value(*input) {
            Some(blob) => Some(Source::Held(blob.clone())),
            None => self.content(*input).map(|stat| Source::Read(*input, stat)),
        });
        let sources: Vec<Source> = sources.collect();
        let step = Step {
            addr: recipe.addr(),
            recipe: Arc::new(recipe.clone()),
            inputs: Vec::new(),
            fresh: false,
            deadline: self.options.remaining(&*self.inner.clock),
        };
        let outcome = Outcome {
            node,
            addr: step.addr,
            resolved: self.resolved.get(&node).copied(),
            watch: Arc::clone(&self.watch),
            results: self.treatments[function as usize].results,
            is_root: self.roots.contains(&node),
            ended: Ended::Unread(Vec::new()),
        };
        let (addr, reason) = (step.addr, self.reason(node));
        debug!(%addr, function = %recipe.function(), %reason, "compute");
        self.emit(Event::Started { addr, reason });
        let is_handed_over = Arc::new(AtomicBool::new(false));
        let work = execute(
            Arc::clone(&self.inner),
            Arc::clone(&self.lease),
            step,
            sources,
            self.options.nesting.clone(),
        );
        let work = self.sliced(node, work);
        let (inner, sender) = (Arc::clone(&self.inner), self.executing.sender.clone());
        let handed_over = Arc::clone(&is_handed_over);
        let counted = self.inner.tallies.steps.begin();
        let task = self.inner.tokio.spawn(async move {
            let ended = work.await;
            if planted(Fault::keeps_the_slot_of_a_failed_step)
                && matches!(ended, Ended::Executed(Err(_)))
            {
                std::mem::forget(slot);
            } else {
                drop(slot);
            }
            let outcome = Outcome { ended, ..outcome };
            if let Err(unwanted) = sender.send(outcome).await
                && handed_over.load(Ordering::Acquire)
                && !planted(Fault::lands_nothing_that_was_handed_over)
            {
                hand_over::land(&inner, unwanted.0).await;
            }
            drop(counted);
        });
        let task = task.abort_handle();
        let step = InFlight {
            task,
            is_handed_over,
        };
        self.executing.steps.insert(node, step);
    }

    /// A step of this run ended.
    pub(super) async fn executed(&mut self, outcome: Outcome) {
        let node = outcome.node;
        self.executing.steps.remove(&node);
        match outcome.ended {
            Ended::Unread(inputs) => self.lost(node, inputs).await,
            Ended::Executed(Err(error)) => self.fail(node, error),
            Ended::Executed(Ok(Executed { output, cost, .. })) => match output {
                Operand::Held(blob) => self.computed(node, blob, cost),
                Operand::Stored(BlobStat { addr, len }) => {
                    self.computed_elsewhere(node, Output { addr, len, cost });
                }
            },
        }
    }
}

async fn execute(
    inner: Arc<Inner>,
    lease: Arc<Lease>,
    mut step: Step,
    sources: Vec<Source>,
    nesting: Nesting,
) -> Ended {
    let prepared = match inner.executor.operands() {
        Operands::Held => hold(&inner, sources).await,
        Operands::Stored => store(&inner, &lease, sources).await,
    };
    let executed = match prepared {
        Ok(operands) => {
            step.inputs = operands;
            let work = AssertUnwindSafe(inner.executor.execute(step)).catch_unwind();
            nesting
                .around(work)
                .await
                .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the executor panicked")))
        }
        Err(Unready::Failed(error)) => Err(error),
        Err(Unready::Unread(inputs)) => return Ended::Unread(inputs),
    };
    Ended::Executed(executed)
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
            Source::Read(input, stat) => match super::load::read(&*inner.blobs, &[stat.addr]).await
            {
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
