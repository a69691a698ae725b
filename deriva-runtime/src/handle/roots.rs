//! Roots: the names of what is to stay.

use deriva_api::{CAddr, Error, ErrorKind, Result};
use futures::TryStreamExt;

use crate::planted::{Fault, hidden, planted};
use crate::shared::Deriva;
use crate::shared::reserved::is_reserved;

impl Deriva {
    /// Names an address, so that collection keeps it; moves the name if it is taken.
    ///
    /// # Errors
    /// `Invalid` for a name that is empty or longer than 256 bytes, or begins with `deriva:`, as what deriva keeps for itself
    /// does; `NotFound` when nothing is stored
    /// under the address; and what the store says.
    pub async fn set_root(&self, name: &str, addr: CAddr) -> Result<()> {
        if is_reserved(name) {
            let what = "names of roots that begin with `deriva:` are kept for deriva itself";
            return Err(Error::new(ErrorKind::Invalid, what)
                .with("root", name)
                .hint("choose another name"));
        }
        let leases = !planted(Fault::set_root_leases_nothing);
        let _adding = self
            .inner
            .adding(leases.then_some(addr).into_iter().collect())
            .await;
        self.show(addr).await?;
        let set = self.inner.dag.set_root(name, addr).await;
        set.or_else(|error| hidden(Fault::set_root_hides_the_error, error))
    }

    /// Removes a root's name; answers whether it was there: never, for a name that no root of an application can have.
    ///
    /// # Errors
    /// What the store says.
    pub async fn remove_root(&self, name: &str) -> Result<bool> {
        if is_reserved(name) {
            return Ok(false);
        }
        self.inner.dag.remove_root(name).await
    }

    /// All roots, by name; those that deriva keeps for itself are left out.
    ///
    /// # Errors
    /// What the store says.
    pub async fn roots(&self) -> Result<Vec<(String, CAddr)>> {
        let roots = self.inner.dag.roots(None);
        let named = roots.try_filter(|(name, _)| std::future::ready(!is_reserved(name)));
        named.try_collect().await
    }
}
