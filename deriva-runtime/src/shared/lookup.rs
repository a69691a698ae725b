//! What the stores know of an address: the one place where planner and `explain` look.

use std::collections::{HashMap, HashSet};

use deriva_api::{
    BlobStat, BlobStore, BuildAddrHasher, CAddr, DagStore, Node, Output, Recipe, Result,
};

use crate::shared::ledger::Ledger;

/// Blobs that were found damaged or gone although they were listed: not to be counted as present.
pub(crate) type Distrusted = HashSet<CAddr, BuildAddrHasher>;

/// What another request computed without the checks that are asked for: its output, as long as that may be compared.
pub(crate) type Unchecked = HashMap<CAddr, Option<Output>, BuildAddrHasher>;

/// What the stores have and is not to be taken for what it seems.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubts<'a> {
    /// Recipes whose outputs do not count.
    pub(crate) ledger: &'a Ledger,
    pub(crate) unchecked: Option<&'a Unchecked>,
    /// Blobs that do not.
    pub(crate) distrusted: Option<&'a Distrusted>,
}

impl<'a> Doubts<'a> {
    /// No more than the ledger has.
    pub(crate) fn of(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            unchecked: None,
            distrusted: None,
        }
    }

    fn counts(&self, addr: &CAddr, output: &Output) -> bool {
        let is_unchecked = self.unchecked.is_some_and(|all| all.contains_key(addr));
        !is_unchecked && self.ledger.may_serve(addr, &output.addr)
    }
}

/// What was found under an address.
#[derive(Debug)]
pub(crate) enum Found {
    /// A stored blob.
    Leaf(BlobStat),
    /// A recipe whose output is recorded and stored.
    Present(Recipe, Output),
    /// A recipe whose output is recorded, but whose blob is gone or damaged.
    Lost(Recipe, Output),
    /// A recipe that has no output yet.
    Absent(Recipe),
    /// Neither a blob nor a recipe.
    Missing,
}

/// What was found under several addresses, in their order.
#[derive(Debug)]
pub(crate) struct Lookup {
    nodes: Vec<Option<Node>>,
    /// Of each leaf and of each recorded output, in order: the blob, where it is there.
    stats: Vec<Option<BlobStat>>,
    /// Whether a blob was looked for, and found.
    there: Vec<bool>,
}

impl Lookup {
    /// Whether the address at this place is a recipe that must be computed.
    pub(crate) fn is_open(&self, place: usize) -> bool {
        self.nodes[place].is_some() && !self.there.get(place).copied().unwrap_or(false)
    }

    /// The recipe at this place, if there is one.
    pub(crate) fn recipe(&self, place: usize) -> Option<&Recipe> {
        Some(&self.nodes[place].as_ref()?.recipe)
    }

    /// What was found, in order.
    pub(crate) fn found(self) -> impl Iterator<Item = Found> {
        let mut stats = self.stats.into_iter();
        self.nodes.into_iter().map(move |node| match node {
            None => stats.next().flatten().map_or(Found::Missing, Found::Leaf),
            Some(node) => match node.output {
                None => Found::Absent(node.recipe),
                Some(output) if stats.next().flatten().is_some() => {
                    Found::Present(node.recipe, output)
                }
                Some(output) => Found::Lost(node.recipe, output),
            },
        })
    }
}

/// Looks up addresses, in bulk: one call to the DAG store and at most one to the blob store.
pub(crate) async fn look_up(
    dag: &dyn DagStore,
    blobs: &dyn BlobStore,
    addrs: &[CAddr],
    doubts: Doubts<'_>,
) -> Result<Lookup> {
    let mut nodes = dag.get_many(addrs).await?;
    if doubts.unchecked.is_some() || !doubts.ledger.is_empty() {
        for (addr, node) in addrs.iter().zip(&mut nodes) {
            if let Some(node) = node {
                node.output.take_if(|output| !doubts.counts(addr, output));
            }
        }
    }
    // Every leaf and every recorded output needs a look at its blob; recipes without output do not.
    let content = |(addr, node): (&CAddr, &Option<Node>)| match node {
        None => Some(*addr),
        Some(node) => node.output.map(|output| output.addr),
    };
    let asked: Vec<CAddr> = addrs.iter().zip(&nodes).filter_map(content).collect();
    if asked.is_empty() {
        let (stats, there) = (Vec::new(), Vec::new());
        return Ok(Lookup {
            nodes,
            stats,
            there,
        });
    }
    let mut stats = blobs.stat(&asked).await?;
    if let Some(distrusted) = doubts.distrusted {
        for stat in &mut stats {
            *stat = stat.filter(|stat| !distrusted.contains(&stat.addr));
        }
    }
    let mut found = stats.iter();
    let there = addrs
        .iter()
        .zip(&nodes)
        .map(|pair| content(pair).is_some() && found.next().is_some_and(Option::is_some));
    Ok(Lookup {
        there: there.collect(),
        nodes,
        stats,
    })
}
