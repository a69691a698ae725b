//! A server that runs, and channels to it.

use std::net::SocketAddr;
use std::time::Duration;

use deriva::prelude::*;
use deriva_proto::v1::blobs_client::BlobsClient;
use deriva_proto::v1::graph_client::GraphClient;
use deriva_proto::v1::materialize_client::MaterializeClient;
use deriva_server::{Drained, Server};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

/// More than any of this takes on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A server that runs until it is told to stop.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) reload: deriva_server::Reload,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<Drained>>,
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) async fn deriva() -> Deriva {
    let builder = Deriva::builder().store("memory:");
    builder.build().await.unwrap()
}

pub(crate) async fn serve(server: Server) -> Running {
    let bound = server.bind(loopback()).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    Running {
        addr: bound.addr().unwrap(),
        http: bound.http_addr().unwrap(),
        reload: bound.reloading(),
        stop,
        ended: tokio::spawn(bound.serve(async {
            let _ = stopped.await;
        })),
    }
}

impl Running {
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.addr)).unwrap()
    }

    pub(crate) async fn channel(&self) -> Channel {
        self.endpoint().connect().await.unwrap()
    }

    pub(crate) async fn blobs(&self) -> BlobsClient<Channel> {
        BlobsClient::new(self.channel().await)
    }

    pub(crate) async fn graph(&self) -> GraphClient<Channel> {
        GraphClient::new(self.channel().await)
    }

    pub(crate) async fn materialize(&self) -> MaterializeClient<Channel> {
        MaterializeClient::new(self.channel().await)
    }

    /// Tells it to stop.
    pub(crate) fn stop(self) -> JoinHandle<Result<Drained>> {
        self.stop.send(()).unwrap();
        self.ended
    }
}

/// Waits until a condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("it did not come to hold in time");
}
