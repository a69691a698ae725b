//! Steps at once: the one of the highest priority begins next.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use futures::channel::oneshot;
use parking_lot::Mutex;

/// The priority of a step: who joins it raises it.
pub(super) type Priority = Arc<AtomicI32>;

pub(super) struct Slots(Mutex<State>);

struct State {
    free: usize,
    /// In the order in which they came.
    waiting: Vec<(Priority, oneshot::Sender<Slot>)>,
}

/// Is given back when it is dropped.
pub(super) struct Slot(Arc<Slots>);

impl Slots {
    pub(super) fn new(free: usize) -> Arc<Self> {
        let waiting = Vec::new();
        Arc::new(Self(Mutex::new(State { free, waiting })))
    }

    pub(super) fn free(&self) -> usize {
        self.0.lock().free
    }

    pub(super) fn ask(self: &Arc<Self>, priority: &Priority) -> oneshot::Receiver<Slot> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().waiting.push((priority.clone(), sender));
        self.grant();
        receiver
    }

    fn grant(self: &Arc<Self>) {
        while let Some(sender) = self.next() {
            // A slot that nobody takes is dropped here, and goes on.
            drop(sender.send(Slot(self.clone())));
        }
    }

    fn next(&self) -> Option<oneshot::Sender<Slot>> {
        let mut state = self.0.lock();
        let waiting = state.waiting.iter().enumerate();
        let highest = waiting.max_by_key(|(place, (priority, _))| {
            (priority.load(Ordering::SeqCst), std::cmp::Reverse(*place))
        });
        let (place, _) = highest.filter(|_| state.free > 0)?;
        state.free -= 1;
        Some(state.waiting.remove(place).1)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.lock().free += 1;
        self.0.grant();
    }
}
