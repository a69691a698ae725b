//! Bodies of calls: their bytes find room as they come, and do not keep it while no more come.

#![allow(
    clippy::disallowed_methods,
    reason = "the other end of a connection lives by the time of its own machine"
)]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use deriva::{Error, ErrorKind};
use deriva_proto::status_of;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use crate::budget::{Budget, Charge, overloaded};

/// Bytes of a message that find room without asking: questions come through where uploads have taken all there is.
const FREE: usize = 16 << 10;

/// Room for what of a call has arrived and was not read yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrived(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    charge: Charge,
    /// Bytes without a charge.
    free: usize,
}

impl Arrived {
    /// All that made a message was read: what comes now belongs to the next one.
    pub(crate) fn read(&self) {
        *self.0.lock() = Held::default();
    }

    /// Finds room for more; answers whether there is.
    fn grow(&self, budget: &Budget, bytes: usize) -> bool {
        let mut held = self.0.lock();
        if held.charge.grow(budget, bytes) {
            return true;
        }
        held.free += bytes;
        held.free <= FREE
    }

    fn is_empty(&self) -> bool {
        let held = self.0.lock();
        held.free == 0 && held.charge.is_none()
    }
}

/// A body whose bytes find room as they come, or are refused.
pub(super) struct Charged {
    body: Body,
    budget: Budget,
    arrived: Arrived,
    stall_timeout: Duration,
    /// Since a part of a message came, and nothing after it.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Charged {
    pub(super) fn new(
        body: Body,
        budget: Budget,
        arrived: Arrived,
        stall_timeout: Duration,
    ) -> Self {
        Self {
            body,
            budget,
            arrived,
            stall_timeout,
            stalled: None,
        }
    }

    /// Whether nothing has come for too long after a part of a message.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.arrived.is_empty() {
            self.stalled = None;
            return Poll::Pending;
        }
        let patience = self.stall_timeout;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        stalled.as_mut().poll(cx)
    }
}

impl http_body::Body for Charged {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(cx) else {
            return match self.poll_stalled(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(stood_still(self.stall_timeout)))),
                Poll::Pending => Poll::Pending,
            };
        };
        self.stalled = None;
        if let Some(Ok(frame)) = &polled
            && let Some(data) = frame.data_ref()
            && !self.arrived.grow(&self.budget, data.len())
        {
            let status = overloaded("no room for more bytes at this moment");
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn stood_still(limit: Duration) -> Status {
    let what = "a message stood still after a part of it had come";
    let error = Error::new(ErrorKind::Timeout, what);
    let error = error.with("limit", humantime::format_duration(limit));
    status_of(&error.hint("send messages whole, and smaller ones over a slow network"))
}
