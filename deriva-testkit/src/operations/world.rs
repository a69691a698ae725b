//! The things that actions speak of, and how an action is done.

use std::fmt::{self, Debug};
use std::time::Duration;

use deriva_api::{
    Blob, BlobCheck, BlobStat, BlobStore, ByteRange, CAddr, DagStore, Error, ErrorKind, FunctionId,
    OpenedStore, Output, Params, Recipe, Record, Result,
};

use super::Action;

pub(super) const BLOBS: usize = 8;
pub(super) const RECIPES: usize = 14;
pub(super) const RESOLVED: usize = 3;
/// Recipes, resolved recipes, and one address of nothing.
pub(super) const NODES: usize = RECIPES + RESOLVED + 1;
pub(super) const NAMES: usize = 4;
pub(super) const FUNCTIONS: usize = 3;

/// A few blobs, recipes over them and over each other, resolved recipes, and names of roots; always
/// the same ones.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) blobs: Vec<Blob>,
    pub(super) recipes: Vec<Recipe>,
    pub(super) nodes: Vec<CAddr>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// The world.
    #[must_use]
    pub fn new() -> Self {
        let blobs: Vec<Blob> = (0..BLOBS)
            .map(|i| Blob::new(vec![i as u8; i * 37]))
            .collect();
        let mut addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        let mut recipes = Vec::new();
        for i in 0..RECIPES {
            let inputs = [addrs[i % 3], addrs[addrs.len() - 1 - i % 4], addrs[i % 3]];
            let params = Params::new().with("i", i as i64);
            // These recipes are valid, so none is left out.
            let made = function(i % FUNCTIONS)
                .and_then(|id| Recipe::new(&id, &inputs[..1 + i % 3], &params));
            if let Ok(recipe) = made {
                addrs.push(recipe.addr());
                recipes.push(recipe);
            }
        }
        let others = (RECIPES..NODES).map(|i| CAddr::of_blob(format!("other {i}").as_bytes()));
        let nodes = recipes.iter().map(Recipe::addr).chain(others).collect();
        Self {
            blobs,
            recipes,
            nodes,
        }
    }

    /// Does an action, and tells the answer as text; of an error the kind, as words are a store's own.
    /// Actions on a half that `store` does not have do nothing.
    pub async fn act(&self, store: &OpenedStore, action: &Action) -> String {
        self.told(store, action).await.answer
    }

    pub(super) async fn told(&self, store: &OpenedStore, action: &Action) -> Told {
        let mut told = Told::default();
        if let Some(blobs) = &store.blobs {
            told.add(self.act_on_blobs(&**blobs, action).await);
        }
        if let Some(dag) = &store.dag {
            told.add(self.act_on_dag(&**dag, action).await);
        }
        told
    }

    async fn act_on_blobs(&self, blobs: &dyn BlobStore, action: &Action) -> Told {
        let addrs = |some: &[usize]| {
            some.iter()
                .map(|at| self.blobs[*at].addr())
                .collect::<Vec<_>>()
        };
        match action {
            Action::Put(some) => {
                let some: Vec<Blob> = some.iter().map(|at| self.blobs[*at].clone()).collect();
                tell(blobs.put(&some).await)
            }
            Action::Write(at, piece) => tell(write(blobs, &self.blobs[*at], *piece).await),
            Action::Abandon(at, abort) => tell(abandon(blobs, &self.blobs[*at], *abort).await),
            Action::RemoveBlobs(some) => tell(blobs.remove(&addrs(some)).await),
            Action::Get(some) => {
                let mut told = tell(blobs.get_many(&addrs(some)).await);
                told.add(tell(right(blobs, &addrs(some)).await));
                told
            }
            Action::Range(at, offset, len) => {
                let range = ByteRange::new(*offset, *len);
                tell(blobs.get_range(self.blobs[*at].addr(), range).await)
            }
            Action::Flush => tell(blobs.flush().await),
            _ => Told::default(),
        }
    }

    async fn act_on_dag(&self, dag: &dyn DagStore, action: &Action) -> Told {
        match action {
            Action::Insert(some) => {
                let some: Vec<Recipe> = some.iter().map(|at| self.recipes[*at].clone()).collect();
                tell(dag.insert(&some).await)
            }
            Action::Record(records) => {
                let records: Vec<Record> =
                    records.iter().map(|record| self.record(*record)).collect();
                tell(dag.record(&records).await.map(|mut found| {
                    found.sort_by_key(|divergence| (divergence.addr, divergence.offered.addr));
                    found
                }))
            }
            Action::Forget(some) => tell(dag.forget(&self.pick(some)).await),
            Action::Remove(some) => tell(dag.remove(&self.pick(some)).await),
            Action::SetRoot(name, at) => tell(dag.set_root(name.text(), self.nodes[*at]).await),
            Action::RemoveRoot(name) => tell(dag.remove_root(name.text()).await),
            Action::Flush => tell(dag.flush().await),
            _ => Told::default(),
        }
    }

    fn pick(&self, some: &[usize]) -> Vec<CAddr> {
        some.iter().map(|at| self.nodes[*at]).collect()
    }

    fn record(&self, (node, resolved, blob): (usize, Option<usize>, usize)) -> Record {
        let stat = self.blobs[blob].stat();
        Record {
            addr: self.nodes[node],
            resolved: resolved.map(|at| self.nodes[RECIPES + at]),
            output: Output {
                addr: stat.addr,
                len: stat.len,
                cost: Duration::from_nanos(7),
            },
        }
    }
}

