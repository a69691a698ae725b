//! Why an address would be computed, or was.

use deriva_api::{CAddr, DagStore, Result};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use crate::explain::diff::Diff;
use crate::shared::Deriva;
use crate::shared::lookup::{Distrusted, Found, look_up};

/// Dependents that are asked for a sign that there once was an output.
const DEPENDENTS: usize = 256;

/// What [`Deriva::why`] answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Why {
    /// The address.
    pub addr: CAddr,
    /// What a request would do with it, and why.
    pub standing: Standing,
    /// What differs from the other address that was given.
    pub diff: Option<Diff>,
}

/// What a request would do with an address, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Standing {
    /// Nothing: it is a stored blob.
    Blob,
    /// Nothing: its output is there.
    Present,
    /// Compute it: no output is recorded, and nothing shows that one ever was.
    NeverComputed,
    /// Compute it again: no output is recorded, but that of a recipe over it is, so it once had one, and it
    /// was forgotten.
    OutputForgotten,
    /// Compute it again and compare: its output is recorded, but the blob is gone.
    BlobLost,
    /// Fail: it is neither a blob nor a recipe here.
    Missing,
}

impl Standing {
    /// Whether a request would compute it.
    #[must_use]
    pub fn is_computed(self) -> bool {
        matches!(
            self,
            Self::NeverComputed | Self::OutputForgotten | Self::BlobLost
        )
    }
}

impl Deriva {
    /// Why a request would compute the address, or would not; and what differs from `previous`, where one
    /// is given: an earlier recipe for the same purpose, whose output was there.
    ///
    /// A store keeps no trace of an output that was forgotten. That there was one is concluded from the
    /// output of a recipe over it; where those were forgotten too, it counts as never computed.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn why(&self, addr: CAddr, previous: Option<CAddr>) -> Result<Why> {
        let inner = &self.inner;
        let found = look_up(&*inner.dag, &*inner.blobs, &[addr], &Distrusted::default()).await?;
        let standing = match found.found().next() {
            Some(Found::Leaf(_)) => Standing::Blob,
            Some(Found::Present(..)) => Standing::Present,
            Some(Found::Lost(..)) => Standing::BlobLost,
            Some(Found::Absent(_)) if has_computed_dependent(&*inner.dag, addr).await? => {
                Standing::OutputForgotten
            }
            Some(Found::Absent(_)) => Standing::NeverComputed,
            Some(Found::Missing) | None => Standing::Missing,
        };
        let diff = match previous {
            Some(previous) => Some(self.diff(previous, addr).await?),
            None => None,
        };
        Ok(Why {
            addr,
            standing,
            diff,
        })
    }
}

async fn has_computed_dependent(dag: &dyn DagStore, addr: CAddr) -> Result<bool> {
    let dependents = dag.dependents(addr, None).take(DEPENDENTS);
    let dependents: Vec<CAddr> = dependents.try_collect().await?;
    let outputs = dag.outputs(&dependents).await?;
    Ok(outputs.iter().any(Option::is_some))
}
