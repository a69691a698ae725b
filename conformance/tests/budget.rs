//! Graphs larger than the memory that they may take.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use conformance::UriFixture;
use deriva::{CAddr, Deriva, Error, ErrorKind, StoreResults};
use deriva_testkit::Workload;

const MIB: u64 = 1 << 20;

async fn load(deriva: &Deriva, workload: Workload) -> CAddr {
    let root = workload.load(&**deriva.blobs(), &**deriva.dag()).await;
    root.unwrap()
}

/// With so little memory a plan holds 1,024 recipes.
async fn cramped(uri: &str) -> Deriva {
    let builder = deriva::builder().store(uri).memory(MIB);
    builder.build().await.unwrap()
}

#[tokio::test]
async fn a_graph_larger_than_a_plan_is_computed_once_in_stages() {
    for results in [StoreResults::All, StoreResults::None] {
        for workload in [
            Workload::Chain { length: 20_000 },
            Workload::Layered {
                width: 100,
                layers: 100,
            },
            Workload::FanIn { width: 5000 },
        ] {
            let (small, large) = (
                cramped("memory:").await,
                deriva::builder().store("memory:").build().await.unwrap(),
            );
            let root = load(&small, workload).await;
            load(&large, workload).await;
            let done = small.materialize(root).store_results(results);
            let done = done.await.unwrap().summary;
            let counts = (done.computed, done.reused, done.failed);
            if results == StoreResults::All {
                assert_eq!(counts, (workload.len(), 0, 0), "{workload:?}");
            }
            assert_eq!(
                small.get(root).await.unwrap(),
                large.get(root).await.unwrap()
            );
        }
    }
}

#[tokio::test]
async fn what_is_missing_is_told_also_where_a_plan_is_too_small_for_the_graph() {
    let deriva = cramped("memory:").await;
    let gone = CAddr::of_blob(b"gone");
    let mut at = gone;
    for _ in 0..5000 {
        at = deriva
            .recipe("bench.mix", "1")
            .input(at)
            .insert()
            .await
            .unwrap();
    }
    let error = deriva.get(at).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.context("missing"), Some(gone.to_string().as_str()));
    assert_eq!(deriva.status().await.unwrap().outputs, Some(0));
}

#[tokio::test]
async fn what_failed_in_one_stage_is_not_tried_again_in_the_next() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let deriva = deriva::builder()
        .store("memory:")
        .memory(MIB)
        .light_function("fail", "1", move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Err(Error::new(ErrorKind::Function, "as it should"))
        })
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("12345678").await.unwrap();
    let chain = async |mut at: CAddr| {
        for _ in 0..5000 {
            at = deriva
                .recipe("bench.mix", "1")
                .input(at)
                .insert()
                .await
                .unwrap();
        }
        at
    };
    let failing = deriva
        .recipe("fail", "1")
        .input(leaf)
        .insert()
        .await
        .unwrap();
    let (bad, good) = (chain(failing).await, chain(leaf).await);
    let both = deriva.recipe("bytes.concat", "1").inputs([good, bad]);
    let both = both.insert().await.unwrap();
    let done = deriva
        .materialize_many([good, both])
        .keep_going()
        .await
        .unwrap();
    assert!(done.results[0].is_ok());
    let error = done.results[1].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Function);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!((done.summary.failed, done.summary.computed), (1, 5000));
}

/// Peak and present resident memory of this process, in bytes.
fn resident(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap();
    line.split_whitespace()
        .next()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        << 10
}

/// A gibibyte of values that all are needed at the end, inside 64 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_of_intermediates_fits_into_64_mib() {
    const BRANCHES: u64 = 256;
    let fixture = UriFixture::new("files", "");
    let graph = UriFixture::new("sled", "?cache=8MiB");
    for results in [StoreResults::All, StoreResults::None] {
        let deriva = deriva::builder()
            .blobs(fixture.uri())
            .dag(graph.uri())
            .memory(64 * MIB)
            .jobs(2)
            .function("blow", "1", |inputs, params| {
                let text = format!("{:?}", params.get("n"));
                let word = CAddr::of_blob(&[text.as_bytes(), &inputs[0]].concat());
                Ok(Bytes::from(word.as_bytes().repeat(4 << 20 >> 5)))
            })
            .function("fold", "1", |inputs, _| {
                let sums = inputs.iter().map(|input| CAddr::of_blob(input));
                Ok(Bytes::from(sums.fold(Vec::new(), |mut all, sum| {
                    all.extend_from_slice(sum.as_bytes());
                    all
                })))
            })
            .build()
            .await
            .unwrap();
        let leaf = deriva.put(format!("{results:?}")).await.unwrap();
        // Every value is read twice: by its neighbour's fold and by its own, and folds come last.
        let mut blown = Vec::new();
        for n in 0..BRANCHES {
            let recipe = deriva.recipe("blow", "1").input(leaf).param("n", n as i64);
            blown.push(recipe.insert().await.unwrap());
        }
        let mut folds = Vec::new();
        for n in 0..BRANCHES as usize {
            let pair = [blown[n], blown[(n * 97 + 1) % blown.len()]];
            let recipe = deriva.recipe("fold", "1").inputs(pair);
            folds.push(recipe.insert().await.unwrap());
        }
        let top = deriva.recipe("bytes.concat", "1").inputs(folds);
        let top = top.insert().await.unwrap();
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = resident("VmRSS:");
        let done = deriva
            .materialize(top)
            .store_results(results)
            .await
            .unwrap();
        assert_eq!(done.summary.computed, 2 * BRANCHES + 1);
        let grown = resident("VmHWM:").saturating_sub(before);
        // The budget, two steps in flight with their inputs, and what the allocator keeps.
        assert!(
            grown < 160 * MIB,
            "{results:?}: grown by {} MiB",
            grown / MIB
        );
    }
}
