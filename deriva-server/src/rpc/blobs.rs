//! The calls of `Blobs`.

use bytes::Bytes;
use deriva::stores::BlobStore;
use deriva::{BlobStat, ByteRange, CAddr, Error, ErrorKind, Result};
use deriva_proto::v1::blobs_server::Blobs;
use deriva_proto::{addr_of, addrs_of, bytes_of_all, maybe_addr_of, status_of, v1};
use futures::TryStreamExt;
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::putting::Putting;
use super::sending::{Part, Pieces, Sent, filled, pieces};
use super::{Answer, Calls, answer};
use crate::admission::Arrived;

/// Bytes that a listed blob takes in a message.
const LISTED_BYTES: usize = 48;

impl Calls {
    fn blobs(&self) -> &dyn BlobStore {
        &**self.0.deriva.blobs()
    }

    fn batch_of(&self, field: &'static str, addrs: &[Bytes]) -> Result<Vec<CAddr>> {
        self.check_batch("addresses", addrs.len())?;
        addrs_of(field, addrs)
    }

    /// The next frame of a `Put`. What waits in memory for it does not wait for long.
    #[allow(
        clippy::disallowed_methods,
        reason = "the other end of a connection lives by the time of its own machine"
    )]
    async fn next_frame(
        &self,
        frames: &mut Streaming<v1::PutRequest>,
        putting: &mut Putting<'_>,
    ) -> std::result::Result<Option<v1::PutRequest>, Status> {
        if putting.holds() {
            match timeout(self.0.limits.stall_timeout, frames.message()).await {
                Ok(frame) => return frame,
                Err(_) => {
                    let written = putting.let_go().await;
                    written.map_err(|error| status_of(&error))?;
                }
            }
        }
        frames.message().await
    }

    /// Those that are asked for, and what is known of each.
    async fn stat_of(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        self.blobs().stat(addrs).await
    }

    async fn begin_get(&self, message: v1::GetBlobRequest) -> Result<(BlobStat, Reading)> {
        let addr = addr_of("GetBlobRequest.addr", &message.addr)?;
        let range = message.range.map_or(ByteRange::ALL, ByteRange::from);
        let lease = self.0.deriva.lease();
        lease.protect(addr).await;
        let found = self.stat_of(&[addr]).await?.into_iter().next().flatten();
        let stat = found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no blob of this address")
                .during("get")
                .with("addr", addr)
        })?;
        let within = range.within(stat.len);
        let reading = Reading {
            calls: self.clone(),
            addr,
            at: within.start,
            end: within.end,
            begun: false,
            _lease: lease,
        };
        Ok((stat, reading))
    }
}

/// A blob that is being read.
struct Reading {
    calls: Calls,
    addr: CAddr,
    at: u64,
    end: u64,
    /// The first piece was read, which an empty range has, too: damage is told.
    begun: bool,
    /// It is not collected meanwhile.
    _lease: deriva::admin::Lease,
}

impl Pieces for Reading {
    async fn next(&mut self, most: u64) -> Result<Option<Bytes>> {
        if std::mem::replace(&mut self.begun, true) && self.at >= self.end {
            return Ok(None);
        }
        let wanted = most.min(self.end - self.at);
        let range = ByteRange::new(self.at, wanted);
        let piece = self.calls.blobs().get_range(self.addr, range).await?;
        let piece = piece.ok_or_else(|| {
            let what = "the blob was removed while it was read";
            Error::new(ErrorKind::NotFound, what).with("addr", self.addr)
        })?;
        if piece.len() as u64 != wanted {
            let what = "the store gave a piece of another length";
            return Err(Error::new(ErrorKind::Corrupt, what)
                .with("addr", self.addr)
                .with("expected", wanted)
                .with("found", piece.len()));
        }
        self.at += wanted;
        Ok(Some(piece))
    }
}

