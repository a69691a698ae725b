//! What was acknowledged, over all rounds, and whether a store still has it.

use std::collections::{BTreeMap, BTreeSet};

use deriva_api::{BlobStat, CAddr, DagStore, DurabilityClass, Node, Recipe};
use futures::TryStreamExt;

use super::Broken;
use super::item::{Item, Parts, hub};
use super::store::Stores;
use super::writer::window;

/// Acknowledged steps by item, and how far an item may have come beyond them.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    items: BTreeMap<u64, Steps>,
}

#[derive(Clone, Copy, Debug)]
struct Steps {
    acknowledged: usize,
    /// Its writer is gone, and what it left was seen: nothing may change any more.
    settled: Option<Parts>,
}

impl Oracle {
    pub(super) fn acknowledge(&mut self, n: u64, steps: usize) {
        let known = self.items.entry(n).or_insert(Steps {
            acknowledged: 0,
            settled: None,
        });
        known.acknowledged = known.acknowledged.max(steps);
    }

    /// Items of which anything was acknowledged.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Steps that were acknowledged.
    pub(super) fn steps(&self) -> usize {
        self.items.values().map(|steps| steps.acknowledged).sum()
    }

    /// Checks that everything acknowledged is there, that nothing is there which was not written, and
    /// that all of it holds together. What is found must be found again the next time.
    pub(super) async fn check(&mut self, stores: &Stores) -> Result<(), Broken> {
        let found = Found::read(stores).await?;
        let buffered = stores.blobs.capabilities().durability == DurabilityClass::None;
        let mut counted = Counted::default();
        let mut numbers: BTreeSet<u64> = self.items.keys().copied().collect();
        numbers.extend(&found.numbers);
        for n in numbers {
            let item = Item::new(n)?;
            let parts = found.parts(&item, stores).await?;
            let window = if buffered { window(n) } else { 1 };
            self.judge(n, parts, window, stores.dag.is_some())?;
            counted.add(&item, parts);
        }
        found.agree(&counted, stores).await
    }

    fn judge(&mut self, n: u64, parts: Parts, window: usize, with_dag: bool) -> Result<(), Broken> {
        let life = Item::life(n, with_dag);
        let known = self.items.get(&n).copied().unwrap_or(Steps {
            acknowledged: 0,
            settled: None,
        });
        let wrong = |expected: &str| {
            let acknowledged = &life[..known.acknowledged];
            let message =
                format!("item {n}, acknowledged {acknowledged:?}, has {parts:?}, not {expected}");
            Err(Broken::new(message))
        };
        match known.settled {
            Some(settled) if settled != parts => return wrong("what an earlier opening found"),
            Some(_) => return Ok(()),
            None => {}
        }
        let last = life.len().min(known.acknowledged + window);
        let possible = known.acknowledged..=last;
        if !possible
            .clone()
            .any(|steps| Item::parts_after(&life, steps) == parts)
        {
            return wrong("what its steps leave");
        }
        self.items.insert(
            n,
            Steps {
                settled: Some(parts),
                ..known
            },
        );
        Ok(())
    }
}

/// What a store lists.
pub(crate) struct Found {
    blobs: BTreeMap<CAddr, BlobStat>,
    nodes: BTreeMap<CAddr, Node>,
    roots: BTreeMap<String, CAddr>,
    /// The items that blobs and recipes are of.
    pub(crate) numbers: BTreeSet<u64>,
}

impl Found {
    pub(crate) async fn read(stores: &Stores) -> Result<Self, Broken> {
        let listed: Vec<BlobStat> = stores.blobs.list(None).try_collect().await?;
        let mut found = Self {
            blobs: listed.into_iter().map(|stat| (stat.addr, stat)).collect(),
            nodes: BTreeMap::new(),
            roots: BTreeMap::new(),
            numbers: BTreeSet::new(),
        };
        for addr in found.blobs.keys() {
            let blob = stores.blobs.get(*addr).await?;
            let number = blob.and_then(|blob| Item::number_in_blob(blob.bytes()));
            match number {
                Some(n) => found.numbers.insert(n),
                None => return Err(Broken::new(format!("blob {addr} is listed and not there"))),
            };
        }
        if let Some(dag) = &stores.dag {
            found.nodes = dag.list(None).try_collect().await?;
            found.roots = dag.roots(None).try_collect().await?;
            let numbers = found.nodes.values();
            let numbers = numbers.filter_map(|node| Item::number_in_recipe(&node.recipe));
            found.numbers.extend(numbers);
        }
        Ok(found)
    }

