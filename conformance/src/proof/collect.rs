//! Kills a process that collects, at random moments and at every failpoint, again and again on one store,
//! and holds what is there afterwards against what was there before.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use deriva_api::{BlobStat, CAddr, Node, Result};
use deriva_backends::failpoints;
use deriva_runtime::{CollectPolicy, Deriva, DerivaBuilder};
use deriva_testkit::proof::{tell, told};
use deriva_testkit::{SplitMix64, random};
use futures::TryStreamExt;
use tokio::runtime::Runtime;

use super::store::die_at;
use super::{Broken, uri_in};

/// Recipes that are added before each kill.
const RECIPES: usize = 60;
/// Of which every Nth is named by a root.
const ROOTED: usize = 9;
/// Roots that are left when others come.
const ROOTS: usize = 20;

/// How the collecting process is called.
#[derive(Args, Clone, Debug)]
pub struct CollectorArgs {
    /// The store.
    uri: String,
    /// End the process, as if killed, at this failpoint.
    #[arg(long)]
    die_at: Option<String>,
    /// How often the failpoint is passed before.
    #[arg(long, default_value_t = 0)]
    passes: u64,
}

pub(super) fn run(args: &CollectorArgs) -> Result<()> {
    let tokio = runtime()?;
    tokio.block_on(async {
        let deriva = open(&args.uri).await?;
        tell("begin");
        // Not before: the opening is not what is looked at.
        if let Some(name) = &args.die_at {
            die_at(name, args.passes);
        }
        deriva.collect().await?;
        tell("end");
        Ok(())
    })
}

fn runtime() -> Result<Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().build();
    built.map_err(deriva_api::Error::io)
}

async fn open(uri: &str) -> Result<Deriva> {
    let opened = crate::open(uri).await?;
    let mut builder = DerivaBuilder::new().functions(deriva_functions::builtin());
    if let Some(blobs) = opened.blobs {
        builder = builder.blobs(blobs);
    }
    if let Some(dag) = opened.dag {
        builder = builder.dag(dag);
    }
    builder.jobs(1).build().await
}

/// Collections to be killed on one store.
#[derive(Clone, Debug)]
pub struct KilledCollections {
    /// The `conformance` command, which is run as the process that is killed.
    pub program: PathBuf,
    /// The store, as in [`super::uri_in`].
    pub store: String,
    /// How many processes are started to be killed.
    pub rounds: u64,
    /// Where chance begins.
    pub seed: u64,
}

/// What was done, and found good.
#[derive(Clone, Debug, Default)]
pub struct CollectReport {
    /// Kills by failpoint, before the collection was done.
    pub at_failpoints: BTreeMap<&'static str, u64>,
    /// Kills at random moments, before the collection was done.
    pub at_random: u64,
    /// Kills that found part of what was to be taken taken.
    pub halfway: u64,
}

impl KilledCollections {
    /// Does it in a new folder.
    ///
    /// # Errors
    /// What was found broken.
    pub fn run(&self) -> Result<CollectReport, Broken> {
        let folder = tempfile::tempdir()?;
        let uri = uri_in(&self.store, folder.path())?;
        let done = self.run_in(&uri);
        done.map_err(|broken| Broken::new(format!("{} (seed {}): {broken}", self.store, self.seed)))
    }

    fn run_in(&self, uri: &str) -> Result<CollectReport, Broken> {
        let tokio = runtime()?;
        let mut random = SplitMix64::new(self.seed);
        let mut report = CollectReport::default();
        let mut names = failpoints::ALL.iter().copied().cycle();
        for round in 0..self.rounds {
            let before = tokio.block_on(async {
                let deriva = open(uri).await?;
                fill(&deriva, self.seed * 1000 + round).await?;
                let content = Content::of(&deriva).await?;
                deriva.flush().await?;
                Ok::<_, Broken>(content)
            })?;
            let name = names.next().filter(|_| round % 2 == 0);
            let killed = match name {
                Some(name) => self.run_to_failpoint(uri, name, random.below(4))?,
                None => self.run_and_kill(uri, Duration::from_micros(random.below(20_000)))?,
            };
            match name {
                Some(name) => *report.at_failpoints.entry(name).or_default() += u64::from(killed),
                None => report.at_random += u64::from(killed),
            }
            let after = tokio.block_on(async { Content::of(&open(uri).await?).await })?;
            let when = name.unwrap_or("a random moment");
            let halfway = after.check(&before).map_err(|broken| {
                Broken::new(format!("after a kill at {when} in round {round}: {broken}"))
            })?;
            report.halfway += u64::from(killed && halfway);
        }
        tokio.block_on(finish(uri))?;
        Ok(report)
    }