#[tonic::async_trait]
impl Blobs for Calls {
    async fn put(&self, request: Request<Streaming<v1::PutRequest>>) -> Answer<v1::PutResponse> {
        let arrived = request.extensions().get::<Arrived>().cloned();
        let arrived = arrived.unwrap_or_default();
        let mut frames = request.into_inner();
        let mut putting = Putting::new(&self.0);
        while let Some(frame) = self.next_frame(&mut frames, &mut putting).await? {
            arrived.read();
            let taken = putting.take(frame).await;
            taken.map_err(|error| status_of(&error))?;
        }
        let blobs = putting.finish().await;
        let blobs = blobs.map_err(|error| status_of(&error))?;
        let blobs = blobs.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::PutResponse { blobs }))
    }

    type GetStream = Sent<v1::GetBlobResponse>;

    async fn get(&self, request: Request<v1::GetBlobRequest>) -> Answer<Self::GetStream> {
        let begun = self.begin_get(request.into_inner()).await;
        let (stat, reading) = begun.map_err(|error| status_of(&error))?;
        // The first frame says what comes.
        let mut stat = Some(stat.into());
        let frame = move |chunk| v1::GetBlobResponse {
            stat: stat.take(),
            chunk,
        };
        let sent = pieces(reading, self.0.budget.clone(), frame);
        Ok(Response::new(sent))
    }

    async fn stat(&self, request: Request<v1::StatRequest>) -> Answer<v1::StatResponse> {
        let message = request.into_inner();
        let stat = async {
            let addrs = self.batch_of("StatRequest.addrs", &message.addrs)?;
            let found = self.stat_of(&addrs).await?;
            let stats = found.into_iter().map(Into::into).collect();
            Ok(v1::StatResponse { stats })
        };
        answer(stat.await)
    }

    async fn missing(&self, request: Request<v1::MissingRequest>) -> Answer<v1::MissingResponse> {
        let message = request.into_inner();
        let missing = async {
            let addrs = self.batch_of("MissingRequest.addrs", &message.addrs)?;
            let found = self.stat_of(&addrs).await?;
            let missing = addrs.iter().zip(found);
            let missing = missing.filter_map(|(addr, found)| found.is_none().then_some(*addr));
            let missing: Vec<CAddr> = missing.collect();
            let addrs = bytes_of_all(&missing);
            Ok(v1::MissingResponse { addrs })
        };
        answer(missing.await)
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Answer<v1::VerifyResponse> {
        let message = request.into_inner();
        let verify = async {
            let addrs = self.batch_of("VerifyRequest.addrs", &message.addrs)?;
            let found = self.blobs().verify(&addrs).await?;
            let checks = found.into_iter();
            let checks = checks.map(|check| v1::BlobCheck::from(check).into());
            let checks = checks.collect();
            Ok(v1::VerifyResponse { checks })
        };
        answer(verify.await)
    }

    type ListStream = Sent<v1::ListBlobsResponse>;

    async fn list(&self, request: Request<v1::ListBlobsRequest>) -> Answer<Self::ListStream> {
        let after = request.into_inner().after;
        let after = maybe_addr_of("ListBlobsRequest.after", after.as_ref());
        let after = after.map_err(|error| status_of(&error))?;
        let calls = self.clone();
        filled(|outbox| async move {
            let mut listed = calls.blobs().list(after);
            let mut part = Part::new();
            while let Some(stat) = listed.try_next().await? {
                if let Some(blobs) = part.add(stat.into(), LISTED_BYTES) {
                    outbox.send_alone(v1::ListBlobsResponse { blobs }).await?;
                }
            }
            match part.rest() {
                Some(blobs) => outbox.send_alone(v1::ListBlobsResponse { blobs }).await,
                None => Ok(()),
            }
        })
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveBlobsRequest>,
    ) -> Answer<v1::RemoveBlobsResponse> {
        let message = request.into_inner();
        let remove = async {
            let addrs = self.batch_of("RemoveBlobsRequest.addrs", &message.addrs)?;
            self.blobs().remove(&addrs).await?;
            Ok(v1::RemoveBlobsResponse {})
        };
        answer(remove.await)
    }

    async fn usage(&self, _: Request<v1::BlobUsageRequest>) -> Answer<v1::BlobUsageResponse> {
        let usage = self.blobs().usage().await;
        answer(usage.map(|usage| v1::BlobUsageResponse {
            usage: usage.map(Into::into),
            capabilities: Some(self.blobs().capabilities().into()),
        }))
    }

    async fn flush(&self, _: Request<v1::FlushBlobsRequest>) -> Answer<v1::FlushBlobsResponse> {
        let flushed = self.blobs().flush().await;
        answer(flushed.map(|()| v1::FlushBlobsResponse {}))
    }
}
