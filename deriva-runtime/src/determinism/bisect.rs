//! Bisection: the earliest recipes whose outputs differ between two stores.
//!
//! From what is compared down: where two stores have the same output of a recipe, nothing below it is looked at. Where they
//! differ, its inputs are compared; a recipe all of whose inputs agree and whose outputs differ is a *culprit*. So what is
//! read are the recipes that differ and their inputs, and no others.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use deriva_api::{
    BuildAddrHasher, CAddr, DagStoreExt, Error, ErrorKind, FunctionId, Node, Output, Result, Walk,
};
use indexmap::IndexMap;
use serde::Serialize;

use crate::shared::{Deriva, unknown};

/// Recipes that are looked up at a time.
const BATCH: usize = 512;

impl Deriva {
    /// Requests the earliest recipes whose recorded outputs differ from those of another store: `.await` it, after saying
    /// of what. Both are only read.
    ///
    /// Give it the addresses that differ, or else all roots of the same name and address are compared. It fails with
    /// `Invalid` where there is nothing to compare, with `NotFound` for an address that one of the stores does not know, and
    /// with what the stores say.
    pub fn bisect(&self, other: &Self) -> Bisect {
        Bisect {
            first: self.clone(),
            second: other.clone(),
            targets: Vec::new(),
            walk: Walk::default(),
            progress: None,
        }
    }
}

/// How far a bisection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BisectProgress {
    /// Recipes that were compared so far.
    pub compared: u64,
    /// Those whose outputs differ.
    pub differing: u64,
    /// Those that are met and not compared yet.
    pub waiting: u64,
}

type Progress = Arc<dyn Fn(&BisectProgress) + Send + Sync>;

/// A request to compare two stores. `.await` it.
#[must_use = "a request does nothing until it is awaited"]
pub struct Bisect {
    first: Deriva,
    second: Deriva,
    targets: Vec<CAddr>,
    walk: Walk,
    progress: Option<Progress>,
}

/// What a bisection found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Bisected {
    /// Recipes that were compared: of those below what agrees, none.
    pub compared: u64,
    /// Those whose outputs differ.
    pub differing: u64,
    /// Recipes whose inputs agree and whose outputs do not.
    pub culprits: Vec<Culprit>,
    /// Recipes that only one of the stores has an output of, or knows: nothing can be said of these. The first 100.
    pub unknown: Vec<CAddr>,
    /// Time that it took, in seconds.
    pub seconds: f64,
}

/// A recipe whose inputs agree and whose outputs do not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Culprit {
    /// The recipe.
    pub recipe: CAddr,
    /// Its function.
    pub function: FunctionId,
    /// The contents of its output in the first store.
    pub first: CAddr,
    /// Their number of bytes.
    pub first_len: u64,
    /// The contents of its output in the second store.
    pub second: CAddr,
    /// Their number of bytes.
    pub second_len: u64,
}

/// Recipes without an output that are listed.
const LISTED: usize = 100;

impl Bisect {
    /// Compares the output of this recipe, and where that differs what it was made from. May be called several times.
    pub fn target(mut self, addr: CAddr) -> Self {
        self.targets.push(addr);
        self
    }

    /// How many recipes may be met, at about 60 bytes each; more is `Full`. Default: 50 million.
    pub fn walk(mut self, walk: Walk) -> Self {
        self.walk = walk;
        self
    }

    /// Calls `handler` after each batch; it should be quick. Default: nobody is told.
    pub fn progress(mut self, handler: impl Fn(&BisectProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(handler));
        self
    }
}

impl std::fmt::Debug for Bisect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bisect")
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for Bisect {
    type Output = Result<Bisected>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.perform().await.map_err(|error| error.during("bisect")) })
    }
}

/// What is known of a recipe that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    /// It waits to be compared.
    Open,
    /// Both have the same output; or it is a blob.
    Agrees,
    Differs,
    /// One has an output and the other has none, or none has one.
    Unknown,
}

