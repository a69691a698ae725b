//! Heavy functions: handed to the executor, the longest remaining path first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deriva_api::{
    Blob, BlobStat, ByteRange, Bytes, CAddr, CallContext, Error, ErrorKind, Event, Executed,
    Operand, Operands, Output, Progress, Recipe, Result, Step,
};
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::debug;

use super::lost::Unread;
use super::progress::INTERVAL;
use super::{Done, Run, hand_over};
use crate::materialize::Options;
use crate::materialize::plan::NodeId;
use crate::planted::{Fault, planted};
use crate::shared::Inner;
use crate::shared::invalidations::Watch;
use crate::shared::invoke::{guarded, guarded_async};
use crate::shared::leases::Lease;
use crate::shared::nesting::Nesting;
use crate::shared::policy::StoreResults;
use crate::shared::slots::{Slot, Ticket};

/// The steps that a run has in flight.
pub(super) struct Executing {
    ticket: Ticket,
    /// Whether slots were asked for; and those that steps came back with.
    asked: bool,
    returned: Vec<Slot>,
    pub(super) steps: HashMap<NodeId, InFlight>,
    pub(super) outcomes: mpsc::Receiver<Outcome>,
    sender: mpsc::Sender<Outcome>,
    /// What functions tell of their progress. Each tells a few times a second, so few wait.
    telling: mpsc::UnboundedSender<StepProgress>,
    told: mpsc::UnboundedReceiver<StepProgress>,
}

/// How far a function is.
pub(super) struct StepProgress {
    pub(super) addr: CAddr,
    pub(super) done: u64,
    pub(super) of: Option<u64>,
}

