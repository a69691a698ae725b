//! What the writing process writes: items, each found from its number, each living through fixed steps.
//!
//! Because a number says everything about an item, the process that is killed need only tell which
//! step of which item was acknowledged, and any reader can tell right answers from wrong ones.

use std::time::Duration;

use bytes::Bytes;
use deriva_api::{Blob, BlobStore, CAddr, DagStore, Output, Params, Recipe, Record, Result, Value};
use deriva_testkit::SplitMix64;

use super::Stores;

/// Blobs of this length are files of their own where stores are opened with [`super::THRESHOLD`].
const LARGE: usize = 20_000;

/// A blob, two recipes (one over the blob, one over the first), their output, and a root.
#[derive(Debug)]
pub(super) struct Item {
    n: u64,
    pub(super) blob: Blob,
    /// Inserted and removed in one batch, so both are there or none.
    pub(super) recipes: [Recipe; 2],
    /// A resolved address whose output is recorded together with that of the first recipe.
    pub(super) resolved: CAddr,
    pub(super) root: String,
}

/// One call on a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
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
pub(super) struct Parts {
    pub(super) blob: bool,
    pub(super) recipes: bool,
    pub(super) output: bool,
    pub(super) root: bool,
}

/// An input that all first recipes share.
pub(super) fn hub() -> CAddr {
    CAddr::of_blob(b"hub")
}

impl Item {
    pub(super) fn new(n: u64) -> Result<Self> {
        let mut random = SplitMix64::new(n);
        // What is long repeats itself, so that golden stores are small.
        let bytes = match n % 4 {
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
        let first = Recipe::new(&"f/1".parse()?, &[hub(), blob.addr()], &params)?;
        let inputs = [first.addr(), blob.addr(), first.addr()];
        let second = Recipe::new(&"g/1".parse()?, &inputs, &Params::new())?;
        Ok(Self {
            n,
            blob,
            resolved: CAddr::of_blob(&[b"resolved", &n.to_le_bytes()[..]].concat()),
            recipes: [first, second],
            root: format!("item {n}"),
        })
    }

    /// The number in a blob of an item.
    pub(super) fn number_in_blob(bytes: &[u8]) -> Option<u64> {
        bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// The number in the first recipe of an item.
    pub(super) fn number_in_recipe(recipe: &Recipe) -> Option<u64> {
        match recipe.params().ok()?.get("n") {
            Some(Value::Int(n)) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    pub(super) fn addrs(&self) -> [CAddr; 2] {
        [self.recipes[0].addr(), self.recipes[1].addr()]
    }

    pub(super) fn output(&self) -> Output {
        let stat = self.blob.stat();
        Output {
            addr: stat.addr,
            len: stat.len,
            cost: Duration::from_nanos(self.n),
        }
    }

    /// What happens to an item, in order. One in three is removed again, and its blob put once more.
    pub(super) fn life(n: u64, with_dag: bool) -> Vec<Step> {
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
    pub(super) fn parts_after(life: &[Step], steps: usize) -> Parts {
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
    pub(super) async fn make(&self, step: Step, stores: &Stores) -> Result<()> {
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
        let [first, _] = self.addrs();
        match step {
            Step::Insert => dag.insert(&self.recipes).await.map(drop),
            Step::Record => {
                let record = Record {
                    addr: first,
                    resolved: Some(self.resolved),
                    output: self.output(),
                };
                dag.record(&[record]).await.map(drop)
            }
            Step::SetRoot => dag.set_root(&self.root, first).await,
            Step::RemoveRoot => dag.remove_root(&self.root).await.map(drop),
            Step::Forget => dag.forget(&[first, self.resolved]).await.map(drop),
            Step::Remove => dag.remove(&self.addrs()).await.map(drop),
            Step::Put | Step::RemoveBlob => Ok(()),
        }
    }
}
