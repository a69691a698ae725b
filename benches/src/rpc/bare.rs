//! The bare service: the messages of the protocol, and nothing behind them.

use std::net::SocketAddr;
use std::pin::Pin;

use deriva::{ByteRange, Bytes, CAddr, Error, ErrorKind, Result};
use deriva_proto::v1::blobs_client::BlobsClient;
use deriva_proto::v1::blobs_server::{Blobs, BlobsServer};
use deriva_proto::{bytes_of, v1};
use futures::{Stream, StreamExt, stream};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

/// Bytes of a message, in either direction: as many as deriva's.
const OUT: usize = 256 << 10;
const IN: usize = 512 << 10;
/// The windows of its streams and connections: as large as those of deriva's client.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

struct Service {
    zeros: Bytes,
}

pub(super) async fn serve(listener: TcpListener) {
    let service = Service {
        zeros: vec![0; OUT].into(),
    };
    let service = BlobsServer::new(service).max_decoding_message_size(16 << 20);
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(service);
    // Without it each answer waits for the other side's delayed ACK: 44 ms.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let _ = server.serve_with_incoming(incoming).await;
}

/// Where nothing is asked of it.
fn unasked<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the bare service has no store"))
}

#[tonic::async_trait]
impl Blobs for Service {
    async fn put(
        &self,
        request: Request<Streaming<v1::PutRequest>>,
    ) -> Result<Response<v1::PutResponse>, Status> {
        let mut frames = request.into_inner();
        let mut bytes = 0;
        while let Some(frame) = frames.message().await? {
            bytes += frame.chunk.len();
        }
        let blobs = vec![v1::BlobStat {
            addr: bytes_of(CAddr::MIN),
            len: bytes as u64,
        }];
        Ok(Response::new(v1::PutResponse { blobs }))
    }

    type GetStream = Sent<v1::GetBlobResponse>;

    /// As many zeros as the range has.
    async fn get(
        &self,
        request: Request<v1::GetBlobRequest>,
    ) -> Result<Response<Self::GetStream>, Status> {
        let range = request.into_inner().range.unwrap_or_default();
        let len = usize::try_from(range.len.unwrap_or_default()).unwrap_or_default();
        let zeros = self.zeros.clone();
        let frames = (0..len.div_ceil(OUT)).map(move |at| {
            let chunk = zeros.slice(..OUT.min(len - at * OUT));
            Ok(v1::GetBlobResponse {
                chunk,
                ..Default::default()
            })
        });
        Ok(Response::new(stream::iter(frames).boxed()))
    }

    async fn stat(
        &self,
        _: Request<v1::StatRequest>,
    ) -> Result<Response<v1::StatResponse>, Status> {
        unasked()
    }

    async fn missing(
        &self,
        _: Request<v1::MissingRequest>,
    ) -> Result<Response<v1::MissingResponse>, Status> {
        unasked()
    }

    async fn verify(
        &self,
        _: Request<v1::VerifyRequest>,
    ) -> Result<Response<v1::VerifyResponse>, Status> {
        unasked()
    }

    type ListStream = Sent<v1::ListBlobsResponse>;

    async fn list(
        &self,
        _: Request<v1::ListBlobsRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        unasked()
    }

    async fn remove(
        &self,
        _: Request<v1::RemoveBlobsRequest>,
    ) -> Result<Response<v1::RemoveBlobsResponse>, Status> {
        unasked()
    }

    async fn usage(
        &self,
        _: Request<v1::BlobUsageRequest>,
    ) -> Result<Response<v1::BlobUsageResponse>, Status> {
        unasked()
    }

    async fn flush(
        &self,
        _: Request<v1::FlushBlobsRequest>,
    ) -> Result<Response<v1::FlushBlobsResponse>, Status> {
        unasked()
    }
}

/// A connection to it.
#[derive(Clone, Debug)]
pub(super) struct Client(BlobsClient<Channel>);

impl Client {
    pub(super) async fn connect(addr: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{addr}"));
        let endpoint = endpoint.map_err(|source| failed().caused_by(source))?;
        let endpoint = endpoint
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let channel = endpoint.connect().await;
        let channel = channel.map_err(|source| failed().caused_by(source))?;
        Ok(Self(BlobsClient::new(channel)))
    }

    pub(super) async fn put(&self, bytes: Bytes) -> Result<()> {
        let len = bytes.len();
        let frames = (0..len.div_ceil(IN)).map(move |at| v1::PutRequest {
            chunk: bytes.slice(at * IN..len.min((at + 1) * IN)),
            ..Default::default()
        });
        let put = self.0.clone().put(stream::iter(frames)).await;
        let answer = put.map_err(|source| failed().caused_by(source))?;
        match answer.into_inner().blobs.first() {
            Some(stat) if stat.len == len as u64 => Ok(()),
            _ => Err(failed()),
        }
    }

    pub(super) async fn get(&self, len: usize) -> Result<()> {
        let request = v1::GetBlobRequest {
            addr: bytes_of(CAddr::MIN),
            range: Some(ByteRange::new(0, len as u64).into()),
        };
        let get = self.0.clone().get(request).await;
        let mut frames = get
            .map_err(|source| failed().caused_by(source))?
            .into_inner();
        let mut found = 0;
        while let Some(frame) = frames
            .message()
            .await
            .map_err(|source| failed().caused_by(source))?
        {
            found += frame.chunk.len();
        }
        match found == len {
            true => Ok(()),
            false => Err(failed()),
        }
    }
}

fn failed() -> Error {
    Error::new(ErrorKind::Internal, "the bare service failed")
}
