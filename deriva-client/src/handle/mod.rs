//! What applications do beside computing, by the names that an embedded handle has for it.

mod find;
mod functions;
mod put;
pub(crate) mod reader;
mod roots;
mod status;
mod stored;

use deriva_api::{BlobStore, Bytes, CAddr, DagStore, Recipe, Result};

use crate::client::Client;

impl Client {
    /// The bytes of an address: read there, or computed with all that they need. They are verified as they arrive. Who may only read there
    /// gets what is stored.
    ///
    /// # Errors
    /// As [`Client::materialize`], `Corrupt` where what arrives is not what it should be, and `Invalid` where something has to be computed
    /// for who may not ask for that.
    pub async fn get(&self, addr: CAddr) -> Result<Bytes> {
        match self.materialize(addr).bytes().await {
            Err(failed) => self.get_stored(addr, failed).await,
            got => got,
        }
    }

    /// Stores recipes, all or none of them; answers with their addresses, in order. Nothing is computed. They go in one message: more than
    /// the server takes at once is what it says, `Full` or `Invalid`.
    ///
    /// # Errors
    /// `Invalid` when a function that the server knows cannot take a recipe's inputs and params, and what the store says.
    pub async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        DagStore::insert(self, recipes).await
    }

    /// Makes every acknowledged write as durable as the stores can.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn flush(&self) -> Result<()> {
        BlobStore::flush(self).await?;
        DagStore::flush(self).await
    }
}
