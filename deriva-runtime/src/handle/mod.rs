//! The handle that applications hold.

pub(crate) mod builder;
mod cached;
pub(crate) mod in_use;
pub(crate) mod reader;
pub(crate) mod recipe_builder;
pub(crate) mod snapshot;
mod state_digest;

use std::sync::Arc;
use std::time::Duration;

use deriva_api::{
    AddrPrefix, Blob, BlobCheck, BlobHasher, BlobStat, BlobStore, BlobStoreExt, ByteRange, Bytes,
    CAddr, DagStore, DagStoreExt, Error, ErrorKind, FunctionRegistry, Node, Recipe, Result,
};
use futures::TryStreamExt;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::explain::{Explanation, explain};
use crate::handle::reader::BlobReader;
use crate::handle::recipe_builder::RecipeBuilder;
use crate::handle::state_digest::state_digest;
use crate::materialize::{Materialize, Materialized, only};
use crate::planted::{Fault, hidden, planted};
use crate::shared::invoke::check;
use crate::shared::leases::Lease;
use crate::shared::needed_by::name_needs;
use crate::shared::{Deriva, unknown};

/// Bytes read at a time from a reader that is being stored.
const PIECE: usize = 1 << 20;
/// Candidates that an ambiguous prefix lists.
const CANDIDATES: usize = 8;

/// How much a [`Deriva`] holds. Counts are `None` where a store cannot tell them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Number of recipes.
    pub recipes: Option<u64>,
    /// Number of recipes with an output.
    pub outputs: Option<u64>,
    /// Number of blobs.
    pub blobs: Option<u64>,
    /// Their bytes.
    pub blob_bytes: Option<u64>,
    /// Number of roots.
    pub roots: Option<u64>,
    /// Bytes in the memory cache, with its own overhead.
    pub cache_bytes: u64,
    /// How computations are checked by repeating them: `off`.
    pub verification: String,
    /// The blob store, as a URI or a stack of layers.
    pub blob_store: String,
    /// The DAG store, as a URI or a stack of layers.
    pub dag_store: String,
    /// Where heavy functions run.
    pub executor: String,
}

/// What lies under an address.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A recipe, and its output where one is recorded.
    Recipe(Node),
    /// A blob.
    Blob(BlobStat),
}

impl Deriva {
    /// Stores bytes as a blob; answers with its address.
    ///
    /// # Errors
    /// What the store says, such as `Full`.
    pub async fn put(&self, bytes: impl Into<Bytes>) -> Result<CAddr> {
        let blob = Blob::new(bytes);
        self.put_many(std::slice::from_ref(&blob)).await?;
        Ok(blob.addr())
    }

    /// Stores blobs, in one commit where the store can. A damaged copy that is there is replaced.
    ///
    /// # Errors
    /// What the store says, such as `Full`.
    pub async fn put_many(&self, blobs: &[Blob]) -> Result<()> {
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        self.inner.make_way(addrs.iter().copied()).await?;
        let leased = if planted(Fault::put_leases_nothing) {
            Vec::new()
        } else {
            addrs
        };
        let _adding = self.inner.adding(leased).await;
        let put = self.inner.blobs.put(blobs).await;
        put.or_else(|error| hidden(Fault::put_hides_the_error, error))
    }

