//! A group commit as one would write it by hand: a thread takes what waits and writes it in one batch.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use deriva::prelude::*;
use tokio::sync::oneshot;

use super::{Raw, Row};

type Job = (Vec<Row>, oneshot::Sender<Result<()>>);

pub(crate) struct GroupCommit {
    queue: Sender<Job>,
    thread: JoinHandle<()>,
}

impl GroupCommit {
    pub(crate) fn start(engine: Arc<dyn Raw>) -> Self {
        let (queue, jobs) = channel::<Job>();
        let thread = std::thread::spawn(move || {
            while let Ok(first) = jobs.recv() {
                let (mut rows, mut callers) = (first.0, vec![first.1]);
                for (more, caller) in jobs.try_iter() {
                    rows.extend(more);
                    callers.push(caller);
                }
                let written = engine.write(&rows);
                for caller in callers {
                    caller.send(written.clone()).ok();
                }
            }
        });
        Self { queue, thread }
    }

    pub(crate) async fn write(&self, rows: Vec<Row>) -> Result<()> {
        let (sender, answer) = oneshot::channel();
        let ended = || Error::new(ErrorKind::Internal, "the commit thread ended");
        self.queue.send((rows, sender)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Ends the thread, which lets go of the engine.
    pub(crate) fn end(self) {
        drop(self.queue);
        self.thread.join().ok();
    }
}
