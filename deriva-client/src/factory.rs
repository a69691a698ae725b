//! Servers as stores, by URI.

use std::sync::Arc;

use deriva_api::{OpenedStore, Result, StoreFactory, StoreRegistry, StoreUri, async_trait};

use crate::client::Client;
use crate::uri;

/// Opens `deriva://HOST:PORT` or `derivas://HOST:PORT` as a store of blobs and recipes.
#[derive(Clone, Copy, Debug)]
pub struct ClientFactory {
    tls: bool,
}

impl ClientFactory {
    /// Of servers without TLS: `deriva://HOST:PORT`.
    #[must_use]
    pub const fn plain() -> Self {
        Self { tls: false }
    }

    /// Of servers with TLS: `derivas://HOST:PORT`.
    #[must_use]
    pub const fn tls() -> Self {
        Self { tls: true }
    }
}

/// Adds both schemes to a registry, so that a runtime can compute here over a store there:
///
/// ```
/// use deriva_api::StoreRegistry;
///
/// # fn main() -> deriva_api::Result<()> {
/// let mut stores = StoreRegistry::new();
/// deriva_client::register(&mut stores)?;
/// stores.check(&"deriva://127.0.0.1:6733?attempts=3".parse()?)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Conflict` where a scheme is taken.
pub fn register(registry: &mut StoreRegistry) -> Result<()> {
    registry.register(Arc::new(ClientFactory::plain()))?;
    registry.register(Arc::new(ClientFactory::tls()))
}

#[async_trait]
impl StoreFactory for ClientFactory {
    fn scheme(&self) -> &str {
        if self.tls { uri::TLS } else { uri::PLAIN }
    }

    fn description(&self) -> &str {
        match self.tls {
            true => "the store of a deriva server elsewhere, with TLS",
            false => "the store of a deriva server elsewhere, without TLS",
        }
    }

    fn check(&self, uri: &StoreUri) -> Result<()> {
        uri::read(uri).map(drop)
    }

    async fn open(&self, uri: &StoreUri) -> Result<OpenedStore> {
        let client = uri::read(uri)?.connect().await?;
        Ok(OpenedStore {
            blobs: Some(client.blobs()),
            dag: Some(client.dag()),
        })
    }
}

/// `client` as the stores that it is.
impl From<&Client> for OpenedStore {
    fn from(client: &Client) -> Self {
        Self {
            blobs: Some(client.blobs()),
            dag: Some(client.dag()),
        }
    }
}