    /// Stores those of these blobs that the store lacks, or has damaged. The others are not written again: they are as
    /// durable as whoever put them made them. So a store that may only be read will do, as long as it has all of them.
    ///
    /// # Errors
    /// What the store says, such as `Full`.
    pub async fn put_missing(&self, blobs: &[Blob]) -> Result<()> {
        if blobs.is_empty() {
            return Ok(());
        }
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        let right = self.inner.verify_blobs(&addrs).await?;
        let (there, absent): (Vec<_>, Vec<_>) =
            blobs.iter().zip(right).partition(|(_, right)| *right);
        let leased = if planted(Fault::put_leases_nothing) {
            Vec::new()
        } else {
            addrs
        };
        let _adding = self.inner.adding(leased).await;
        // A collection may have taken some before they were leased.
        let found: Vec<CAddr> = there.iter().map(|(blob, _)| blob.addr()).collect();
        let found = self.inner.blobs.stat(&found).await?;
        let gone = there.into_iter().zip(found);
        let gone = gone.filter_map(|(blob, found)| found.is_none().then_some(blob));
        let missing = absent.into_iter().chain(gone);
        let missing: Vec<Blob> = missing.map(|(blob, _)| blob.clone()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let put = self.inner.blobs.put(&missing).await;
        put.or_else(|error| hidden(Fault::put_hides_the_error, error))
    }

    /// Tells of each blob whether it is stored and undamaged. A damaged copy is removed, so that the blob
    /// can be put again. Bytes that are there are checked as far as the store can ([`BlobStore::verify`]): read, unless
    /// it knows that it did so.
    ///
    /// # Errors
    /// What the store says, but for damage.
    pub async fn verify_blobs(&self, addrs: &[CAddr]) -> Result<Vec<bool>> {
        self.inner.verify_blobs(addrs).await
    }

    /// Stores everything that a reader gives as one blob, in bounded memory. A damaged copy that is there is
    /// replaced.
    ///
    /// # Errors
    /// What the reader or the store says; then nothing is stored.
    pub async fn put_reader(&self, mut reader: impl AsyncRead + Unpin + Send) -> Result<BlobStat> {
        let mut writer = self.inner.blobs.writer(None).await?;
        // The address has to be known before the end: a damaged copy makes way, and a collection is told.
        let mut hasher = BlobHasher::new();
        loop {
            let mut piece = bytes::BytesMut::with_capacity(PIECE);
            while piece.len() < PIECE {
                let read = reader
                    .read_buf(&mut piece)
                    .await
                    .map_err(|source| Error::io(source).during("put_reader"))?;
                if read == 0 {
                    break;
                }
            }
            if piece.is_empty() {
                let addr = hasher.finish().addr;
                self.inner.make_way([addr]).await?;
                let notes = !planted(Fault::put_reader_notes_nothing);
                let _adding = self
                    .inner
                    .adding(notes.then_some(addr).into_iter().collect())
                    .await;
                return writer.finish().await;
            }
            hasher.update(&piece);
            writer.write(piece.freeze()).await?;
        }
    }

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

    /// Begins a recipe.
    pub fn recipe(&self, name: &str, version: &str) -> RecipeBuilder<'_> {
        RecipeBuilder::new(self, name, version)
    }

    /// Stores recipes in one batch; answers with their addresses, in order. Nothing is computed.
    ///
    /// # Errors
    /// `Invalid` when a known function cannot take a recipe's inputs and params (an unknown function is
    /// no error here: it may be known where the recipe is computed), and what the store says. Then no
    /// recipe is stored.
    pub async fn insert(&self, recipes: &[Recipe]) -> Result<Vec<CAddr>> {
        recipes.iter().try_for_each(|recipe| self.check(recipe))?;
        // The inputs too: what is there when a recipe that needs it is inserted stays there.
        let owns = |addr| recipes.iter().any(|recipe| recipe.addr() == addr);
        let named = recipes
            .iter()
            .flat_map(|recipe| recipe.inputs().chain([recipe.addr()]))
            .filter(|addr| !planted(Fault::insert_leases_no_inputs) || owns(*addr));
        let _adding = self.inner.adding(named.collect()).await;
        let inserted = self.inner.dag.insert(recipes).await;
        inserted.or_else(|error| hidden(Fault::insert_hides_the_error, error))
    }

    pub(crate) fn check(&self, recipe: &Recipe) -> Result<()> {
        let limits = recipe.check_limits();
        limits.map_err(|error| error.during("insert").with("addr", recipe.addr()))?;
        let Some(function) = self.inner.functions.lookup(recipe.name(), recipe.version()) else {
            return Ok(());
        };
        let checked = check(&**function, recipe.input_count(), &recipe.params()?);
        checked.map_err(|error| error.during("insert"))
    }

    /// The bytes of an address: read, or computed with all that they need.
    ///
    /// # Errors
    /// As [`Deriva::materialize`].
    pub async fn get(&self, addr: CAddr) -> Result<Bytes> {
        if let Some(blob) = self.inner.cache.get(addr) {
            return Ok(blob.into_bytes());
        }
        let search = self.inner.search(addr);
        let (blob, cost) = self.fetch(addr).await?;
        self.inner.cache_found(search, |cache, epoch| {
            cache.insert_since(epoch, addr, &blob, cost);
        });
        Ok(blob.into_bytes())
    }

