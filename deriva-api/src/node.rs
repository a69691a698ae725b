//! What a DAG store knows of an address.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::{BlobStat, CAddr, Recipe};

/// What a recipe was once found to produce. The bytes themselves are an ordinary blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Address of the bytes.
    pub addr: CAddr,
    /// Their number.
    pub len: u64,
    /// How long the computation took, excluding that of its inputs. Stores keep nanoseconds in 64 bits: one of
    /// more than five centuries may come back as that.
    pub cost: Duration,
}

impl Output {
    /// Address and length of the bytes.
    #[must_use]
    pub fn stat(&self) -> BlobStat {
        BlobStat {
            addr: self.addr,
            len: self.len,
        }
    }

    /// Whether both name the same bytes. Cost is a measurement and does not count.
    #[must_use]
    pub fn same_bytes(&self, other: &Self) -> bool {
        self.stat() == other.stat()
    }
}

/// A recipe together with its output, where one is recorded.
#[derive(Clone, Debug)]
pub struct Node {
    /// The recipe.
    pub recipe: Recipe,
    /// What it was found to produce.
    pub output: Option<Output>,
}

/// An output to be recorded: see [`crate::DagStore::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The recipe.
    pub addr: CAddr,
    /// The address of its resolved recipe, where later requests should find the output under it too
    /// (early cutoff). It need not exist as a recipe. Equal to `addr` means the same as `None`.
    pub resolved: Option<CAddr>,
    /// What it produced.
    pub output: Output,
}

/// A second, different output for an address that has one. The first is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The recipe or resolved recipe.
    pub addr: CAddr,
    /// The output that was recorded first, and stays.
    pub recorded: Output,
    /// The output that was offered now.
    pub offered: Output,
}

/// An output with the names that it has everywhere else in JSON.
pub(crate) fn as_shown<S: Serializer>(
    output: &Option<Output>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown {
        addr: CAddr,
        bytes: u64,
        cost_seconds: f64,
    }
    let shown = output.map(|output| Shown {
        addr: output.addr,
        bytes: output.len,
        cost_seconds: output.cost.as_secs_f64(),
    });
    shown.serialize(serializer)
}