    fn command(&self, uri: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["__collector", uri]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Answers whether the process came to its failpoint.
    fn run_to_failpoint(&self, uri: &str, name: &str, passes: u64) -> Result<bool, Broken> {
        let mut command = self.command(uri);
        command.args([format!("--die-at={name}"), format!("--passes={passes}")]);
        let output = command.output()?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        match told.contains("died") {
            true => Ok(!told.contains("end")),
            false if output.status.success() => Ok(false),
            false => Err(Broken::new(format!(
                "the collector ended: {}",
                output.status
            ))),
        }
    }

    /// Answers whether the process was killed before it was done.
    fn run_and_kill(&self, uri: &str, delay: Duration) -> Result<bool, Broken> {
        let mut child = self.command(uri).spawn()?;
        let output = child.stdout.take();
        let output = output.ok_or_else(|| Broken::new("the collector has no output"))?;
        let mut lines = BufReader::new(output).lines();
        let first = lines.next().transpose()?;
        if first.as_deref().and_then(told) != Some("begin") {
            return Err(Broken::new(format!(
                "the collector ended: {}",
                child.wait()?
            )));
        }
        std::thread::park_timeout(delay);
        child.kill()?;
        let ended = lines
            .map_while(std::io::Result::ok)
            .any(|line| told(&line) == Some("end"));
        child.wait()?;
        Ok(!ended)
    }
}

/// Adds a graph, all of it computed, roots some of it, and lets go of older roots.
async fn fill(deriva: &Deriva, seed: u64) -> Result<()> {
    let graph = random::graph(seed, RECIPES)?;
    deriva.put_many(&graph.leaves).await?;
    let addrs = deriva.insert(&graph.recipes).await?;
    deriva.materialize_many(addrs.iter().copied()).await?;
    for addr in addrs.iter().step_by(ROOTED) {
        deriva
            .set_root(&format!("{seed} {}", addr.short()), *addr)
            .await?;
    }
    let roots = deriva.roots().await?;
    let surplus = roots.len().saturating_sub(ROOTS);
    for (name, _) in &roots[..surplus] {
        deriva.remove_root(name).await?;
    }
    Ok(())
}

/// Without kills: what is left is what the roots need, and it is all there.
async fn finish(uri: &str) -> Result<(), Broken> {
    let deriva = open(uri).await?;
    deriva
        .collect()
        .policy(CollectPolicy::default().unreferenced_blobs(true))
        .await?;
    let content = Content::of(&deriva).await?;
    let (recipes, blobs) = content.living();
    let there: BTreeSet<CAddr> = content.blobs.keys().copied().collect();
    if content.nodes.keys().any(|addr| !recipes.contains(addr)) || there != blobs {
        return Err(Broken::new("the last collection left what no root needs"));
    }
    let roots = content.roots.iter().map(|(_, addr)| *addr);
    let done = deriva.materialize_many(roots).await?;
    match done.summary.computed {
        0 => Ok(()),
        n => Err(Broken::new(format!(
            "{n} living recipes had to be computed again"
        ))),
    }
}

/// What a store holds.
struct Content {
    nodes: BTreeMap<CAddr, Node>,
    blobs: BTreeMap<CAddr, BlobStat>,
    roots: Vec<(String, CAddr)>,
    edges: BTreeSet<(CAddr, CAddr)>,
}

impl Content {
    async fn of(deriva: &Deriva) -> Result<Self, Broken> {
        let blobs: Vec<BlobStat> = deriva.blobs().list(None).try_collect().await?;
        let mut content = Self {
            nodes: deriva.dag().list(None).try_collect().await?,
            blobs: blobs.into_iter().map(|stat| (stat.addr, stat)).collect(),
            roots: deriva.roots().await?,
            edges: BTreeSet::new(),
        };
        for addr in content.nodes.keys().chain(content.blobs.keys()) {
            let dependents: Vec<CAddr> = deriva.dag().dependents(*addr, None).try_collect().await?;
            content
                .edges
                .extend(dependents.into_iter().map(|dependent| (*addr, dependent)));
        }
        Ok(content)
    }

    /// The recipes that a root needs, and the blobs that these have or need.
    fn living(&self) -> (BTreeSet<CAddr>, BTreeSet<CAddr>) {
        let (mut recipes, mut blobs) = (BTreeSet::new(), BTreeSet::new());
        let mut open: Vec<CAddr> = self.roots.iter().map(|(_, addr)| *addr).collect();
        while let Some(addr) = open.pop() {
            match self.nodes.get(&addr) {
                Some(node) if recipes.insert(addr) => {
                    open.extend(node.recipe.inputs());
                    blobs.extend(node.output.map(|output| output.addr));
                }
                Some(_) => {}
                None => drop(blobs.insert(addr)),
            }
        }
        (recipes, blobs)
    }

    /// Checks what a killed collection left of `before`; answers whether it took some, and not all.
    fn check(&self, before: &Self) -> Result<bool, Broken> {
        for (addr, node) in &self.nodes {
            let Some(output) = node.output else { continue };
            if self.blobs.get(&output.addr) != Some(&output.stat()) {
                return Err(Broken::new(format!(
                    "{addr} has an output without its blob"
                )));
            }
        }
        let inputs = |(addr, node): (&CAddr, &Node)| {
            let edges = node.recipe.inputs().map(|input| (input, *addr));
            edges.collect::<Vec<_>>()
        };
        let edges: BTreeSet<_> = self.nodes.iter().flat_map(inputs).collect();
        // An address that is neither stored is not looked up.
        let known = |(input, _): &(CAddr, CAddr)| {
            self.nodes.contains_key(input) || self.blobs.contains_key(input)
        };
        if edges.into_iter().filter(known).collect::<BTreeSet<_>>() != self.edges {
            return Err(Broken::new("edges are not those of the recipes"));
        }
        if self.roots != before.roots {
            return Err(Broken::new("roots have changed"));
        }
        let (recipes, blobs) = before.living();
        for addr in &recipes {
            let output = |content: &Self| content.nodes.get(addr).map(|node| node.output);
            if output(self) != output(before) {
                return Err(Broken::new(format!("{addr} lives and has changed")));
            }
        }
        if let Some(addr) = blobs.iter().find(|addr| !self.blobs.contains_key(addr)) {
            return Err(Broken::new(format!("blob {addr} is needed and gone")));
        }
        let taken = self.nodes.len() < before.nodes.len();
        Ok(taken && self.nodes.len() > recipes.len())
    }
}
