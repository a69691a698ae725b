//! What the writing process writes: items, each found from its number, each living through fixed steps.
//!
//! Because a number says everything about an item, the process that is killed need only tell which
//! step of which item was acknowledged, and any reader can tell right answers from wrong ones.

use std::time::Duration;

use bytes::Bytes;
use deriva_api::{Blob, BlobStore, CAddr, DagStore, Output, Params, Recipe, Record, Result, Value};

use super::store::Stores;
use crate::SplitMix64;

/// Blobs of this length are files of their own where stores take them out of their rows from 8 KiB on.
const LARGE: usize = 20_000;

/// Items below are in golden stores, and stay as they are.
const GOLDEN: u64 = 1000;
/// Recipes of a wide item: a batch that no page, no row and no small buffer holds.
const WIDE: usize = 150;
/// From here on blobs are as long as they may be beside recipes in a row, and nothing of them repeats itself.
pub(crate) const HEAVY_BLOBS: u64 = 1 << 40;
/// From here on it is the first recipe that is long.
pub(crate) const HEAVY_RECIPES: u64 = 1 << 41;

/// A blob, recipes (one over the blob, the others over the first), their output, and a root.
#[derive(Debug)]
pub(crate) struct Item {
    n: u64,
    pub(crate) blob: Blob,
    /// Inserted and removed in one batch, so all are there or none: two, or one in 16 times [`WIDE`].
    pub(crate) recipes: Vec<Recipe>,
    /// A resolved address whose output is recorded together with that of the first recipe.
    pub(crate) resolved: CAddr,
    pub(crate) root: String,
}

/// One call on a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Put,
    Insert,
    Record,
    SetRoot,
    RemoveRoot,
    Forget,
    Remove,
    RemoveBlob,
}

/// Which parts of an item a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) blob: bool,
    pub(crate) recipes: bool,
    pub(crate) output: bool,
    pub(crate) root: bool,
}

/// An input that all first recipes share.
pub(crate) fn hub() -> CAddr {
    CAddr::of_blob(b"hub")
}

impl Item {
    pub(crate) fn new(n: u64) -> Result<Self> {
        let mut random = SplitMix64::new(n);
        // What is long repeats itself, so that golden stores are small.
        let bytes = match n % 4 {
            _ if (HEAVY_BLOBS..HEAVY_RECIPES).contains(&n) => random.bytes(8_000),
            0 => random.bytes(100).repeat(LARGE / 100),
            _ => {
                let len = random.below(300);
                random.bytes(len as usize)
            }
        };
        let blob = Blob::new([n.to_le_bytes().to_vec(), bytes].concat());
        let mut params = Params::new().with("n", n as i64);
        // One in 32 is too long for one row of any engine.
        if n % 32 == 5 {
            let long = Bytes::from(random.bytes(150).repeat(1000));
            params = params.with("long", Value::Bytes(long));
        }
        if n >= HEAVY_RECIPES {
            let long = Bytes::from(random.bytes(150_000));
            params = params.with("long", Value::Bytes(long));
        }
        let first = Recipe::new(&"f/1".parse()?, &[hub(), blob.addr()], &params)?;
        let inputs = [first.addr(), blob.addr(), first.addr()];
        let second = Recipe::new(&"g/1".parse()?, &inputs, &Params::new())?;
        let mut recipes = vec![first, second];
        while is_wide(n) && recipes.len() < WIDE {
            let params = Params::new().with("i", recipes.len() as i64);
            recipes.push(Recipe::new(&"g/1".parse()?, &inputs, &params)?);
        }
        Ok(Self {
            n,
            blob,
            resolved: CAddr::of_blob(&[b"resolved", &n.to_le_bytes()[..]].concat()),
            recipes,
            root: format!("item {n}"),
        })
    }

