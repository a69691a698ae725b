//! Streams of answers: those that a task fills, and the bytes of blobs.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use deriva::{Error, ErrorKind, Result};
use deriva_proto::status_of;
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Response, Status};
use tracing::Instrument;

use super::Answer;
use crate::budget::{Budget, Charge};

/// A stream of answers.
pub(super) type Sent<T> = Pin<Box<dyn Stream<Item = std::result::Result<T, Status>> + Send>>;

/// Messages that wait for a slow reader.
const WAITING: usize = 256;
/// Bytes of a blob in a message, as long as there is room for them.
pub(super) const PIECE: u64 = 256 << 10;
/// Those that each reader has without asking for room.
pub(super) const LEAST: u64 = 16 << 10;

/// Where a task puts what is to be sent.
#[derive(Debug)]
pub(super) struct Outbox<T>(mpsc::Sender<std::result::Result<T, Status>>);

impl<T: Send> Outbox<T> {
    /// Sends when there is room.
    ///
    /// # Errors
    /// `Cancelled` where nobody reads any more.
    pub(super) async fn send(&self, message: T) -> Result<()> {
        self.0.send(Ok(message)).await.map_err(|_| gone())
    }

    /// Sends once everything that was sent before is on its way: of large messages one waits at a time.
    ///
    /// # Errors
    /// `Cancelled` where nobody reads any more.
    pub(super) async fn send_alone(&self, message: T) -> Result<()> {
        let mut all = self.0.reserve_many(WAITING).await.map_err(|_| gone())?;
        if let Some(permit) = all.next() {
            permit.send(Ok(message));
        }
        Ok(())
    }

    /// Room for one message.
    ///
    /// # Errors
    /// `Cancelled` where nobody reads any more.
    pub(super) async fn room(&self) -> Result<mpsc::Permit<'_, std::result::Result<T, Status>>> {
        self.0.reserve().await.map_err(|_| gone())
    }

    /// Where those tell what happens who may outlive the work: the stream ends without them.
    pub(super) fn beside(&self) -> Beside<T> {
        Beside(self.0.downgrade())
    }
}

/// See [`Outbox::beside`].
#[derive(Debug)]
pub(super) struct Beside<T>(mpsc::WeakSender<std::result::Result<T, Status>>);

impl<T: Send> Beside<T> {
    /// Sends if there is room now; answers whether there was.
    pub(super) fn try_send(&self, message: T) -> bool {
        let outbox = self.0.upgrade();
        outbox.is_some_and(|outbox| outbox.try_send(Ok(message)).is_ok())
    }
}

pub(super) fn gone() -> Error {
    Error::new(ErrorKind::Cancelled, "the caller reads no more")
}

/// What a task fills, which ends with the stream: who drops it gives up what was asked for.
struct Filled<T> {
    messages: mpsc::Receiver<std::result::Result<T, Status>>,
    _task: AbortOnDropHandle<()>,
}

impl<T> Stream for Filled<T> {
    type Item = std::result::Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages.poll_recv(cx)
    }
}

/// A stream that `fill` fills beside whoever reads it; an error is its end.
pub(super) fn filled<T, F>(fill: impl FnOnce(Outbox<T>) -> F) -> Answer<Sent<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, messages) = mpsc::channel(WAITING);
    let work = fill(Outbox(sender.clone()));
    let task = async move {
        if let Err(error) = work.await {
            // Nobody may be there any more.
            let _ = sender.send(Err(status_of(&error))).await;
        }
    };
    let task = tokio::spawn(task.in_current_span());
    let filled = Filled {
        messages,
        _task: AbortOnDropHandle::new(task),
    };
    Ok(Response::new(Box::pin(filled)))
}

/// Reads some bytes, the next ones: at most as many as it is told; none at the end.
pub(super) trait Pieces: Send + 'static {
    fn next(&mut self, most: u64) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

/// What comes from `pieces`, made into messages as fast as they are read.
pub(super) fn pieces<P: Pieces, T: Send + 'static>(
    pieces: P,
    budget: Budget,
    into: impl FnMut(Bytes) -> T + Send + 'static,
) -> Sent<T> {
    // The charge of a message is held until the next one is asked for.
    let state = (pieces, budget, into, Charge::default(), false);
    let sent = stream::unfold(
        state,
        |(mut pieces, budget, mut into, held, over)| async move {
            if over {
                return None;
            }
            drop(held);
            let (most, charge) = budget.piece(PIECE, LEAST);
            match pieces.next(most).await {
                Ok(None) => None,
                Ok(Some(chunk)) => {
                    let message = into(chunk);
                    Some((Ok(message), (pieces, budget, into, charge, false)))
                }
                Err(error) => {
                    let status = status_of(&error);
                    Some((Err(status), (pieces, budget, into, charge, true)))
                }
            }
        },
    );
    sent.boxed()
}

/// How large a message with these many bytes may be before another one begins.
pub(super) const PART_BYTES: usize = 1 << 20;
/// How many items one message has at the most.
pub(super) const PART_ITEMS: usize = 4096;

/// Items of a message that is being filled.
#[derive(Debug)]
pub(super) struct Part<T> {
    items: Vec<T>,
    bytes: usize,
}

impl<T> Part<T> {
    pub(super) fn new() -> Self {
        Self {
            items: Vec::new(),
            bytes: 0,
        }
    }

    /// Adds an item of about this many bytes; answers with all items where they make a message.
    pub(super) fn add(&mut self, item: T, bytes: usize) -> Option<Vec<T>> {
        self.items.push(item);
        self.bytes += bytes;
        (self.items.len() >= PART_ITEMS || self.bytes >= PART_BYTES).then(|| self.take())
    }

    fn take(&mut self) -> Vec<T> {
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }

    /// What is left, if anything is.
    pub(super) fn rest(mut self) -> Option<Vec<T>> {
        (!self.items.is_empty()).then(|| self.take())
    }
}
