//! What was acknowledged is there after `kill -9`, again and again on the same store.

#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::common::{Store, blob, dependents, leaf, open, recipe, record, test_path};
use deriva_api::{Blob, DagStoreExt, Output, Recipe};
use futures::TryStreamExt;
use rstest::rstest;

const ROUNDS: u64 = 20;

/// What step `n` writes: a blob (every third a large one), and a recipe that produced it.
fn step(n: u64) -> (Blob, Recipe, Output) {
    let blob = blob(if n.is_multiple_of(3) { 5000 } else { 300 }, n);
    let recipe = recipe("f/1", &[leaf(0), leaf(n)]);
    let cost = std::time::Duration::from_nanos(n);
    let (addr, len) = (blob.addr(), blob.len());
    (blob, recipe, Output { addr, len, cost })
}

/// Not a test of its own: run as another process, it writes and acknowledges until it is killed.
#[tokio::test]
async fn write_until_killed() {
    let Ok(uri) = std::env::var("DERIVA_TEST_WRITE") else {
        return;
    };
    let first: u64 = std::env::var("DERIVA_TEST_FIRST").unwrap().parse().unwrap();
    let opened = open(&uri).await.unwrap();
    let blobs = opened.blobs.unwrap();
    for n in first.. {
        let (blob, recipe, output) = step(n);
        blobs.put(&[blob.clone()]).await.unwrap();
        if let Some(dag) = &opened.dag {
            dag.insert(&[recipe.clone()]).await.unwrap();
            dag.record(&[record(recipe.addr(), output)]).await.unwrap();
        }
        let mut out = std::io::stdout();
        out.write_all(format!("\nacknowledged {n}\n").as_bytes())
            .unwrap();
        out.flush().unwrap();
    }
}

#[rstest]
#[case("sled:PATH?blob_threshold=1KiB")]
#[case("redb:PATH?blob_threshold=1KiB")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?blob_threshold=1KiB"))]
#[case("files:PATH")]
#[tokio::test]
async fn acknowledged_writes_survive_a_killed_process(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let has_dag = !uri.starts_with("files");
    let mut first = 1;
    for round in 0..ROUNDS {
        store.close();
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                &test_path(module_path!(), "write_until_killed"),
                "--nocapture",
            ])
            .env("DERIVA_TEST_WRITE", store.uri())
            .env("DERIVA_TEST_FIRST", first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut acknowledged = first - 1;
        let mut wanted = 1 + round * 7 % 23;
        for line in lines.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("acknowledged ") {
                acknowledged = n.parse().unwrap();
                wanted = wanted.saturating_sub(1);
            }
            if wanted == 0 {
                // Lines that it wrote before it dies are read and count.
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();
        assert!(acknowledged >= first, "round {round}");

        store.reopen().await;
        let blobs = store.blobs();
        for n in 1..=acknowledged {
            let (blob, recipe, output) = step(n);
            assert_eq!(blobs.get(blob.addr()).await.unwrap(), Some(blob), "{n}");
            if has_dag {
                let node = store.dag().get_one(recipe.addr()).await.unwrap().unwrap();
                assert_eq!((node.recipe, node.output), (recipe, Some(output)));
            }
        }
        // One step more may have been written; whatever is listed is whole, and counted.
        let listed: Vec<_> = blobs.list(None).try_collect().await.unwrap();
        let usage = blobs.usage().await.unwrap().unwrap();
        assert_eq!(usage.blobs, listed.len() as u64);
        assert!(usage.blobs - acknowledged <= 1);
        if has_dag {
            let dag = store.dag();
            let nodes: Vec<_> = dag.list(None).try_collect().await.unwrap();
            let mut addrs: Vec<_> = nodes.iter().map(|(addr, _)| *addr).collect();
            assert_eq!(dependents(&dag, leaf(0)).await, addrs);
            for output in nodes.iter().filter_map(|(_, node)| node.output) {
                assert!(blobs.get(output.addr).await.unwrap().is_some());
            }
            addrs.dedup();
            assert_eq!(
                dag.usage().await.unwrap().unwrap().recipes,
                addrs.len() as u64
            );
        }
        first = acknowledged + 2;
        let (blob, recipe, output) = step(acknowledged + 1);
        blobs.put(&[blob]).await.unwrap();
        if has_dag {
            store.dag().insert(&[recipe.clone()]).await.unwrap();
            store
                .dag()
                .record(&[record(recipe.addr(), output)])
                .await
                .unwrap();
        }
    }
}