    /// The number in a blob of an item.
    pub(crate) fn number_in_blob(bytes: &[u8]) -> Option<u64> {
        bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// The number in the first recipe of an item.
    pub(crate) fn number_in_recipe(recipe: &Recipe) -> Option<u64> {
        match recipe.params().ok()?.get("n") {
            Some(Value::Int(n)) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    pub(crate) fn addrs(&self) -> Vec<CAddr> {
        self.recipes.iter().map(Recipe::addr).collect()
    }

    /// The address of the first recipe, which the others name.
    pub(crate) fn first(&self) -> CAddr {
        self.recipes[0].addr()
    }

    /// The recipes whose output is recorded, in one batch: the first, or all of a wide item.
    pub(crate) fn recorded(&self) -> &[Recipe] {
        match is_wide(self.n) {
            true => &self.recipes,
            false => &self.recipes[..1],
        }
    }

    pub(crate) fn output(&self) -> Output {
        let stat = self.blob.stat();
        Output {
            addr: stat.addr,
            len: stat.len,
            cost: Duration::from_nanos(self.n),
        }
    }

    /// The outputs of these recipes, and of the resolved address.
    pub(crate) fn records(&self) -> Vec<Record> {
        let record = |recipe: &Recipe| Record {
            addr: recipe.addr(),
            resolved: (recipe.addr() == self.first()).then_some(self.resolved),
            output: self.output(),
        };
        self.recorded().iter().map(record).collect()
    }

    /// The addresses that have an output once it is recorded.
    pub(crate) fn recorded_addrs(&self) -> Vec<CAddr> {
        let mut addrs: Vec<CAddr> = self.recorded().iter().map(Recipe::addr).collect();
        addrs.push(self.resolved);
        addrs
    }

    /// What happens to an item, in order. One in three is removed again, and its blob put once more.
    pub(crate) fn life(n: u64, with_dag: bool) -> Vec<Step> {
        use Step::*;
        let brief = n.is_multiple_of(3);
        match (with_dag, brief) {
            (true, false) => vec![Put, Insert, Record, SetRoot],
            (true, true) => vec![
                Put, Insert, Record, SetRoot, RemoveRoot, Forget, Remove, RemoveBlob, Put,
            ],
            (false, false) => vec![Put],
            (false, true) => vec![Put, RemoveBlob, Put],
        }
    }

    /// What is there after the first `steps` of a life.
    pub(crate) fn parts_after(life: &[Step], steps: usize) -> Parts {
        let mut parts = Parts::default();
        for step in &life[..steps.min(life.len())] {
            match step {
                Step::Put => parts.blob = true,
                Step::Insert => parts.recipes = true,
                Step::Record => parts.output = true,
                Step::SetRoot => parts.root = true,
                Step::RemoveRoot => parts.root = false,
                Step::Forget => parts.output = false,
                Step::Remove => parts.recipes = false,
                Step::RemoveBlob => parts.blob = false,
            }
        }
        parts
    }

    /// Makes a step.
    pub(crate) async fn make(&self, step: Step, stores: &Stores) -> Result<()> {
        let blobs = &*stores.blobs;
        match step {
            Step::Put if self.n % 8 == 4 => self.stream(blobs).await,
            Step::Put => blobs.put(std::slice::from_ref(&self.blob)).await,
            Step::RemoveBlob => blobs.remove(&[self.blob.addr()]).await,
            _ => match &stores.dag {
                Some(dag) => self.make_in_dag(step, &**dag).await,
                None => Ok(()),
            },
        }
    }

    async fn stream(&self, blobs: &dyn BlobStore) -> Result<()> {
        let mut writer = blobs.writer(None).await?;
        for piece in self.blob.bytes().chunks(7_000) {
            writer.write(Bytes::copy_from_slice(piece)).await?;
        }
        writer.finish().await.map(drop)
    }

    async fn make_in_dag(&self, step: Step, dag: &dyn DagStore) -> Result<()> {
        let first = self.first();
        match step {
            Step::Insert => dag.insert(&self.recipes).await.map(drop),
            Step::Record => dag.record(&self.records()).await.map(drop),
            Step::SetRoot => dag.set_root(&self.root, first).await,
            Step::RemoveRoot => dag.remove_root(&self.root).await.map(drop),
            Step::Forget => dag.forget(&self.recorded_addrs()).await.map(drop),
            Step::Remove => dag.remove(&self.addrs()).await.map(drop),
            Step::Put | Step::RemoveBlob => Ok(()),
        }
    }
}

fn is_wide(n: u64) -> bool {
    n >= GOLDEN && n % 16 == 7
}
