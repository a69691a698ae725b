//! Roots: the names of what is to stay.

use deriva_api::{CAddr, DagStore, Result};
use deriva_proto::{bytes_of, v1};
use futures::TryStreamExt;

use crate::client::Client;
use crate::link::call;

/// What the names of roots begin with that a deriva keeps for itself.
const RESERVED: &str = "deriva:";

impl Client {
    /// Names an address, so that collection keeps it and all that it needs; moves the name if it is taken.
    ///
    /// # Errors
    /// `Invalid` for a name that is empty or longer than 256 bytes, or begins with `deriva:`, as what deriva keeps for itself does;
    /// `NotFound` when nothing is stored under the address; and what the store says.
    pub async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        self.name(name, addr, true).await
    }

    /// Names an address, as a store does or, where it must exist, as the handle.
    pub(crate) async fn name(&self, name: &str, addr: CAddr, must_exist: bool) -> Result<()> {
        let link = self.link();
        let request = v1::SetRootRequest {
            name: name.to_owned(),
            addr: bytes_of(addr),
            must_exist,
        };
        call!(link.short(request) -> graph.set_root).await?;
        Ok(())
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
