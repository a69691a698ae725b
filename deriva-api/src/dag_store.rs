//! The contract of DAG stores.

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{
    CAddr, Capabilities, Divergence, FunctionId, Node, Output, Recipe, Record, Result,
    StoreCounters,
};

/// A store of recipes, what they produced, and named roots.
///
/// # What implementers promise
/// - **A stored recipe verifies itself**: what comes back hashes to its address and is canonical, or
///   the call fails with [`crate::ErrorKind::Corrupt`].
/// - **Batches are atomic**: all of an `insert`, `record`, `forget` or `remove`, or nothing of it,
///   also when the process dies. Batches of several writers may overlap in any order.
/// - **Edges match recipes**: `dependents` names exactly the stored recipes that have the address
///   among their inputs, each once, whether or not the address itself is stored yet.
/// - **First output stays**: a recorded output never changes until it is forgotten.
/// - A **resolved recipe** need not exist as a recipe. Its output row lives beside those of recipes,
///   is answered by `outputs` and dropped by `forget` like theirs, but it is not listed and not
///   counted in `usage`.
/// - Durability, concurrency, absence and `Display` are as in [`crate::BlobStore`].
///
/// # What callers may assume
/// - `insert` and `record` are idempotent.
/// - Opening takes no longer for many recipes than for few.
/// - Inputs need not be stored before the recipes that name them.
#[async_trait]
pub trait DagStore: Debug + Display + Send + Sync + 'static {
    /// What this store can do. The answer never changes while it is open.
    fn capabilities(&self) -> Capabilities;

    /// Stores recipes; answers with their addresses, in order.
    async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>>;

    /// Reads recipes and their outputs: one answer for each address, in order, `None` where no recipe
    /// is stored under it.
    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Node>>>;

    /// Reads outputs of recipes and of resolved recipes: one answer for each address, in order.
    async fn outputs(&self, addrs: &[CAddr]) -> Result<Vec<Option<Output>>>;

    /// Records outputs where there is none yet. An equal one (same bytes; cost does not count)
    /// changes nothing; a different one is returned as a [`Divergence`], and the first is kept.
    ///
    /// Fails with `NotFound`, naming the address, when some `addr` is not a stored recipe; then
    /// nothing of the batch is recorded. The blob must have been stored before.
    async fn record(&self, records: &[Record]) -> Result<Vec<Divergence>>;

    /// Drops the outputs of recipes and resolved recipes, keeps the recipes. Answers how many
    /// outputs were dropped.
    async fn forget(&self, addrs: &[CAddr]) -> Result<u64>;

    /// Removes recipes, their outputs and their edges. Answers how many recipes were removed.
    ///
    /// Fails with `Conflict`, removing nothing, while a recipe outside the batch has one of them
    /// among its inputs.
    async fn remove(&self, addrs: &[CAddr]) -> Result<u64>;

    /// Lists the recipes that have `addr` among their inputs, each once, by address, those after `after`.
    fn dependents(&self, addr: CAddr, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>>;

    /// Lists the recipes of a function, by address, those after `after`. May scan all recipes.
    fn by_function(&self, id: &FunctionId, after: Option<CAddr>) -> BoxStream<'_, Result<CAddr>>;

    /// Lists recipes with their outputs, by address, those after `after`.
    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<(CAddr, Node)>>;

    /// Names an address, so that collection keeps it and all that it needs. Moves the name if it is
    /// taken. A name is 1 to 256 bytes of any text; others are `Invalid` ([`DagUsage::check_root_name`]).
    async fn set_root(&self, name: &str, addr: CAddr) -> Result<()>;

    /// Removes a name; answers whether it was there. A name that no root can have, the empty one or one
    /// that is too long, is never there: the answer is `false`, and no error. A store that older versions
    /// wrote may hold names of up to 512 bytes; these are listed and removed like others.
    async fn remove_root(&self, name: &str) -> Result<bool>;

    /// Lists roots by name, those after `after`; all of them after the empty name.
    fn roots(&self, after: Option<&str>) -> BoxStream<'_, Result<(String, CAddr)>>;

    /// Counts recipes, outputs and roots in O(1), or `None` where [`Capabilities::usage`] is false.
    async fn usage(&self) -> Result<Option<DagUsage>>;

    /// Makes every write acknowledged before this call as durable as the store can.
    async fn flush(&self) -> Result<()>;

    /// What this store counts of itself; see [`BlobStore::counters`](crate::BlobStore::counters). Default: nothing.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }
}

/// How much a DAG store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DagUsage {
    /// Number of recipes.
    pub recipes: u64,
    /// Number of recipes that have an output. Rows of resolved recipes are not counted.
    pub outputs: u64,
    /// Number of roots.
    pub roots: u64,
}

impl DagUsage {
    /// The longest name of a root, in bytes: it fits the keys of every engine that is known.
    pub const MAX_ROOT_NAME: usize = 256;

    /// Checks the name of a root, for implementers of [`DagStore::set_root`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] unless it is 1 to [`Self::MAX_ROOT_NAME`] bytes long.
    pub fn check_root_name(name: &str) -> Result<()> {
        if (1..=Self::MAX_ROOT_NAME).contains(&name.len()) {
            return Ok(());
        }
        Err(crate::Error::new(
            crate::ErrorKind::Invalid,
            "the name of a root is 1 to 256 bytes long",
        )
        .during("set_root")
        .with("length", name.len())
        .hint("choose a shorter name; a hash of a longer one tells it apart"))
    }
}
