//! The steps that a run has with the executor, and the slots for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deriva_api::{CAddr, CallContext, ErrorKind, Progress};
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::{Instrument, Span};

use super::heavy::{Ended, Outcome, Prepared, execute};
use super::reporter::INTERVAL;
use super::timeline::sliced;
use super::{Context, Done, hand_over};
use crate::materialize::plan::NodeId;
use crate::planted::{Fault, planted};
use crate::shared::invoke::guarded_async;
use crate::shared::slots::{Slot, Ticket};
use crate::shared::spans;
use crate::timeline::Open;

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

impl Executing {
    pub(super) fn new(context: &Context) -> Self {
        let (inner, options) = (&context.inner, &context.options);
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

    pub(super) async fn next(&mut self) -> Done {
        tokio::select! {
            biased;
            Some(outcome) = self.outcomes.recv() => Done::Executed(outcome),
            () = self.ticket.granted(), if self.asked => Done::Slot,
            Some(progress) = self.told.recv() => Done::Progress(progress),
        }
    }

    pub(super) fn try_next(&mut self) -> Option<Outcome> {
        self.outcomes.try_recv().ok()
    }

    /// A slot, where `count` could be used for steps of this priority. Where there is none now, the loop hears
    /// when there may be.
    pub(super) fn take_slot(&mut self, count: usize, priority: i32) -> Option<Slot> {
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

    /// What a function may ask and tell while it runs.
    pub(super) fn call_context(
        &self,
        context: &Context,
        addr: CAddr,
        deadline: Option<Duration>,
        is_heard: bool,
    ) -> CallContext {
        let clock = &context.inner.clock;
        let telling = is_heard.then(|| {
            let (telling, clock) = (self.telling.clone(), Arc::clone(clock));
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

    /// Starts a step, in a task of its own. `ahead` bytes are set aside for its output, and its work is `seen` as a span
    /// and a slice.
    pub(super) fn start(
        &mut self,
        context: &Context,
        step: Prepared,
        slot: Option<Slot>,
        ahead: u64,
        seen: (Span, Option<Open>),
    ) {
        let inner = &context.inner;
        let Prepared { outcome, work } = step;
        let work = execute(Arc::clone(inner), Arc::clone(&context.lease), work);
        // Around all that a step holds: a task that panics would leave the run waiting for it.
        let work = guarded_async(ErrorKind::Internal, "the executor panicked", work);
        let work = work.map(|ended| ended.unwrap_or_else(|error| Ended::Executed(Err(error))));
        let (span, slice) = seen;
        let work = sliced(slice, work);
        let (within, clock, began) = (span.clone(), Arc::clone(&inner.clock), inner.clock.now());
        // The span ends before anybody is told: who hears of the end of a request has all of its spans.
        let work = async move {
            let ended = work.await;
            let took = clock.now().saturating_sub(began);
            spans::computed(&within, ended.told(), took);
            (ended, took)
        };
        let work = work.instrument(span.or_current());
        let is_handed_over = Arc::new(AtomicBool::new(false));
        let (node, handed_over) = (outcome.node, Arc::clone(&is_handed_over));
        let (sender, counted) = (self.sender.clone(), inner.tallies.steps.begin());
        let inner = Arc::clone(inner);
        let task = context.inner.tokio.spawn(async move {
            let (ended, took) = work.await;
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
                took,
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
        let step = InFlight {
            task: task.abort_handle(),
            is_handed_over,
            ahead,
        };
        self.steps.insert(node, step);
    }

    /// A step ended. Answers with the bytes that were set aside for it; its slot is for the next step.
    pub(super) fn ended(&mut self, node: NodeId, slot: Option<Slot>) -> u64 {
        self.returned.extend(slot);
        self.steps.remove(&node).map_or(0, |step| step.ahead)
    }

    /// The nodes whose steps are in flight.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.steps.keys().copied()
    }

    /// The number of steps in flight.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether the step of a node is in flight.
    pub(super) fn has(&self, node: NodeId) -> bool {
        self.steps.contains_key(&node)
    }
}
