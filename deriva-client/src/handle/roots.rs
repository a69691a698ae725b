//! Roots: the names of what is to stay.

use deriva_api::{BlobStore, CAddr, DagStore, Error, ErrorKind, Result};
use futures::TryStreamExt;
use futures::future::try_join;

use crate::client::Client;

/// What the names of roots begin with that a deriva keeps for itself.
const RESERVED: &str = "deriva:";

impl Client {
    /// Names an address, so that collection keeps it and all that it needs; moves the name if it is taken.
    ///
    /// # Errors
    /// `Invalid` for a name that is empty or longer than 256 bytes, or begins with `deriva:`, as what deriva keeps for itself does;
    /// `NotFound` when nothing is stored under the address; and what the store says.
    pub async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        if name.starts_with(RESERVED) {
            let what = "names of roots that begin with `deriva:` are kept for deriva itself";
            return Err(Error::new(ErrorKind::Invalid, what)
                .with("root", name)
                .hint("choose another name"));
        }
        let addrs = [addr];
        let (nodes, blobs) = try_join(self.nodes(&addrs), BlobStore::stat(self, &addrs)).await?;
        if nodes.iter().all(Option::is_none) && blobs.iter().all(Option::is_none) {
            let what = "neither a blob nor a recipe is stored under this address";
            return Err(Error::new(ErrorKind::NotFound, what)
                .with("addr", addr)
                .hint("`deriva put` stores blobs, `deriva recipe` stores recipes; is it another store?"));
        }
        DagStore::set_root(self, name, addr).await
    }

    /// Removes a root's name; answers whether it was there: never, for a name that no root of an application can have.
    ///
    /// # Errors
    /// What the store says.
    pub async fn remove_root(&self, name: &str) -> Result<bool> {
        if name.starts_with(RESERVED) {
            return Ok(false);
        }
        DagStore::remove_root(self, name).await
    }

    /// All roots, by name; those that deriva keeps for itself are left out.
    ///
    /// # Errors
    /// What the store says.
    pub async fn roots(&self) -> Result<Vec<(String, CAddr)>> {
        let roots = DagStore::roots(self, None);
        let named = roots.try_filter(|(name, _)| std::future::ready(!name.starts_with(RESERVED)));
        named.try_collect().await
    }
}
