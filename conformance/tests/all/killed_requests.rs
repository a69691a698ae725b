//! A process that is killed while it materializes leaves a consistent store, and the same request then leaves
//! what one without a kill leaves.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use conformance::UriFixture;
use conformance::proof::{Upkeep, UpkeepArgs};
use deriva::stores::{BlobStore, DagStore};
use deriva::{CAddr, Deriva, Node, Output};
use deriva_backends::failpoints;
use deriva_testkit::{ModelStore, SplitMix64, Workload};
use futures::TryStreamExt;
use rstest::rstest;

const WORK: Workload = Workload::Layered {
    width: 40,
    layers: 64,
};
/// Where a commit comes by.
const PLACES: [&str; 4] = [
    failpoints::COMMIT_DECIDED,
    failpoints::ENGINE_WRITTEN,
    failpoints::COMMIT_APPLIED,
    failpoints::COMMIT_ANSWERED,
];
const KILLS: u64 = 8;

#[rstest]
#[case("sled", "")]
#[case("sled", "?durability=buffered")]
#[case("redb", "")]
#[case("redb", "?durability=buffered")]
#[cfg_attr(feature = "rocksdb", case("rocksdb", ""))]
#[cfg_attr(feature = "rocksdb", case("rocksdb", "?durability=buffered"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_request_is_continued_by_the_next(#[case] scheme: &str, #[case] options: &str) {
    let model = Arc::new(ModelStore::new());
    let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) = (model.clone(), model);
    let without = deriva::builder()
        .blobs(blobs)
        .dag(dag)
        .build()
        .await
        .unwrap();
    let root = load(&without).await;
    without.materialize(root).await.unwrap();
    let expected = outputs(&without).await;
    let mut random = SplitMix64::new(9);
    let (mut died, mut halfway) = (0, 0);
    for kill in 0..KILLS {
        let fixture = UriFixture::new(scheme, options);
        let first = open(&fixture.uri()).await;
        load(&first).await;
        first.flush().await.unwrap();
        drop(first);
        let args = UpkeepArgs {
            uri: fixture.uri(),
            work: Upkeep::Materialize,
            die_at: Some(PLACES[(kill % 4) as usize].to_owned()),
            passes: random.below(5),
            killed: None,
        };
        died += u64::from(
            args.dies(Path::new(env!("CARGO_BIN_EXE_conformance")))
                .unwrap(),
        );
        let next = open(&fixture.uri()).await;
        let there = outputs(&next).await;
        halfway += u64::from(!there.is_empty() && there.len() < expected.len());
        for (addr, output) in &there {
            assert!(output.same_bytes(&expected[addr]), "{addr}");
            assert!(
                next.blobs().get(output.addr).await.unwrap().is_some(),
                "{addr}"
            );
        }
        let done = next.materialize(root).await.unwrap();
        let computed = usize::try_from(done.summary.computed).unwrap();
        assert!(
            computed <= expected.len() - there.len(),
            "{computed}, {} there",
            there.len()
        );
        let digest = next.state_digest().await.unwrap();
        assert_eq!(digest, without.state_digest().await.unwrap());
    }
    // A buffered store may have nothing on disk yet.
    assert!(
        died > KILLS / 2 && (halfway > 0 || !options.is_empty()),
        "{died} kills, {halfway} in the middle"
    );
}

async fn open(uri: &str) -> Deriva {
    deriva::builder().store(uri).build().await.unwrap()
}

async fn load(deriva: &Deriva) -> CAddr {
    let root = WORK.load(&**deriva.blobs(), &**deriva.dag()).await.unwrap();
    deriva.set_root("root", root).await.unwrap();
    root
}

/// What is recorded.
async fn outputs(deriva: &Deriva) -> BTreeMap<CAddr, Output> {
    let nodes: Vec<(CAddr, Node)> = deriva.dag().list(None).try_collect().await.unwrap();
    let recorded = nodes
        .into_iter()
        .filter_map(|(addr, node)| Some((addr, node.output?)));
    recorded.collect()
}
