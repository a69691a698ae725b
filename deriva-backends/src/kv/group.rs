//! Group commit: callers queue writes to one thread, which takes all that wait, commits them in one
//! go, and answers everybody.
//!
//! A caller waits for the commit that is under way and then for its own: two at the most, unless more
//! is waiting than one group may weigh. Then groups are taken in the order of the calls, so that no write,
//! however heavy, is overtaken for ever.
//! Reusable by any store that can apply a batch: it knows nothing of keys and engines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use deriva_api::{Error, ErrorKind, Result};
use futures::channel::oneshot;
use parking_lot::{Condvar, Mutex};

use crate::threads::not_started;

/// What a group may weigh, in the unit of [`Committer::weight`]. A heavier write is a group of its own.
const MAX_GROUP: usize = 64 << 20;

/// Decides and applies groups of writes. Runs on the commit thread alone, so it may read, decide and
/// write without any lock.
pub(super) trait Committer: Send + 'static {
    type Op: Send + 'static;
    type Answer: Send + 'static;

    /// About how many bytes the write keeps in memory.
    fn weight(op: &Self::Op) -> usize;

    /// Applies the group and makes it durable; one answer for each write, in order.
    fn commit(&mut self, ops: Vec<Self::Op>) -> Vec<Result<Self::Answer>>;

    /// How long until [`Committer::tend`] wants to be called; `None` while there is no need.
    fn due(&self) -> Option<Duration>;

    /// Does what was put off.
    fn tend(&mut self);

    /// Called once, when no more writes will come.
    fn close(&mut self);
}

/// The callers' end. Dropping it commits what waits, and ends the thread.
pub(super) struct GroupCommit<C: Committer> {
    queue: Arc<Queue<C>>,
    thread: Option<JoinHandle<()>>,
}

struct Queue<C: Committer> {
    state: Mutex<State<C>>,
    work: Condvar,
}

struct State<C: Committer> {
    /// The next group.
    group: Vec<Job<C>>,
    weight: usize,
    /// What has no room in it, in the order of the calls.
    waiting: VecDeque<(usize, Job<C>)>,
    closed: bool,
}

/// What the commit thread does next.
enum Next<C: Committer> {
    Group(Vec<Job<C>>),
    Due,
    Closed,
}

type Job<C> = (
    <C as Committer>::Op,
    oneshot::Sender<Result<<C as Committer>::Answer>>,
);

impl<C: Committer> GroupCommit<C> {
    /// Starts the commit thread.
    pub(super) fn start(name: &str, committer: C) -> Result<Self> {
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                group: Vec::new(),
                weight: 0,
                waiting: VecDeque::new(),
                closed: false,
            }),
            work: Condvar::new(),
        });
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn({
            let queue = CloseAtEnd(queue.clone());
            move || queue.0.serve(committer)
        });
        Ok(Self {
            queue,
            thread: Some(thread.map_err(not_started)?),
        })
    }

    /// Queues a write and waits for its commit. Once it has a place in a group it is committed even if
    /// the caller goes.
    pub(super) async fn submit(&self, op: C::Op) -> Result<C::Answer> {
        let weight = C::weight(&op);
        let (sender, answer) = oneshot::channel();
        {
            let mut state = self.queue.state.lock();
            if state.closed {
                return Err(ended());
            }
            state.waiting.push_back((weight, (op, sender)));
            state.fill();
            self.queue.work.notify_one();
        }
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl<C: Committer> State<C> {
    /// Moves what waits into the group, as far as it has room. Whoever comes later waits for who
    /// waits already, even if there would be room for him.
    fn fill(&mut self) {
        while let Some((weight, job)) = self.waiting.pop_front() {
            // What a caller gave up while it waited is not written.
            if job.1.is_canceled() {
                continue;
            }
            // An empty group takes anything, or a very heavy write could never be made.
            if !self.group.is_empty() && self.weight.saturating_add(weight) > MAX_GROUP {
                self.waiting.push_front((weight, job));
                break;
            }
            self.weight = self.weight.saturating_add(weight);
            self.group.push(job);
        }
    }

    fn take(&mut self) -> Vec<Job<C>> {
        self.weight = 0;
        let group = std::mem::take(&mut self.group);
        self.fill();
        group
    }
}

impl<C: Committer> Queue<C> {
    fn serve(&self, mut committer: C) {
        loop {
            let jobs = match self.next(committer.due()) {
                Next::Group(jobs) => jobs,
                Next::Due => {
                    committer.tend();
                    continue;
                }
                Next::Closed => break,
            };
            let (ops, senders): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
            for (sender, answer) in senders.into_iter().zip(committer.commit(ops)) {
                // A caller that is gone needs no answer.
                sender.send(answer).ok();
                failpoint!(COMMIT_ANSWERED);
            }
        }
        committer.close();
    }

    fn next(&self, due: Option<Duration>) -> Next<C> {
        // First of all, or it would never come while writes keep coming.
        if due.is_some_and(|left| left.is_zero()) {
            return Next::Due;
        }
        let mut state = self.state.lock();
        while state.group.is_empty() {
            if state.closed {
                return Next::Closed;
            }
            let Some(left) = due else {
                self.work.wait(&mut state);
                continue;
            };
            if self.work.wait_for(&mut state, left).timed_out() && state.group.is_empty() {
                return Next::Due;
            }
        }
        Next::Group(state.take())
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.work.notify_all();
    }
}

/// Also when the thread panics, nobody is left waiting.
struct CloseAtEnd<C: Committer>(Arc<Queue<C>>);

impl<C: Committer> Drop for CloseAtEnd<C> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        state.group.clear();
        state.waiting.clear();
    }
}