    /// The parts of an item that are there, each looked up in all the ways there are.
    pub(crate) async fn parts(&self, item: &Item, stores: &Stores) -> Result<Parts, Broken> {
        let addr = item.blob.addr();
        let got = stores.blobs.get(addr).await?;
        let stat = stores.blobs.stat(&[addr]).await?[0];
        let listed = self.blobs.get(&addr).copied();
        let blob = got.is_some();
        if got.is_some_and(|got| got != item.blob) || stat != listed || stat.is_some() != blob {
            return Err(Broken::new(format!(
                "blob {addr}: stat {stat:?}, listed {listed:?}, read {blob}"
            )));
        }
        let mut parts = Parts {
            blob,
            ..Parts::default()
        };
        if let Some(dag) = &stores.dag {
            self.parts_in_dag(item, &**dag, &mut parts).await?;
        }
        Ok(parts)
    }

    async fn parts_in_dag(
        &self,
        item: &Item,
        dag: &dyn DagStore,
        parts: &mut Parts,
    ) -> Result<(), Broken> {
        let (first, addrs) = (item.first(), item.addrs());
        let broken = |what: String| Err(Broken::new(format!("item {}: {what}", item.root)));
        let nodes = dag.get_many(&addrs).await?;
        let count = nodes.iter().flatten().count();
        for (recipe, node) in item.recipes.iter().zip(nodes) {
            let listed = self.nodes.get(&recipe.addr());
            let seen = |node: &Node| (node.recipe.clone(), node.output);
            let node = node.as_ref();
            if listed.map(seen) != node.map(seen) || node.is_some_and(|n| n.recipe != *recipe) {
                return broken(format!("recipe {} listed as {listed:?}", recipe.addr()));
            }
        }
        if count != 0 && count != addrs.len() {
            return broken(format!(
                "half a batch of recipes: {count} of {} are there",
                addrs.len()
            ));
        }
        parts.recipes = count > 0;
        let mut recorded: Vec<CAddr> = item.recorded().iter().map(Recipe::addr).collect();
        recorded.push(item.resolved);
        let outputs = dag.outputs(&recorded).await?;
        let count = outputs.iter().flatten().count();
        if count != 0 && count != recorded.len() {
            return broken(format!(
                "half a batch of outputs: {count} of {} are there",
                recorded.len()
            ));
        }
        if let Some(other) = outputs.iter().flatten().find(|o| **o != item.output()) {
            return broken(format!("the output is {other:?}"));
        }
        parts.output = count > 0;
        if parts.output && !parts.blob {
            return broken("an output without its blob".to_owned());
        }
        let none = Vec::new();
        let mut all = addrs.clone();
        all.sort_unstable();
        let mut others = addrs[1..].to_vec();
        others.sort_unstable();
        let (expected, expected_of_blob) = match parts.recipes {
            true => (&others, &all),
            false => (&none, &none),
        };
        let of_first: Vec<CAddr> = dag.dependents(first, None).try_collect().await?;
        let of_blob: Vec<CAddr> = dag.dependents(item.blob.addr(), None).try_collect().await?;
        if of_first != *expected || of_blob != *expected_of_blob {
            return broken(format!(
                "{} and {} edges, which are not those of its recipes",
                of_first.len(),
                of_blob.len()
            ));
        }
        parts.root = match self.roots.get(&item.root) {
            Some(addr) if *addr != first => return broken(format!("root at {addr}")),
            found => found.is_some(),
        };
        Ok(())
    }

    /// Counts and shared edges are those of the items.
    pub(crate) async fn agree(&self, counted: &Counted, stores: &Stores) -> Result<(), Broken> {
        let listed = self.blobs.len() as u64;
        if let Some(usage) = stores.blobs.usage().await?
            && (usage.blobs, usage.bytes, listed) != (counted.blobs, counted.bytes, counted.blobs)
        {
            return Err(Broken::new(format!(
                "{usage:?} for {counted:?}, {listed} listed"
            )));
        }
        let Some(dag) = &stores.dag else {
            return Ok(());
        };
        let of_hub: BTreeSet<CAddr> = dag.dependents(hub(), None).try_collect().await?;
        if of_hub != counted.firsts {
            return Err(Broken::new(
                "the edges of the shared input are not those of the recipes",
            ));
        }
        let listed = (self.nodes.len() as u64, self.roots.len() as u64);
        let expected = (counted.recipes, counted.outputs, counted.roots);
        if let Some(usage) = dag.usage().await?
            && ((usage.recipes, usage.outputs, usage.roots) != expected
                || listed != (usage.recipes, usage.roots))
        {
            return Err(Broken::new(format!(
                "{usage:?} for {counted:?}, {listed:?} listed"
            )));
        }
        Ok(())
    }
}

/// What the items that are there add up to.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    blobs: u64,
    bytes: u64,
    recipes: u64,
    /// The first recipes.
    firsts: BTreeSet<CAddr>,
    outputs: u64,
    roots: u64,
}

impl Counted {
    pub(crate) fn add(&mut self, item: &Item, parts: Parts) {
        if parts.blob {
            self.blobs += 1;
            self.bytes += item.blob.len();
        }
        if parts.recipes {
            self.recipes += item.recipes.len() as u64;
            self.firsts.insert(item.first());
        }
        if parts.output {
            self.outputs += item.recorded().len() as u64;
        }
        self.roots += u64::from(parts.root);
    }
}
