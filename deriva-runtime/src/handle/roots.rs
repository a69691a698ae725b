//! Roots: the names of what is to stay.

use deriva_api::{CAddr, Result};
use futures::TryStreamExt;

use crate::planted::{Fault, hidden, planted};
use crate::shared::Deriva;

impl Deriva {
    /// Names an address, so that collection keeps it; moves the name if it is taken.
    ///
    /// # Errors
    /// `Invalid` for a name that is empty or longer than 256 bytes; `NotFound` when nothing is stored
    /// under the address; and what the store says.
    pub async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        let leases = !planted(Fault::set_root_leases_nothing);
        let _adding = self
            .inner
            .adding(leases.then_some(addr).into_iter().collect())
            .await;
        self.show(addr).await?;
        let set = self.inner.dag.set_root(name, addr).await;
        set.or_else(|error| hidden(Fault::set_root_hides_the_error, error))
    }

    /// Removes a root's name; answers whether it was there: never, for a name that no root can have.
    ///
    /// # Errors
    /// What the store says.
    pub async fn remove_root(&self, name: &str) -> Result<bool> {
        self.inner.dag.remove_root(name).await
    }

    /// All roots, by name.
    ///
    /// # Errors
    /// What the store says.
    pub async fn roots(&self) -> Result<Vec<(String, CAddr)>> {
        self.inner.dag.roots(None).try_collect().await
    }
}
