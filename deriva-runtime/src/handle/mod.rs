//! The handle that applications hold: the calls that begin a wing lie here, those of one or two steps in a file each.

pub(crate) mod builder;
mod cached;
pub(crate) mod find;
pub(crate) mod get;
pub(crate) mod in_use;
mod insert;
pub(crate) mod instrument;
mod materializer;
mod put;
pub(crate) mod reader;
pub(crate) mod recipe_builder;
mod roots;
mod seen;
pub(crate) mod snapshot;
mod state_digest;
pub(crate) mod status;

use std::sync::Arc;

use deriva_api::{BlobStore, CAddr, DagStore, Explanation, FunctionRegistry, Request, Result};

use crate::determinism::counts;
use crate::explain::explain;
use crate::handle::state_digest::state_digest;
use crate::materialize::Materialize;
use crate::planted::{Fault, planted};
use crate::shared::Deriva;
use crate::shared::leases::Lease;

impl Deriva {
    /// Begins a lease that protects nothing yet. Hold one where you put or insert now and set a root, or
    /// insert what needs it, later:
    ///
    /// ```
    /// # use deriva_api::Result;
    /// # async fn example(deriva: deriva_runtime::Deriva) -> Result<()> {
    /// let leaf = deriva.put("hello").await?;
    /// let recipe = deriva.recipe("text.upper", "1").input(leaf).build()?;
    /// let lease = deriva.lease();
    /// lease.protect(recipe.addr()).await;
    /// deriva.insert(std::slice::from_ref(&recipe)).await?;
    /// // ... whatever is collected meanwhile ...
    /// deriva.set_root("greeting", recipe.addr()).await?;
    /// drop(lease);
    /// # Ok(())
    /// # }
    /// ```
    pub fn lease(&self) -> Lease {
        self.inner.grant(Vec::new())
    }

    /// Requests that the bytes of an address be available: `.await` it, after setting options.
    ///
    /// The request fails with `NotFound` or `Unsupported` before any work where blobs or functions are
    /// missing, listing all of them; with the error of a function where one fails, and the path from
    /// the requested address to it; and with what the stores say.
    pub fn materialize(&self, addr: CAddr) -> Materialize {
        self.materialize_many([addr])
    }

    /// Requests several addresses at once; see [`Deriva::materialize`].
    pub fn materialize_many(&self, addrs: impl IntoIterator<Item = CAddr>) -> Materialize {
        let addrs: Vec<CAddr> = addrs.into_iter().collect();
        Materialize::new(Arc::clone(&self.inner), Request::new(addrs))
    }

    /// Tells what a request for the address would find and do, without doing it.
    ///
    /// # Errors
    /// What the stores say. Missing inputs are no error here but part of the answer.
    pub async fn explain(&self, addr: CAddr) -> Result<Explanation> {
        self.explain_many(&[addr]).await
    }

    /// Tells what a request for several addresses would find and do.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn explain_many(&self, addrs: &[CAddr]) -> Result<Explanation> {
        explain(&self.inner, addrs).await
    }

    /// One hash over recipes, outputs, roots and blob addresses, independent of the order in which they
    /// were written and of the engine that keeps them. Reads every recipe.
    ///
    /// The notes that deriva takes for itself are left out, so that a store with checked computations has the digest of one
    /// with the same computations unchecked: the roots whose names begin with `deriva:`, and the blobs that these
    /// hold and that no recipe, output or other root needs. What was noted earlier is left out as well, if that is counts of
    /// checks; an earlier form of an entry of the ledger counts as any blob does until it is collected.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn state_digest(&self) -> Result<CAddr> {
        state_digest(&*self.inner.dag, &*self.inner.blobs).await
    }

    /// Makes every acknowledged write as durable as the stores can.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn flush(&self) -> Result<()> {
        counts::keep(&self.inner).await;
        self.inner.blobs.flush().await?;
        if planted(Fault::flushes_blobs_alone) {
            return Ok(());
        }
        self.inner.dag.flush().await
    }

    /// The functions that recipes can apply.
    #[must_use]
    pub fn functions(&self) -> &FunctionRegistry {
        &self.inner.functions
    }

    /// The blob store.
    #[must_use]
    pub fn blobs(&self) -> &Arc<dyn BlobStore> {
        &self.inner.blobs
    }

    /// The DAG store.
    #[must_use]
    pub fn dag(&self) -> &Arc<dyn DagStore> {
        &self.inner.dag
    }
}