/// A step in flight.
pub(super) struct InFlight {
    pub(super) task: AbortHandle,
    /// The run is gone, and others wait for this step: its task lands it.
    pub(super) is_handed_over: Arc<AtomicBool>,
    /// Bytes that are set aside for its output.
    ahead: u64,
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
    /// The slot that it had, where that may be for the next step.
    pub(super) slot: Option<Slot>,
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
    pub(super) fn new(inner: &Inner, options: &Options) -> Self {
        let (sender, outcomes) = mpsc::channel(options.jobs);
        let (telling, told) = mpsc::unbounded_channel();
        Self {
            ticket: inner.slots.ticket(options.urgency().priority),
            asked: false,
            returned: Vec::new(),
            steps: HashMap::new(),
            outcomes,
            sender,
            telling,
            told,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether something comes of itself: an outcome, or a slot.
    pub(super) fn waits(&self) -> bool {
        self.asked || !self.steps.is_empty()
    }

    pub(super) async fn next(&mut self) -> Option<Done> {
        tokio::select! {
            biased;
            outcome = self.outcomes.recv() => outcome.map(Done::Executed),
            () = self.ticket.granted(), if self.asked => Some(Done::Slot),
            Some(progress) = self.told.recv() => Some(Done::Progress(progress)),
        }
    }

    pub(super) fn try_next(&mut self) -> Option<Outcome> {
        self.outcomes.try_recv().ok()
    }

    /// A slot, where `count` could be used for steps of this priority. Where there is none now, the loop hears
    /// when there may be.
    fn take_slot(&mut self, count: usize, priority: i32) -> Option<Slot> {
        self.asked = true;
        let slot = self.ticket.take(count, priority);
        if self.returned.is_empty() {
            return slot;
        }
        // Only now that the wish stands: a lower one would have them.
        self.returned.clear();
        slot.or_else(|| self.ticket.take(count, priority))
    }

    /// Slots that cannot be used now are for others.
    pub(super) fn let_go(&mut self) {
        if std::mem::take(&mut self.asked) {
            self.ticket.withdraw();
        }
        self.returned.clear();
    }

    /// No more steps are started.
    pub(super) fn leave(&mut self) {
        self.let_go();
        self.ticket.leave();
    }

    /// Sets the priority of the most urgent node.
    pub(super) fn set_top(&self, priority: i32) {
        self.ticket.set_top(priority);
    }
}

impl Run {
    /// Hands heavy nodes to the executor, as many as may be in flight and memory allows.
    pub(super) fn start_heavy(&mut self) {
        while let Some((node, priority, ready)) = self.heavy.peek() {
            let room = self.options.jobs.saturating_sub(self.executing.steps.len());
            let ahead = self.output_len(node);
            let bytes = u64::from(self.nodes[node as usize].input_bytes).saturating_add(ahead);
            if room == 0 || (!self.executing.is_empty() && self.values.excess(bytes) > 0) {
                break;
            }
            let slot = match self.options.nesting.is_nested() {
                true => None,
                false => match self.executing.take_slot(ready.min(room), priority) {
                    None => return,
                    slot => slot,
                },
            };
            self.heavy.pop();
            self.start(node, slot, ahead);
        }
        self.executing.let_go();
    }

    /// About how many bytes the output of a node will have at the most, as its function says.
    fn output_len(&self, node: NodeId) -> u64 {
        let Some((recipe, function)) = self.plan.recipe(node) else {
            return 0;
        };
        let inputs = self.plan.inputs(node).iter();
        let lens = inputs.map(|input| self.content(*input).map_or(0, |stat| stat.len));
        let (lens, function) = (
            lens.collect::<Vec<_>>(),
            &self.plan.functions[function as usize],
        );
        let asked = || Some(function.output_len(&lens, &recipe.params().ok()?));
        let asked = guarded(ErrorKind::Function, "the function panicked", asked);
        // No more than there is: then it runs by itself.
        let most = self.inner.memory.limit();
        asked.ok().flatten().unwrap_or(0).min(most)
    }

    /// The range of its only input that the output of a node is, where its function says that it is one.
    fn output_range(&self, recipe: &Recipe, function: u32) -> Option<ByteRange> {
        let function = &self.plan.functions[function as usize];
        let asked = || function.output_range(&recipe.params().ok()?);
        guarded(ErrorKind::Function, "the function panicked", asked).ok()?
    }

    /// The time for which somebody wants the result of a node.
    fn wanted_for(&self, node: NodeId) -> Option<Duration> {
        match self.lent.urgency(node).until {
            Duration::MAX => None,
            until => Some(until.saturating_sub(self.inner.clock.now())),
        }
    }

    /// What a function may ask and tell while it runs.
    fn context(&self, addr: CAddr, deadline: Option<Duration>) -> CallContext {
        let clock = &self.inner.clock;
        let telling = self.options.progress.is_some().then(|| {
            let (telling, clock) = (self.executing.telling.clone(), Arc::clone(clock));
            let last = Mutex::new(None);
            let tell = move |done, of| {
                let (now, mut last) = (clock.now(), last.lock());
                let due = |last: Duration| now.saturating_sub(last) >= INTERVAL || of == Some(done);
                if last.is_none_or(due) {
                    *last = Some(now);
                    // Where the request is gone, nobody listens.
                    let _gone = telling.send(StepProgress { addr, done, of });
                }
            };
            Box::new(tell) as Box<Progress>
        });
        CallContext::telling(Arc::clone(clock), deadline, telling)
    }

    fn start(&mut self, node: NodeId, slot: Option<Slot>, ahead: u64) {
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
            deadline: self.wanted_for(node),
            context: self.context(recipe.addr(), self.wanted_for(node)),
        };
        let outcome = Outcome {
            node,
            addr: step.addr,
            resolved: self.resolved.get(&node).copied(),
            watch: Arc::clone(&self.watch),
            results: self.modes[function as usize].results,
            is_root: self.roots.contains(&node),
            ended: Ended::Unread(Vec::new()),
            slot: None,
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
            self.output_range(recipe, function),
            self.options.nesting.of_priority(self.claimant.own.priority),
        );
        // Around all that a step holds: a task that panics would leave the run waiting for it.
        let work = guarded_async(ErrorKind::Internal, "the executor panicked", work);
        let work = work.map(|ended| ended.unwrap_or_else(|error| Ended::Executed(Err(error))));
        let work = self.sliced(node, work);
        let (inner, sender) = (Arc::clone(&self.inner), self.executing.sender.clone());
        let handed_over = Arc::clone(&is_handed_over);
        let counted = self.inner.tallies.steps.begin();
        let task = self.inner.tokio.spawn(async move {
            let ended = work.await;
            let slot = match planted(Fault::keeps_the_slot_of_a_failed_step)
                && matches!(ended, Ended::Executed(Err(_)))
            {
                true => {
                    std::mem::forget(slot);
                    None
                }
                false => slot.and_then(Slot::ended),
            };
            let outcome = Outcome {
                ended,
                slot,
                ..outcome
            };
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
            ahead,
        };
        self.values.set_aside(ahead);
        self.executing.steps.insert(node, step);
        if self.lent.rank(node).1 {
            self.lend_to_nested(node);
        }
    }

    /// A step of this run ended.
    pub(super) async fn executed(&mut self, outcome: Outcome) {
        let node = outcome.node;
        if let Some(step) = self.executing.steps.remove(&node) {
            self.values.give_back(step.ahead);
        }
        self.executing.returned.extend(outcome.slot);
        if self.lent.rank(node).1 {
            self.inner.nested.lend(outcome.addr, None);
        }
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
    range: Option<ByteRange>,
    nesting: Nesting,
) -> Ended {
    let _over = Over(step.context.clone());
    if let (Some(range), [Source::Read(input, stat)]) = (range, sources.as_slice()) {
        return cut(&inner, *input, *stat, range).await;
    }
    let prepared = match inner.executor.operands() {
        Operands::Held => read_all(&inner, sources).await,
        Operands::Stored => store_all(&inner, &lease, sources).await,
    };
    let executed = match prepared {
        Ok(operands) => {
            step.inputs = operands;
            nesting.scope(inner.executor.execute(step)).await
        }
        Err(Unready::Failed(error)) => Err(error),
        Err(Unready::Unread(inputs)) => return Ended::Unread(inputs),
    };
    Ended::Executed(executed)
}

/// The output of a function that is a range of what is stored.
async fn cut(inner: &Inner, input: NodeId, stat: BlobStat, range: ByteRange) -> Ended {
    let began = inner.clock.now();
    let absent = || Error::new(ErrorKind::NotFound, "a blob vanished during the request");
    let read = inner.blobs.get_range(stat.addr, range).await;
    match read.and_then(|bytes| bytes.ok_or_else(|| absent().with("addr", stat.addr))) {
        Ok(bytes) => Ended::Executed(Ok(Executed {
            // A copy, as a store may give a view that keeps the whole blob.
            output: Operand::Held(Blob::new(Bytes::copy_from_slice(&bytes))),
            cost: inner.clock.now().saturating_sub(began),
            reused: false,
        })),
        Err(error) => Ended::Unread(vec![Unread { input, error }]),
    }
}

/// Tells a function that its step is over, however it ended.
struct Over(CallContext);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Why a step could not begin.
enum Unready {
    Unread(Vec<Unread>),
    Failed(Error),
}

/// Reads what is not in hand.
async fn read_all(inner: &Inner, sources: Vec<Source>) -> Result<Vec<Operand>, Unready> {
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
async fn store_all(
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
    lease.extend(held.iter().map(Blob::addr));
    let way = inner.make_way(held.iter().map(Blob::addr)).await;
    way.map_err(Unready::Failed)?;
    let together = inner.gate.read().await;
    inner.blobs.put(&held).await.map_err(Unready::Failed)?;
    drop(together);
    let operand = |source| match source {
        Source::Held(blob) => Operand::Stored(Blob::stat(&blob)),
        Source::Read(_, stat) => Operand::Stored(stat),
    };
    Ok(sources.into_iter().map(operand).collect())
}