pub(super) fn function(number: usize) -> Result<FunctionId> {
    FunctionId::new("f", &number.to_string())
}

/// The name of a root, by its number in the [`World`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RootName(pub usize);

impl RootName {
    fn text(self) -> &'static str {
        // The empty name is refused, and never there.
        ["a", "b", "", "c/d"][self.0 % NAMES]
    }
}

impl Debug for RootName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(self.text(), f)
    }
}

async fn write(blobs: &dyn BlobStore, blob: &Blob, piece: usize) -> Result<BlobStat> {
    let mut writer = blobs.writer(None).await?;
    for piece in blob.bytes().chunks(piece.max(1)) {
        writer.write(blob.bytes().slice_ref(piece)).await?;
    }
    writer.finish().await
}

/// Which blobs are there and right, however that is known. Nothing is damaged here.
pub(super) async fn right(blobs: &dyn BlobStore, addrs: &[CAddr]) -> Result<Vec<bool>> {
    let mut found = Vec::with_capacity(addrs.len());
    for (addr, check) in addrs.iter().zip(blobs.verify(addrs).await?) {
        if check == BlobCheck::Damaged {
            let message = "`verify` tells of damage where there is none";
            return Err(Error::new(ErrorKind::Corrupt, message).with("addr", addr));
        }
        found.push(check.is_right());
    }
    Ok(found)
}

async fn abandon(blobs: &dyn BlobStore, blob: &Blob, abort: bool) -> Result<()> {
    let mut writer = blobs.writer(Some(blob.stat())).await?;
    writer.write(blob.bytes().clone()).await?;
    match abort {
        true => writer.abort().await,
        false => Ok(()),
    }
}

/// What came of an action.
#[derive(Default)]
pub(super) struct Told {
    /// The answer; of an error the kind.
    pub(super) answer: String,
    /// The words of the errors.
    errors: Vec<String>,
}

impl Told {
    fn add(&mut self, other: Self) {
        self.answer += &other.answer;
        self.errors.extend(other.errors);
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.answer)?;
        match self.errors.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", self.errors.join("; ")),
        }
    }
}

fn tell<T: Debug>(answer: Result<T>) -> Told {
    match answer {
        Ok(answer) => Told {
            answer: format!("{answer:?}"),
            errors: Vec::new(),
        },
        Err(error) => Told {
            answer: format!("{:?}", error.kind()),
            errors: vec![format!("{error:?}")],
        },
    }
}