    /// The blob of an address, past the cache, and what it cost to compute: zero for a leaf.
    pub(crate) async fn fetch(&self, addr: CAddr) -> Result<(Blob, Duration)> {
        if let Some(found) = self.stored(addr).await? {
            return Ok(found);
        }
        // What it took to make it available, with all that it needs.
        let began = self.inner.clock.now();
        let blob = only(self.materialize(addr).blobs().await?)?;
        Ok((blob, self.inner.clock.now().saturating_sub(began)))
    }

    /// The blob of an address where nothing needs to be computed, and its cost.
    async fn stored(&self, addr: CAddr) -> Result<Option<(Blob, Duration)>> {
        let Some(node) = self.inner.dag.get_one(addr).await? else {
            return match self.inner.blobs.get(addr).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    Err(name_needs(&*self.inner.dag, addr, error).await)
                }
                leaf => Ok(leaf?.map(|blob| (blob, Duration::ZERO))),
            };
        };
        let Some(output) = node.output else {
            return Ok(None);
        };
        match self.inner.blobs.get(output.addr).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                // The recipe can make it again.
                self.inner.discard_met(output.addr, error).await?;
                Ok(None)
            }
            other => Ok(other?.map(|blob| (blob, output.cost))),
        }
    }

    /// Makes the bytes of an address available and opens them for reading piece by piece.
    ///
    /// # Errors
    /// As [`Deriva::materialize`].
    pub async fn open(&self, addr: CAddr) -> Result<BlobReader> {
        let lease = self.inner.grant(vec![addr]);
        let (mut stat, mut held) = self.made(addr).await?;
        // Damage shows before the first piece is given out, while a recipe can still make the blob again.
        let looked = match self.inner.blobs.verify(&[stat.addr]).await?.first() {
            Some(BlobCheck::Right(_)) => Ok(Some(Bytes::new())),
            // A layer may have a copy that is right: what counts is what a read meets.
            Some(BlobCheck::Damaged) if !planted(Fault::opens_what_is_damaged) => {
                let first = ByteRange::new(0, 1);
                self.inner.blobs.get_range(stat.addr, first).await
            }
            _ => Ok(None),
        };
        match looked {
            Err(error) if error.kind() == ErrorKind::Corrupt && stat.addr != addr => {
                self.inner.discard_met(stat.addr, error).await?;
                (stat, held) = self.made(addr).await?;
            }
            // What is in hand is read only where the store lacks it: it is in memory, all of it.
            Ok(Some(_)) => held = None,
            other => drop(other?),
        }
        lease.extend([stat.addr]);
        let lease = if planted(Fault::a_reader_leases_nothing) {
            self.lease()
        } else {
            lease
        };
        Ok(BlobReader::new(Arc::clone(&self.inner), stat, held, lease))
    }

    /// Makes the bytes of an address available; with those that are in hand.
    async fn made(&self, addr: CAddr) -> Result<(BlobStat, Option<Blob>)> {
        let Materialized { results, held, .. } = self.materialize(addr).await?;
        Ok((only(results)?, held.into_iter().next().flatten()))
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
        Materialize::new(Arc::clone(&self.inner), addrs.into_iter().collect())
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

    /// Counts what is stored.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn status(&self) -> Result<Status> {
        let dag = self.inner.dag.usage().await?;
        let blobs = self.inner.blobs.usage().await?;
        Ok(Status {
            recipes: dag.map(|usage| usage.recipes),
            outputs: dag.map(|usage| usage.outputs),
            blobs: blobs.map(|usage| usage.blobs),
            blob_bytes: blobs.map(|usage| usage.bytes),
            roots: dag.map(|usage| usage.roots),
            cache_bytes: self.inner.cache.bytes(),
            verification: "off".to_owned(),
            blob_store: self.inner.blobs.to_string(),
            dag_store: self.inner.dag.to_string(),
            executor: self.inner.executor.to_string(),
        })
    }

    /// One hash over recipes, outputs, roots and blob addresses, independent of the order in which they
    /// were written and of the engine that keeps them. Reads every recipe.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn state_digest(&self) -> Result<CAddr> {
        state_digest(&*self.inner.dag, &*self.inner.blobs).await
    }

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

    /// Makes every acknowledged write as durable as the stores can.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn flush(&self) -> Result<()> {
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
