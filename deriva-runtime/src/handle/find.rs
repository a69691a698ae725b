//! What lies under an address, and which address is meant.

use deriva_api::{AddrPrefix, BlobStoreExt, CAddr, DagStoreExt, Error, ErrorKind, Result, Shown};

use crate::shared::{Deriva, unknown};

/// Candidates that an ambiguous prefix lists.
const CANDIDATES: usize = 8;

impl Deriva {
    /// What lies under an address.
    ///
    /// # Errors
    /// `NotFound` when nothing does, and what the stores say.
    pub async fn show(&self, addr: CAddr) -> Result<Shown> {
        if let Some(node) = self.inner.dag.get_one(addr).await? {
            return Ok(Shown::Recipe(node));
        }
        let stat = self
            .inner
            .blobs
            .stat(&[addr])
            .await?
            .into_iter()
            .next()
            .flatten();
        stat.map(Shown::Blob).ok_or_else(|| unknown(addr))
    }

    /// The one address, of recipes and blobs, that begins with these digits.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Invalid` when there are several, listing some of them.
    pub async fn find(&self, prefix: &AddrPrefix) -> Result<CAddr> {
        if let Some(addr) = prefix.complete() {
            return Ok(addr);
        }
        let mut found = self
            .inner
            .dag
            .recipes_with_prefix(prefix, CANDIDATES)
            .await?;
        found.extend(
            self.inner
                .blobs
                .blobs_with_prefix(prefix, CANDIDATES)
                .await?,
        );
        found.sort_unstable();
        found.dedup();
        match found.as_slice() {
            [] => Err(unknown(prefix)),
            [addr] => Ok(*addr),
            several => {
                let listed: Vec<String> = several
                    .iter()
                    .take(CANDIDATES)
                    .map(ToString::to_string)
                    .collect();
                Err(Error::new(
                    ErrorKind::Invalid,
                    "several addresses begin with these digits",
                )
                .with("given", prefix)
                .with("candidates", listed.join(", "))
                .hint("give more digits"))
            }
        }
    }
}
