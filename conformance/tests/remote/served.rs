//! Servers on loopback, and clients of them, as the cases want them.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use conformance::UriFixture;
use conformance::runtime::set_up;
use deriva::stores::OpenedStore;
use deriva::{Deriva, DerivaBuilder, Materializer, Result};
use deriva_client::Client;
use deriva_server::Server;
use deriva_testkit::{Fixture, MaterializerFixture, Setup};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Where servers run: cases are asked for from any runtime, and from none.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.enable_all().worker_threads(2).build().unwrap()
    })
}

/// A server that runs.
#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<()>>,
}

impl Running {
    /// Ends it, and waits until its store is closed.
    async fn end(self) {
        drop(self.stop);
        self.ended.await.unwrap().unwrap();
    }
}

/// A server over stores, and a client of it.
async fn served(stores: OpenedStore, builder: DerivaBuilder) -> Result<(Client, Running)> {
    let mut builder = builder;
    if let Some(blobs) = stores.blobs {
        builder = builder.blobs(blobs);
    }
    if let Some(dag) = stores.dag {
        builder = builder.dag(dag);
    }
    let begun = runtime().spawn(async move { begin(builder.build().await?).await });
    begun.await.unwrap()
}

/// A server over a handle, and a client of it.
async fn begin(deriva: Deriva) -> Result<(Client, Running)> {
    let mut limits = deriva_server::Limits::default();
    // Who still holds a lease when a case ends is not waited for.
    limits.drain = std::time::Duration::from_millis(100);
    let server = Server::new(deriva).limits(limits);
    let bound = server.bind(([127, 0, 0, 1], 0).into()).await?;
    let addr = bound.addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(async move {
        let serve = bound.serve(async {
            let _ = stopped.await;
        });
        serve.await.map(drop)
    });
    // Cases count calls, and want to hear of the first that fails.
    let client = Client::connect(&format!("deriva://{addr}?attempts=1")).await?;
    Ok((client, Running { stop, ended }))
}

/// A client of a server over a handle, for as long as the process lives.
pub(crate) async fn serving(deriva: Deriva) -> Client {
    let begun = runtime().spawn(begin(deriva));
    let (client, running) = begun.await.unwrap().unwrap();
    std::mem::forget(running);
    client
}

/// A client of a server over a store of another fixture, as a store.
#[derive(Debug)]
pub(crate) struct ServedStore {
    inner: UriFixture,
    running: Mutex<Option<Running>>,
}

impl ServedStore {
    pub(crate) fn new(inner: UriFixture) -> Self {
        Self {
            inner,
            running: Mutex::new(None),
        }
    }
}

#[async_trait]
impl Fixture for ServedStore {
    async fn open(&self) -> Result<OpenedStore> {
        // The server before has the store open.
        let before = self.running.lock().take();
        if let Some(before) = before {
            before.end().await;
        }
        let stores = self.inner.open().await?;
        let (client, running) = served(stores, deriva::builder()).await?;
        *self.running.lock() = Some(running);
        Ok(OpenedStore {
            blobs: Some(client.blobs()),
            dag: Some(client.dag()),
        })
    }

    fn persistent(&self) -> bool {
        self.inner.persistent()
    }

    async fn crash(&self) -> Result<()> {
        self.inner.crash().await
    }

    fn folder(&self) -> Option<PathBuf> {
        self.inner.folder()
    }
}

/// The runtime of a server, through its client.
#[derive(Debug)]
pub(crate) struct ServedRuntime(pub(crate) UriFixture);

#[async_trait]
impl MaterializerFixture for ServedRuntime {
    async fn stores(&self) -> Result<OpenedStore> {
        self.0.open().await
    }

    async fn open(&self, stores: OpenedStore, setup: Setup) -> Result<Arc<dyn Materializer>> {
        let builder = set_up(deriva::builder(), setup)?;
        let (client, running) = served(stores, builder).await?;
        // It answers as long as the process lives: nobody says when the client is not used any more.
        std::mem::forget(running);
        Ok(Arc::new(client))
    }

    // They run at the server, and would ask it through another connection.
    fn knows_its_functions(&self) -> bool {
        false
    }
}
