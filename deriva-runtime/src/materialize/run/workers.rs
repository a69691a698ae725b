//! Where chunks of light nodes run beside the scheduler.
//!
//! A worker is a thread that may block. It takes one chunk after the other until none waits; so while the
//! scheduler keeps it supplied, nobody is woken for a chunk.

use std::collections::VecDeque;
use std::sync::Arc;

use deriva_api::{Clock, ComputeFunction};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::Span;

use super::light::{Chunk, ChunkDone, run_chunk};
use crate::shared::Inner;
use crate::shared::invoke::let_go;

/// Chunks on their way for each worker: one runs, one waits.
const AHEAD: usize = 2;

pub(super) struct Workers {
    shared: Arc<Shared>,
    done: UnboundedReceiver<ChunkDone>,
    tokio: Handle,
    limit: usize,
    under_way: usize,
}

struct Shared {
    state: Mutex<State>,
    functions: Vec<Arc<dyn ComputeFunction>>,
    clock: Arc<dyn Clock>,
    done: UnboundedSender<ChunkDone>,
}

#[derive(Default)]
struct State {
    /// Each with the span that it runs in.
    waiting: VecDeque<(Chunk, Span)>,
    /// Workers that run.
    workers: usize,
}

impl Workers {
    /// Workers beside a scheduler that may have `jobs` steps run, itself among them.
    pub(super) fn new(inner: &Inner, functions: &[Arc<dyn ComputeFunction>], jobs: usize) -> Self {
        let (sender, done) = unbounded_channel();
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                functions: functions.to_vec(),
                clock: Arc::clone(&inner.clock),
                done: sender,
            }),
            done,
            tokio: inner.tokio.clone(),
            limit: jobs.saturating_sub(1),
            under_way: 0,
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// Whether another chunk would soon be taken.
    pub(super) fn have_room(&self) -> bool {
        self.under_way < AHEAD * self.limit
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        self.under_way += 1;
        let mut state = self.shared.state.lock();
        state.waiting.push_back((chunk, Span::current()));
        if state.workers < self.limit {
            state.workers += 1;
            let shared = Arc::clone(&self.shared);
            self.tokio.spawn_blocking(move || shared.run());
        }
    }

    /// A chunk that no worker has begun. Where all threads that may block are taken, maybe by callers who wait
    /// for this very request, no worker ever will.
    pub(super) fn take_back(&mut self) -> Option<Chunk> {
        let chunk = self.shared.state.lock().waiting.pop_back();
        self.under_way -= usize::from(chunk.is_some());
        Some(chunk?.0)
    }

    /// A chunk that is done by now.
    pub(super) fn try_next(&mut self) -> Option<ChunkDone> {
        let done = self.done.try_recv().ok();
        self.under_way -= usize::from(done.is_some());
        done
    }

    /// The chunk that is done next.
    pub(super) async fn next(&mut self) -> Option<ChunkDone> {
        let done = self.done.recv().await;
        self.under_way -= usize::from(done.is_some());
        done
    }
}

impl Drop for Workers {
    /// What runs is finished, for nobody; what waits is not begun.
    fn drop(&mut self) {
        self.shared.state.lock().waiting.clear();
    }
}

impl Shared {
    fn run(&self) {
        while let Some((chunk, span)) = self.take() {
            let done = span.in_scope(|| run_chunk(chunk, &self.functions, &*self.clock));
            // It ends before anybody is told.
            drop(span);
            // Who stopped waiting needs no answer.
            let_go(self.done.send(done));
        }
    }

    fn take(&self) -> Option<(Chunk, Span)> {
        let mut state = self.state.lock();
        let chunk = state.waiting.pop_front();
        state.workers -= usize::from(chunk.is_none());
        chunk
    }
}