impl Bisect {
    async fn perform(self) -> Result<Bisected> {
        let clock = Arc::clone(&self.first.inner.clock);
        let began = clock.now();
        let targets = match self.targets.is_empty() {
            true => self.common_roots().await?,
            false => self.targets.clone(),
        };
        for target in &targets {
            self.known(*target).await?;
        }
        let mut met: IndexMap<CAddr, Met, BuildAddrHasher> = IndexMap::default();
        met.extend(targets.into_iter().map(|addr| (addr, Met::Open)));
        let mut suspects: Vec<(CAddr, Output, Output)> = Vec::new();
        let mut done = Bisected::default();
        let mut next = 0;
        while next < met.len() {
            let end = met.len().min(next + BATCH);
            let batch: Vec<CAddr> = (next..end)
                .filter_map(|at| met.get_index(at))
                .map(|(addr, _)| *addr)
                .collect();
            let first = self.first.inner.dag.get_many(&batch).await?;
            let second = self.second.inner.dag.get_many(&batch).await?;
            for ((addr, first), second) in batch.iter().zip(first).zip(second) {
                let state = judge(first.as_ref(), second.as_ref());
                done.compared += u64::from(first.is_some() || second.is_some());
                met.insert(*addr, state);
                match state {
                    Met::Agrees | Met::Open => continue,
                    Met::Differs => done.differing += 1,
                    Met::Unknown if done.unknown.len() < LISTED => done.unknown.push(*addr),
                    Met::Unknown => {}
                }
                let outputs = |node: &Option<Node>| node.as_ref().and_then(|node| node.output);
                if let Some((first, second)) = outputs(&first).zip(outputs(&second)) {
                    suspects.push((*addr, first, second));
                }
                let recipe = first.or(second).map(|node| node.recipe);
                for input in recipe.iter().flat_map(|recipe| recipe.inputs()) {
                    met.entry(input).or_insert(Met::Open);
                }
            }
            next = end;
            self.check(met.len())?;
            if let Some(progress) = &self.progress {
                progress(&BisectProgress {
                    compared: done.compared,
                    differing: done.differing,
                    waiting: (met.len() - next) as u64,
                });
            }
            tokio::task::consume_budget().await;
        }
        done.culprits = self.culprits(&met, &suspects).await?;
        done.seconds = clock.now().saturating_sub(began).as_secs_f64();
        Ok(done)
    }

    /// Those that differ, and all of whose inputs agree.
    async fn culprits(
        &self,
        met: &IndexMap<CAddr, Met, BuildAddrHasher>,
        suspects: &[(CAddr, Output, Output)],
    ) -> Result<Vec<Culprit>> {
        let mut culprits = Vec::new();
        for batch in suspects.chunks(BATCH) {
            let addrs: Vec<CAddr> = batch.iter().map(|(addr, ..)| *addr).collect();
            let nodes = self.first.inner.dag.get_many(&addrs).await?;
            for ((recipe, first, second), node) in batch.iter().zip(nodes) {
                let Some(node) = node else { continue };
                let agrees = |input| met.get(&input) == Some(&Met::Agrees);
                if node.recipe.inputs().all(agrees) {
                    culprits.push(Culprit {
                        recipe: *recipe,
                        function: node.recipe.function(),
                        first: first.addr,
                        first_len: first.len,
                        second: second.addr,
                        second_len: second.len,
                    });
                }
            }
        }
        Ok(culprits)
    }

    fn check(&self, met: usize) -> Result<()> {
        if met <= self.walk.limit {
            return Ok(());
        }
        let what = "more recipes differ than may be met";
        Err(Error::new(ErrorKind::Full, what)
            .with("limit", self.walk.limit)
            .hint("raise `Walk::limit` where there is memory for more"))
    }

    async fn known(&self, addr: CAddr) -> Result<()> {
        for side in [&self.first, &self.second] {
            if side.inner.dag.get_one(addr).await?.is_some() {
                continue;
            }
            let store = &side.inner.dag;
            return Err(match side.inner.blobs.stat(&[addr]).await?.first() {
                Some(Some(_)) => {
                    let what =
                        "outputs of recipes are compared, and this address is that of a blob";
                    Error::new(ErrorKind::Invalid, what).with("addr", addr)
                }
                _ => unknown(addr).with("store", store),
            });
        }
        Ok(())
    }

    /// The addresses that both stores have under a root of the same name.
    async fn common_roots(&self) -> Result<Vec<CAddr>> {
        let (first, second) = (self.first.roots().await?, self.second.roots().await?);
        let common = first.into_iter().filter(|root| second.contains(root));
        let addrs: Vec<CAddr> = common.map(|(_, addr)| addr).collect();
        let nodes = self.first.inner.dag.get_many(&addrs).await?;
        let recipes = addrs
            .into_iter()
            .zip(nodes)
            .filter(|(_, node)| node.is_some());
        let recipes: Vec<CAddr> = recipes.map(|(addr, _)| addr).collect();
        match recipes.is_empty() {
            false => Ok(recipes),
            true => Err(Error::new(
                ErrorKind::Invalid,
                "the stores have no root in common that names a recipe",
            )
            .hint("say which address is to be compared")),
        }
    }
}

fn judge(first: Option<&Node>, second: Option<&Node>) -> Met {
    match (first, second) {
        // What is no recipe is a blob, and an address names its bytes.
        (None, None) => Met::Agrees,
        (
            Some(Node {
                output: Some(first),
                ..
            }),
            Some(Node {
                output: Some(second),
                ..
            }),
        ) => match first.same_bytes(second) {
            true => Met::Agrees,
            false => Met::Differs,
        },
        _ => Met::Unknown,
    }
}
