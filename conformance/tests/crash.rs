//! What a store acknowledged is there after its process was killed, again and again on one store.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use conformance::open;
use deriva_api::{Blob, BlobStore, CAddr, DagStore, DagStoreExt, Params, Recipe, Record, Result};
use deriva_testkit::SplitMix64;
use futures::TryStreamExt;
use futures::executor::block_on;

const KILLS: u64 = 24;
const THREADS: u64 = 4;
const STORE: &str = "DERIVA_CRASH_STORE";
const FIRST: &str = "DERIVA_CRASH_FIRST";

#[test]
fn synced_writes_survive_kills() {
    kill_again_and_again("?blob_threshold=8192");
}

#[test]
fn buffered_writes_survive_kills_once_flushed() {
    kill_again_and_again("?durability=buffered&blob_threshold=8192");
}

/// The process that is killed: writes what [`Item`] says, and tells on stderr what was acknowledged.
#[test]
#[ignore = "run by the tests above, in a process of its own"]
fn writer_process() {
    let uri = std::env::var(STORE).expect("set by the parent");
    let first: u64 = std::env::var(FIRST)
        .expect("set by the parent")
        .parse()
        .unwrap();
    let store = block_on(open(&uri)).unwrap();
    let (blobs, dag) = (store.blobs.unwrap(), store.dag.unwrap());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (blobs, dag) = (&blobs, &dag);
            scope.spawn(move || {
                for n in (first + thread..).step_by(THREADS as usize) {
                    block_on(Item::new(n).write(&**blobs, &**dag)).unwrap();
                }
            });
        }
    });
}

fn kill_again_and_again(options: &str) {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("sled:{}{options}", folder.path().join("store").display());
    let mut random = SplitMix64::new(options.len() as u64);
    let mut acknowledged = BTreeMap::new();
    for round in 0..KILLS {
        let before = acknowledged.len();
        let acks = 1 + random.below(150) as usize;
        run_and_kill(&uri, round * 1_000_000, acks, &mut acknowledged);
        assert!(acknowledged.len() > before, "the writer got nothing done");
        block_on(check(&uri, &acknowledged)).unwrap();
    }
    assert!(acknowledged.len() > 100);
}

/// Runs a writer until it has told of `acks` acknowledgements, kills it, and notes all that it told.
fn run_and_kill(uri: &str, first: u64, acks: usize, acknowledged: &mut BTreeMap<u64, Stage>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "writer_process", "--nocapture"])
        .env(STORE, uri)
        .env(FIRST, first.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut told = 0;
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        // The kill may have cut the last line short.
        if let Some((stage, n)) = line.strip_suffix('\n').and_then(parse) {
            let known = acknowledged.entry(n).or_insert(stage);
            *known = stage.max(*known);
            told += 1;
            if told == acks {
                child.kill().unwrap();
            }
        } else if told < acks {
            panic!("the writer said: {line}");
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(told >= acks, "the writer ended by itself");
}

/// How far an item got, as acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Put,
    Inserted,
    Recorded,
}

const STAGES: [(&str, Stage); 3] = [
    ("put", Stage::Put),
    ("inserted", Stage::Inserted),
    ("recorded", Stage::Recorded),
];

fn parse(line: &str) -> Option<(Stage, u64)> {
    let (word, n) = line.strip_prefix("ack ")?.split_once(' ')?;
    let stage = STAGES.iter().find(|(name, _)| *name == word)?.1;
    Some((stage, n.parse().ok()?))
}

/// A blob, a recipe over it, and the blob as the recipe's output, all found from one number.
struct Item {
    n: u64,
    blob: Blob,
    recipe: Recipe,
}

fn hub() -> CAddr {
    CAddr::of_blob(b"hub")
}

impl Item {
    fn new(n: u64) -> Self {
        let mut random = SplitMix64::new(n);
        // One in eight goes to a file of its own.
        let len = if n.is_multiple_of(8) {
            20_000
        } else {
            random.below(300)
        };
        let blob = Blob::new([n.to_le_bytes().to_vec(), random.bytes(len as usize)].concat());
        let inputs = [hub(), blob.addr()];
        let params = Params::new().with("n", n as i64);
        let recipe = Recipe::new(&"f/1".parse().unwrap(), &inputs, &params).unwrap();
        Self { n, blob, recipe }
    }

    fn record(&self) -> Record {
        let stat = self.blob.stat();
        let output = deriva_api::Output {
            addr: stat.addr,
            len: stat.len,
            cost: Duration::ZERO,
        };
        Record {
            addr: self.recipe.addr(),
            resolved: None,
            output,
        }
    }

    async fn write(&self, blobs: &dyn BlobStore, dag: &dyn DagStore) -> Result<()> {
        let buffered = std::env::var(STORE).is_ok_and(|uri| uri.contains("buffered"));
        for (word, stage) in STAGES {
            match stage {
                Stage::Put => blobs.put(std::slice::from_ref(&self.blob)).await?,
                Stage::Inserted => drop(dag.insert(std::slice::from_ref(&self.recipe)).await?),
                Stage::Recorded => drop(dag.record(&[self.record()]).await?),
            }
            if buffered {
                blobs.flush().await?;
                dag.flush().await?;
            }
            // In one write, so that lines of several threads do not mix.
            let line = format!("ack {word} {}\n", self.n);
            std::io::stderr().write_all(line.as_bytes()).unwrap();
        }
        Ok(())
    }
}

/// All that was acknowledged is there, and what is there holds together.
async fn check(uri: &str, acknowledged: &BTreeMap<u64, Stage>) -> Result<()> {
    let store = open(uri).await?;
    let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) =
        (store.blobs.unwrap(), store.dag.unwrap());
    for (n, stage) in acknowledged {
        let item = Item::new(*n);
        assert_eq!(
            blobs.get(item.blob.addr()).await?,
            Some(item.blob.clone()),
            "blob {n}"
        );
        let node = dag.get_one(item.recipe.addr()).await?;
        assert!(node.is_some() || *stage < Stage::Inserted, "recipe {n}");
        let output = node.and_then(|node| node.output);
        assert!(output.is_some() || *stage < Stage::Recorded, "output {n}");
        assert!(output.is_none_or(|output| output == item.record().output));
    }
    let nodes: Vec<_> = dag.list(None).try_collect().await?;
    let mut outputs = 0;
    for (addr, node) in &nodes {
        if let Some(output) = node.output {
            outputs += 1;
            let blob = blobs.get(output.addr).await?;
            assert_eq!(
                blob.map(|blob| blob.stat()),
                Some(output.stat()),
                "output of {addr} without its blob"
            );
        }
        let own = node.recipe.inputs().nth(1).unwrap();
        let of_own: Vec<CAddr> = dag.dependents(own, None).try_collect().await?;
        assert_eq!(
            of_own,
            [*addr],
            "edge without recipe, or recipe without edge"
        );
    }
    let known: BTreeSet<CAddr> = nodes.iter().map(|(addr, _)| *addr).collect();
    let of_hub: BTreeSet<CAddr> = dag.dependents(hub(), None).try_collect().await?;
    assert_eq!(of_hub, known, "edges match recipes");
    let usage = dag.usage().await?.unwrap();
    assert_eq!(
        (usage.recipes, usage.outputs),
        (nodes.len() as u64, outputs)
    );
    let stats: Vec<_> = blobs.list(None).try_collect().await?;
    let counted = blobs.usage().await?.unwrap();
    let bytes: u64 = stats.iter().map(|stat| stat.len).sum();
    assert_eq!((counted.blobs, counted.bytes), (stats.len() as u64, bytes));
    Ok(())
}
