//! The client itself.

use std::fmt;
use std::sync::Arc;

use deriva_api::{BlobStore, Capabilities, DagStore, Error, Result, StoreIdentity, StoreUri};
use deriva_proto::v1;
use futures::future::try_join;

use crate::answers::{told, was};
use crate::builder::ClientBuilder;
use crate::link::{Link, call};
use crate::uri;

/// A deriva elsewhere: its stores, and what it computes. Clones are cheap and share one connection.
///
/// It is a [`BlobStore`] and a [`DagStore`], so that a runtime can compute here over a store there, and a
/// [`Materializer`](deriva_api::Materializer), which lets the server compute. Beside these it has the calls of an embedded handle, by the same
/// names; they win where a trait of the same name is in scope.
///
/// `Display` prints the URI that opens it again, where the same token is known.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) link: Arc<Link>,
    pub(crate) uri: StoreUri,
    pub(crate) of_blobs: Capabilities,
    pub(crate) of_graph: Capabilities,
}

impl Client {
    /// Begins a client of the server that a URI names: `deriva://HOST:PORT`, or `derivas://HOST:PORT` for one with TLS, and options,
    /// such as `?attempts=3&timeout=10s`. See [`ClientBuilder`] for all of them.
    pub fn builder(uri: &str) -> ClientBuilder {
        ClientBuilder::parsed(uri)
    }

    /// Connects to the server that a URI names.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect(uri: &str) -> Result<Self> {
        Self::builder(uri).connect().await
    }

    pub(crate) async fn connected(builder: &ClientBuilder) -> Result<Self> {
        let during = |error: Error| error.during("connect");
        let link = Arc::new(Link::new(builder).map_err(during)?);
        let (blobs, graph) = try_join(
            call!(link.short(v1::BlobUsageRequest {}) -> blobs.usage),
            call!(link.short(v1::GraphUsageRequest {}) -> graph.usage),
        )
        .await
        .map_err(during)?;
        let identity = StoreIdentity::of(&link);
        let capabilities = |found: Option<v1::Capabilities>| {
            let found = found.ok_or_else(|| was("what the store can do", "nothing"))?;
            let found = told(Capabilities::try_from(found))?;
            // Whoever else is connected may write.
            Ok(found.shared(true).identity(identity))
        };
        let of_blobs = capabilities(blobs.capabilities).map_err(during)?;
        let of_graph = capabilities(graph.capabilities).map_err(during)?;
        let uri = uri::written(builder).map_err(during)?;
        let inner = Inner {
            link,
            uri,
            of_blobs,
            of_graph,
        };
        let inner = Arc::new(inner);
        Ok(Self { inner })
    }

    /// The server's blobs, as a store.
    #[must_use]
    pub fn blobs(&self) -> Arc<dyn BlobStore> {
        Arc::new(self.clone())
    }

    /// The server's recipes, outputs and roots, as a store.
    #[must_use]
    pub fn dag(&self) -> Arc<dyn DagStore> {
        Arc::new(self.clone())
    }

    pub(crate) fn link(&self) -> &Link {
        &self.inner.link
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.uri.fmt(f)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.inner.uri)
    }
}
