//! Group commit: callers queue writes to one thread, which takes all that wait, commits them in one
//! go, and answers everybody.
//!
//! A caller waits for the commit that is under way and then for its own: two at the most. The queue is
//! bounded by weight; callers beyond it wait, without blocking their thread, until a group is taken.
//! Reusable by any store that can apply a batch: it knows nothing of keys and engines.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use deriva_api::{Error, ErrorKind, Result};
use futures::channel::oneshot;
use parking_lot::{Condvar, Mutex};

/// The weight that may wait in a queue, in the unit of [`Committer::weight`].
const MAX_WAITING: usize = 64 << 20;

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
    jobs: Vec<Job<C>>,
    weight: usize,
    waiting: Vec<oneshot::Sender<()>>,
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
                jobs: Vec::new(),
                weight: 0,
                waiting: Vec::new(),
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
            thread: Some(thread.map_err(Error::io)?),
        })
    }

    /// Queues a write and waits for its commit. Once queued it is committed even if the caller goes.
    pub(super) async fn submit(&self, op: C::Op) -> Result<C::Answer> {
        let weight = C::weight(&op);
        let (sender, answer) = oneshot::channel();
        let mut job = Some((op, sender));
        while job.is_some() {
            let room = {
                let mut state = self.queue.state.lock();
                if state.closed {
                    return Err(ended());
                }
                // An empty queue takes anything, or a very large write could never be made.
                if state.jobs.is_empty() || state.weight + weight <= MAX_WAITING {
                    state.weight += weight;
                    state.jobs.extend(job.take());
                    self.queue.work.notify_one();
                    break;
                }
                let (sender, room) = oneshot::channel();
                state.waiting.push(sender);
                room
            };
            // An error means that the queue was closed, which the next round finds.
            room.await.ok();
        }
        answer.await.unwrap_or_else(|_| Err(ended()))
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
        while state.jobs.is_empty() {
            if state.closed {
                return Next::Closed;
            }
            let Some(left) = due else {
                self.work.wait(&mut state);
                continue;
            };
            if self.work.wait_for(&mut state, left).timed_out() && state.jobs.is_empty() {
                return Next::Due;
            }
        }
        state.weight = 0;
        for waiting in state.waiting.drain(..) {
            waiting.send(()).ok();
        }
        Next::Group(std::mem::take(&mut state.jobs))
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
        state.jobs.clear();
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
    use futures::future::join_all;

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
        let answers = join_all((0..100).map(|_| commit.submit(MAX_WAITING / 10))).await;
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
