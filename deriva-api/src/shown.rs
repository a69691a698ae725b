//! What lies under an address.

use crate::{BlobStat, Node};

/// What lies under an address.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A recipe, and its output where one is recorded.
    Recipe(Node),
    /// A blob.
    Blob(BlobStat),
}
