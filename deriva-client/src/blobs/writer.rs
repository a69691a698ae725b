//! A blob that comes piece by piece.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use deriva_api::authors::check_expected;
use deriva_api::{BlobHasher, BlobStat, BlobWriter, Bytes, Error, ErrorKind, Result, async_trait};
use deriva_proto::v1;
use futures::stream::unfold;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;
use tonic::{Response, Status};

use crate::answers::{checked, was};
use crate::batches::FRAME;
use crate::blobs::put::{moving, pieces, stored};
use crate::client::Client;
use crate::failure::Failure;

/// Frames that wait to be sent: so much is held, and no more.
const WAITING: usize = 4;

/// A blob on its way. It is sent by a task, which ends with it.
pub(crate) struct Upload {
    client: Client,
    expect: Option<BlobStat>,
    hasher: BlobHasher,
    /// Small pieces, until they make a frame.
    small: BytesMut,
    /// What the first frame says.
    begin: Option<v1::PutBegin>,
    /// Until the last frame.
    frames: Option<Sender<v1::PutRequest>>,
    call: Call,
    taken: Arc<AtomicU64>,
}

type Answer = Result<Response<v1::PutResponse>, Status>;

/// The task of the call, which is given up when this is dropped.
#[derive(Debug)]
struct Call(JoinHandle<Answer>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Call {
    async fn answer(&mut self) -> Answer {
        let ended = (&mut self.0).await;
        ended.unwrap_or_else(|_| Err(Status::unavailable("the runtime of the client has ended")))
    }
}

impl Client {
    pub(crate) fn upload(&self, expect: Option<BlobStat>) -> Upload {
        let (frames, receiver) = channel(WAITING);
        let taken = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&taken);
        let stream = unfold(
            (receiver, counting),
            |(mut receiver, counting)| async move {
                let frame = receiver.recv().await?;
                counting.fetch_add(1, Ordering::Relaxed);
                Some((frame, (receiver, counting)))
            },
        );
        let mut service = self.link().blobs();
        let call = self
            .link()
            .tokio
            .spawn(async move { service.put(stream).await });
        Upload {
            client: self.clone(),
            expect,
            hasher: BlobHasher::new(),
            small: BytesMut::new(),
            begin: Some(v1::PutBegin {
                expect: expect.map(Into::into),
            }),
            frames: Some(frames),
            call: Call(call),
            taken,
        }
    }
}

impl Upload {
    async fn send(&mut self, chunk: Bytes, end: bool) -> Result<()> {
        let frame = v1::PutRequest {
            begin: self.begin.take(),
            chunk,
            end,
        };
        let link = self.client.link();
        let Some(frames) = &self.frames else {
            let what = "this writer has failed before";
            return Err(Error::new(ErrorKind::Cancelled, what).hint("begin a new one"));
        };
        let failure = match link.within(link.idle_timeout, frames.send(frame)).await {
            Some(Ok(())) => return Ok(()),
            // The call has ended before the blob.
            Some(Err(_)) => match self.call.answer().await {
                Ok(_) => was("an answer after the last frame", "one before").into(),
                Err(status) => Failure::of(status, self.client.link()),
            },
            None => link.stood_still(),
        };
        self.frames = None;
        Err(lost("write", failure))
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.hasher.update(&chunk);
        for piece in pieces(chunk) {
            if self.small.is_empty() && piece.len() >= FRAME / 2 {
                self.send(piece, false).await?;
                continue;
            }
            self.small.extend_from_slice(&piece);
            if self.small.len() >= FRAME {
                let frame = self.small.split().freeze();
                self.send(frame, false).await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<BlobStat> {
        let stat = self.hasher.finish();
        check_expected(self.expect, stat)?;
        let rest = self.small.split().freeze();
        self.send(rest, true).await?;
        self.frames = None;
        let Self {
            client,
            call,
            taken,
            ..
        } = &mut self;
        let answer = moving(client.link(), taken, call.answer())
            .await
            .map_err(|failure| lost("finish", failure))?;
        checked("finish", || stored(&[stat], answer.into_inner()))?;
        Ok(stat)
    }
}

/// What was sent is not kept: nobody but the caller can send it again.
fn lost(operation: &'static str, failure: Failure) -> Error {
    let is_passing = failure.is_passing();
    let error = failure.named(operation);
    match is_passing {
        true => error.hint("nothing was stored: begin a new writer"),
        false => error,
    }
}

#[async_trait]
impl BlobWriter for Upload {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.write(chunk).await
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        Self::finish(*self).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("client", &self.client)
            .field("expect", &self.expect)
            .field("bytes", &self.hasher.len())
            .finish_non_exhaustive()
    }
}
