//! A server that answers as a test says, and otherwise that it cannot.

mod services;
mod store;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deriva_api::{Bytes, CAddr};
use deriva_client::{Client, ClientBuilder};
use deriva_proto::v1;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt, iter};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status, Streaming};

use services::Watched;
pub(crate) use services::{Admin, Blobs, Graph, Materialize};
pub(crate) use store::Store;

pub(crate) type Answer<A> = BoxFuture<'static, Result<A, Status>>;
pub(crate) type Answers<A> = BoxStream<'static, Result<A, Status>>;
/// What a method answers.
pub(crate) type Unary<Q, A> = Option<Box<dyn Fn(Q) -> Answer<A> + Send + Sync>>;
pub(crate) type Streamed<Q, A> = Option<Box<dyn Fn(Q) -> Answer<Answers<A>> + Send + Sync>>;
pub(crate) type Sent = Streaming<v1::PutRequest>;

/// Calls as they came: the method, and what stood above the message.
pub(crate) type Seen = Arc<Mutex<Vec<(&'static str, MetadataMap)>>>;

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) blobs: Blobs,
    pub(crate) graph: Graph,
    pub(crate) materialize: Materialize,
    pub(crate) admin: Admin,
    pub(crate) seen: Seen,
}

/// A method that answers at once.
pub(crate) fn now<Q, A: Send + 'static>(
    answer: impl Fn(Q) -> Result<A, Status> + Send + Sync + 'static,
) -> Unary<Q, A> {
    Some(Box::new(move |asked| {
        Box::pin(std::future::ready(answer(asked)))
    }))
}

/// A method that never answers.
pub(crate) fn never<Q, A: Send + 'static>() -> Unary<Q, A> {
    Some(Box::new(|_| Box::pin(std::future::pending())))
}

/// A method whose answers, and how they end, are all there at once.
pub(crate) fn all<Q, A: Send + 'static>(
    answer: impl Fn(Q) -> Vec<Result<A, Status>> + Send + Sync + 'static,
) -> Streamed<Q, A> {
    now(move |asked| Ok(iter(answer(asked)).boxed()))
}

/// The n-th call, from 0, in the words of each attempt.
pub(crate) fn counting() -> impl Fn() -> usize + Send + Sync + 'static {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    move || calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst)
}

/// What a server says that is about to stop.
pub(crate) fn away() -> Status {
    Status::new(Code::Unavailable, "about to stop")
}

pub(crate) fn wire(addr: CAddr) -> Bytes {
    deriva_proto::bytes_of(addr)
}

/// A server that listens until it is dropped.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    pub(crate) seen: Seen,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    /// A client's settings for tests, which do not wait long.
    pub(crate) fn builder(&self) -> ClientBuilder {
        builder(self.addr)
    }

    pub(crate) async fn client(&self) -> Client {
        self.builder().connect().await.unwrap()
    }

    /// How often a method was called.
    pub(crate) fn calls(&self, method: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(name, _)| *name == method).count()
    }
}

pub(crate) fn builder(addr: SocketAddr) -> ClientBuilder {
    Client::builder(&format!("deriva://{addr}")).first_delay(Duration::from_millis(1))
}

impl Fake {
    pub(crate) async fn serve(self) -> Served {
        self.serve_by(Server::builder()).await
    }

    pub(crate) async fn serve_by(self, server: Server) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.serve_on(listener, server)
    }

    pub(crate) fn serve_on(self, listener: TcpListener, mut server: Server) -> Served {
        let addr = listener.local_addr().unwrap();
        let Self {
            blobs,
            graph,
            materialize,
            admin,
            seen,
        } = self;
        const MOST: usize = 256 << 20;
        let blobs = v1::blobs_server::BlobsServer::new(Watched(blobs, Arc::clone(&seen)));
        let graph = v1::graph_server::GraphServer::new(Watched(graph, Arc::clone(&seen)));
        let materialize = Watched(materialize, Arc::clone(&seen));
        let materialize = v1::materialize_server::MaterializeServer::new(materialize);
        let admin = v1::admin_server::AdminServer::new(Watched(admin, Arc::clone(&seen)));
        let router = server
            .add_service(blobs.max_decoding_message_size(MOST))
            .add_service(graph.max_decoding_message_size(MOST))
            .add_service(materialize)
            .add_service(admin);
        let served = router.serve_with_incoming(TcpIncoming::from(listener));
        let task = tokio::spawn(async move { served.await.unwrap() });
        Served { addr, seen, task }
    }
}

/// Waits until something is so, for a generous while.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(60);
    let waited = tokio::time::timeout(limit, waiting).await;
    waited.unwrap_or_else(|_| panic!("not within a minute: {what}"));
}
