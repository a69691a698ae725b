//! Records what the corpus pipeline reads, run after run, while the files that it reads change.
//!
//! See `benches/traces/README.md`.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use deriva::prelude::*;
use futures::TryStreamExt;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [command, repository, commits, passes, file] = args.as_slice() else {
        return Err(
            Error::new(ErrorKind::Invalid, "five arguments are needed").hint(
                "record-trace DERIVA-COMMAND REPOSITORY COMMITS PASSES FILE: runs the command over \
                 as many of the repository's last commits, PASSES times, and writes the trace to FILE",
            ),
        );
    };
    let passes: usize = passes
        .parse()
        .map_err(|source| Error::new(ErrorKind::Invalid, "PASSES is a number").caused_by(source))?;
    let mut trace = Recorder::default();
    for _ in 0..passes {
        pass(&mut trace, command, Path::new(repository), commits)?;
    }
    let packed = zstd::encode_all(trace.encode().as_slice(), 19).map_err(Error::io)?;
    std::fs::write(file, packed).map_err(Error::io)
}

/// Runs the pipeline over the commits, oldest first, with a new store.
fn pass(trace: &mut Recorder, command: &str, repository: &Path, commits: &str) -> Result<()> {
    let folder = tempfile::TempDir::new().map_err(Error::io)?;
    let tree = folder.path().join("tree");
    let store = format!("sled:{}", folder.path().join("store").display());
    git(
        repository,
        &["clone", "--quiet", ".", &tree.to_string_lossy()],
    )?;
    let log = git(
        &tree,
        &["rev-list", "--first-parent", "--max-count", commits, "HEAD"],
    )?;
    let pipeline = repository.join("examples/corpus/pipeline.toml");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::io)?;
    trace.known.clear();
    let is_first = trace.accesses.is_empty();
    for commit in log.lines().rev() {
        git(&tree, &["checkout", "--quiet", commit])?;
        let mut run = Command::new(command);
        run.args(["--store", &store, "run", "--json", "--jobs", "1"])
            .arg(&pipeline)
            .arg("--input")
            .arg(&tree);
        output(&mut run)?;
        runtime.block_on(trace.round(&store, is_first))?;
        eprintln!("{commit}: {} reads so far", trace.accesses.len());
    }
    Ok(())
}

/// Addresses by when they were read first, and all reads.
#[derive(Default)]
struct Recorder {
    index: HashMap<CAddr, usize>,
    keys: Vec<(u64, u64)>,
    accesses: Vec<usize>,
    /// Recipes whose outputs earlier rounds of this pass found, with the number of steps below them.
    known: HashMap<CAddr, u32>,
}

impl Recorder {
    /// Adds what the last run read: the inputs of each recipe that it computed, lower ones first, then
    /// the results and the new counts of single files, as their readers would. Other passes than the
    /// first only lower the costs: the least is that of a run that nothing else held up.
    async fn round(&mut self, store: &str, is_first: bool) -> Result<()> {
        let deriva = Deriva::builder().store(store).build().await?;
        let nodes: HashMap<CAddr, deriva::Node> = deriva.dag().list(None).try_collect().await?;
        for (addr, output) in nodes
            .iter()
            .filter_map(|(addr, node)| Some((addr, node.output?)))
        {
            if let Some(at) = self.index.get(addr) {
                let cost = &mut self.keys[*at].1;
                *cost = (*cost).min(output.cost.as_nanos() as u64);
            }
        }
        if !is_first {
            return Ok(());
        }
        let mut fresh: Vec<CAddr> = nodes
            .iter()
            .filter(|(addr, node)| node.output.is_some() && !self.known.contains_key(*addr))
            .map(|(addr, _)| *addr)
            .collect();
        fresh.sort_unstable();
        let mut computed = Vec::new();
        // A wave at a time: those whose inputs are all known.
        for depth in 0.. {
            let is_ready = |addr: &CAddr| {
                let inputs = nodes[addr].recipe.inputs();
                inputs
                    .into_iter()
                    .all(|input| !nodes.contains_key(&input) || self.known.contains_key(&input))
            };
            let (wave, rest): (Vec<CAddr>, Vec<CAddr>) = fresh.into_iter().partition(is_ready);
            if wave.is_empty() {
                break;
            }
            self.known.extend(wave.iter().map(|addr| (*addr, depth)));
            computed.extend(wave);
            fresh = rest;
        }
        for addr in &computed {
            for input in nodes[addr].recipe.inputs() {
                self.read(&deriva, &nodes, input).await?;
            }
        }
        for (_, addr) in deriva.roots().await? {
            self.read(&deriva, &nodes, addr).await?;
        }
        for addr in &computed {
            if self.known[addr] == 0 && nodes[addr].recipe.name() == "text.word_count" {
                self.read(&deriva, &nodes, *addr).await?;
            }
        }
        Ok(())
    }

    async fn read(
        &mut self,
        deriva: &Deriva,
        nodes: &HashMap<CAddr, deriva::Node>,
        addr: CAddr,
    ) -> Result<()> {
        if let Some(at) = self.index.get(&addr) {
            self.accesses.push(*at);
            return Ok(());
        }
        let key = match nodes.get(&addr).and_then(|node| node.output) {
            Some(output) => (output.len, output.cost.as_nanos() as u64),
            None => {
                let stats = deriva.blobs().stat(&[addr]).await?;
                (stats.into_iter().flatten().map(|stat| stat.len).sum(), 0)
            }
        };
        self.index.insert(addr, self.keys.len());
        self.accesses.push(self.keys.len());
        self.keys.push(key);
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        number(&mut bytes, self.keys.len() as u64);
        for (len, nanos) in &self.keys {
            number(&mut bytes, *len);
            number(&mut bytes, *nanos);
        }
        number(&mut bytes, self.accesses.len() as u64);
        let mut before = 0;
        for at in &self.accesses {
            let step = *at as i64 - before;
            number(&mut bytes, ((step << 1) ^ (step >> 63)) as u64);
            before = *at as i64;
        }
        bytes
    }
}

fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn git(folder: &Path, args: &[&str]) -> Result<String> {
    output(Command::new("git").current_dir(folder).args(args))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(Error::io)?;
    if !output.status.success() {
        return Err(Error::new(ErrorKind::Internal, "a command failed")
            .with("command", format!("{command:?}"))
            .with("stderr", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