impl<C: Committer> Drop for GroupCommit<C> {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the commit thread was answered to its callers.
            thread.join().ok();
        }
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Internal, "the store's commit thread has ended")
        .hint("open the store again; an earlier error says why it ended")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::join_all;

    /// Waits until it is let go on.
    struct Held(Arc<Mutex<Vec<Vec<usize>>>>, std::sync::mpsc::Receiver<()>);

    impl Committer for Held {
        type Op = usize;
        type Answer = ();
        fn weight(op: &usize) -> usize {
            *op
        }
        fn commit(&mut self, ops: Vec<usize>) -> Vec<Result<()>> {
            self.1.recv().ok();
            let answers = ops.iter().map(|_| Ok(())).collect();
            self.0.lock().push(ops);
            answers
        }
        fn due(&self) -> Option<Duration> {
            None
        }
        fn tend(&mut self) {}
        fn close(&mut self) {}
    }

    #[tokio::test]
    async fn a_heavy_write_is_not_overtaken() {
        let groups: Arc<Mutex<Vec<Vec<usize>>>> = Arc::default();
        let (go, held) = std::sync::mpsc::channel();
        let commit = GroupCommit::start("test", Held(Arc::clone(&groups), held)).unwrap();
        let heavy = MAX_GROUP + 1;
        let mut calls = Vec::new();
        for weight in [1, 2, heavy, 3, 4] {
            let mut call = Box::pin(commit.submit(weight).fuse());
            assert!(futures::poll!(call.as_mut()).is_pending());
            calls.push(call);
        }
        // Light ones keep coming, each before the heavy one has a turn to look for room.
        for round in 0..10 {
            go.send(()).unwrap();
            while groups.lock().len() <= round {
                std::thread::yield_now();
            }
            let mut call = Box::pin(commit.submit(5).fuse());
            assert!(futures::poll!(call.as_mut()).is_pending());
            calls.push(call);
            let _ = futures::poll!(calls[2].as_mut());
        }
        let groups: Vec<Vec<usize>> = groups.lock().clone();
        let at = |weight| groups.iter().position(|group| group.contains(&weight));
        assert!(at(heavy).is_some_and(|at| at <= 2), "{groups:?}");
        assert!(at(3) > at(heavy), "{groups:?}");
        drop((calls, go));
    }

    /// Answers each number with the size of its group; panics at 0.
    struct Counting(Arc<Mutex<Vec<usize>>>);

    impl Committer for Counting {
        type Op = usize;
        type Answer = usize;
        fn weight(op: &usize) -> usize {
            *op
        }
        fn commit(&mut self, ops: Vec<usize>) -> Vec<Result<usize>> {
            assert!(!ops.contains(&0), "told to panic");
            self.0.lock().push(ops.len());
            ops.iter().map(|_| Ok(ops.len())).collect()
        }
        fn due(&self) -> Option<Duration> {
            None
        }
        fn tend(&mut self) {}
        fn close(&mut self) {
            self.0.lock().push(usize::MAX);
        }
    }

    #[tokio::test]
    async fn callers_that_wait_share_a_commit() {
        let groups = Arc::default();
        let commit = GroupCommit::start("test", Counting(Arc::clone(&groups))).unwrap();
        let answers = join_all((0..100).map(|_| commit.submit(MAX_GROUP / 10))).await;
        assert!(answers.iter().all(|answer| *answer.as_ref().unwrap() <= 10));
        drop(commit);
        let groups = groups.lock();
        assert_eq!(groups.last(), Some(&usize::MAX), "closed at the end");
        assert_eq!(groups[..groups.len() - 1].iter().sum::<usize>(), 100);
    }

    #[tokio::test]
    async fn nobody_hangs_when_the_commit_thread_panics() {
        let commit = GroupCommit::start("test", Counting(Arc::default())).unwrap();
        for _ in 0..2 {
            let error = commit.submit(0).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
        }
    }
}
