//! A process that is killed in the middle of an invalidation or a scrub leaves a consistent store, and the
//! same work again does the rest.
use std::collections::BTreeSet;
use std::path::Path;

use conformance::UriFixture;
use conformance::proof::{Upkeep, UpkeepArgs};
use deriva::stores::DagStoreExt;
use deriva::{CAddr, Deriva, ErrorKind};
use deriva_backends::failpoints;
use deriva_testkit::{Fixture, SplitMix64, Workload};
use futures::TryStreamExt;
use rstest::rstest;

const WORK: Workload = Workload::Layered {
    width: 40,
    layers: 32,
};

/// Where an invalidation comes by, and a scrub.
const PLACES: [&str; 4] = [
    failpoints::COMMIT_DECIDED,
    failpoints::ENGINE_WRITTEN,
    failpoints::COMMIT_APPLIED,
    failpoints::COMMIT_ANSWERED,
];
const KILLS: u64 = 8;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_conformance"))
}

async fn open(uri: &str) -> Deriva {
    deriva::builder().store(uri).build().await.unwrap()
}

#[rstest]
#[case("sled", "")]
#[case("redb", "")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_invalidation_leaves_nothing_that_was_made_from_what_it_forgot(
    #[case] scheme: &str,
    #[case] options: &str,
) {
    let fixture = UriFixture::new(scheme, options);
    let root = fill(&fixture.uri()).await;
    let mut random = SplitMix64::new(7);
    let (mut died, mut halfway) = (0, 0);
    for kill in 0..KILLS {
        let args = UpkeepArgs {
            uri: fixture.uri(),
            work: Upkeep::Invalidate,
            die_at: Some(PLACES[(kill % 4) as usize].to_owned()),
            passes: random.below(3),
            killed: None,
        };
        died += u64::from(args.dies(program()).unwrap());
        let deriva = open(&fixture.uri()).await;
        let nodes: Vec<_> = deriva.dag().list(None).try_collect().await.unwrap();
        let without: BTreeSet<CAddr> = nodes
            .iter()
            .filter_map(|(addr, node)| node.output.is_none().then_some(*addr))
            .collect();
        halfway += u64::from(!without.is_empty() && without.len() < nodes.len());
        for (addr, node) in &nodes {
            let Some(output) = node.output else { continue };
            assert!(deriva.blobs().get(output.addr).await.unwrap().is_some());
            let stale = node.recipe.inputs().find(|input| without.contains(input));
            assert_eq!(stale, None, "{addr} is made from what was forgotten");
        }
        let id = "bench.mix/1".parse().unwrap();
        deriva.invalidate_function(&id).cascade().await.unwrap();
        let outputs = deriva.dag().usage().await.unwrap().unwrap().outputs;
        assert_eq!(outputs, 0);
        deriva.get(root).await.unwrap();
        deriva.flush().await.unwrap();
    }
    assert!(
        died > KILLS / 2 && halfway > 0,
        "{died} kills, {halfway} in the middle"
    );
}

#[rstest]
#[case("sled", "?blob_threshold=0")]
#[case("redb", "?blob_threshold=0")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_scrub_leaves_what_the_next_one_heals(
    #[case] scheme: &str,
    #[case] options: &str,
) {
    let fixture = UriFixture::new(scheme, options);
    let root = fill(&fixture.uri()).await;
    let mut random = SplitMix64::new(8);
    let (mut died, mut halfway) = (0, 0);
    for kill in 0..KILLS {
        let harmed = harm(&fixture, root, &mut random).await;
        let args = UpkeepArgs {
            uri: fixture.uri(),
            work: Upkeep::Scrub,
            die_at: Some(PLACES[(kill % 4) as usize].to_owned()),
            passes: random.below(8),
            killed: None,
        };
        died += u64::from(args.dies(program()).unwrap());
        let deriva = open(&fixture.uri()).await;
        let nodes: Vec<_> = deriva.dag().list(None).try_collect().await.unwrap();
        let mut bad = 0;
        for (_, node) in &nodes {
            let Some(output) = node.output else { continue };
            match deriva.blobs().get(output.addr).await {
                Ok(Some(_)) => {}
                Ok(None) => bad += 1,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    bad += 1;
                }
            }
        }
        assert!(bad <= harmed, "{bad} of {harmed}");
        halfway += u64::from(0 < bad && bad < harmed);
        let done = deriva.scrub().bytes_per_second(u64::MAX).await.unwrap();
        assert_eq!((done.healed, done.unhealed), (bad, 0));
        // Some are healed as others need them, before they are met.
        assert!(done.corrupt + done.missing <= bad);
        let again = deriva.scrub().bytes_per_second(u64::MAX).await.unwrap();
        assert_eq!((again.corrupt, again.missing), (0, 0));
        deriva.flush().await.unwrap();
    }
    assert!(
        died > KILLS / 2 && halfway > 0,
        "{died} kills, {halfway} in the middle"
    );
}

/// V4, V5: what was told to be a lie is served by nobody after a kill, nor is what was made from it.
#[rstest]
#[case("sled", "")]
#[case("redb", "")]
#[cfg_attr(feature = "rocksdb", case("rocksdb", ""))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_audit_leaves_nothing_that_it_found_to_be_a_lie(
    #[case] scheme: &str,
    #[case] options: &str,
) {
    let fixture = UriFixture::new(scheme, options);
    let few = Workload::Layered {
        width: 60,
        layers: 3,
    };
    let deriva = open(&fixture.uri()).await;
    let root = few.load(&**deriva.blobs(), &**deriva.dag()).await.unwrap();
    deriva.get(root).await.unwrap();
    deriva.flush().await.unwrap();
    drop(deriva);
    let mut random = SplitMix64::new(11);
    let (mut died, mut told) = (0, BTreeSet::new());
    for kill in 0..3 * KILLS {
        let args = UpkeepArgs {
            uri: fixture.uri(),
            work: Upkeep::Audit,
            die_at: Some(PLACES[(kill % 4) as usize].to_owned()),
            passes: random.below(12),
            killed: None,
        };
        let (is_dead, found) = args.dies_telling(program()).unwrap();
        died += u64::from(is_dead);
        told.extend(found);
        let deriva = open(&fixture.uri()).await;
        let ledger = deriva.ledger().await.unwrap();
        let entries: BTreeSet<CAddr> = ledger.iter().map(|entry| entry.recipe).collect();
        assert!(ledger.iter().all(|entry| entry.damage.is_none()));
        assert!(told.is_subset(&entries), "told, and not in the ledger");
        for lie in &entries {
            let error = deriva.get(*lie).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Nondeterministic, "{error}");
            let mut rests = deriva
                .dag()
                .descendants(*lie, Default::default())
                .await
                .unwrap();
            rests.push(*lie);
            let outputs = deriva.dag().outputs(&rests).await.unwrap();
            assert_eq!(
                outputs.iter().flatten().count(),
                0,
                "{lie} is recorded, or what rests on it"
            );
        }
        deriva.flush().await.unwrap();
    }
    assert!(
        died > 0 && told.len() > 4,
        "{died} kills, {} told",
        told.len()
    );
}

async fn fill(uri: &str) -> CAddr {
    let deriva = open(uri).await;
    let root = WORK.load(&**deriva.blobs(), &**deriva.dag()).await.unwrap();
    deriva.get(root).await.unwrap();
    deriva.flush().await.unwrap();
    root
}

/// Damages the files of some outputs and removes some others; answers how many.
async fn harm(fixture: &UriFixture, root: CAddr, random: &mut SplitMix64) -> u64 {
    let deriva = open(&fixture.uri()).await;
    let mut made: Vec<CAddr> = Vec::new();
    let mut below = deriva
        .dag()
        .ancestors(root, Default::default())
        .await
        .unwrap();
    below.push(root);
    for output in deriva
        .dag()
        .outputs(&below)
        .await
        .unwrap()
        .into_iter()
        .flatten()
    {
        made.push(output.addr);
    }
    let mut chosen = BTreeSet::new();
    while chosen.len() < 6 {
        chosen.insert(made[random.below(made.len() as u64) as usize]);
    }
    let gone: Vec<CAddr> = chosen.iter().copied().take(3).collect();
    deriva.blobs().remove(&gone).await.unwrap();
    deriva.flush().await.unwrap();
    drop(deriva);
    let files = fixture.folder().unwrap().join("files");
    for addr in chosen.iter().skip(3) {
        let name = addr.to_string();
        let file = files.join(&name[..2]).join(&name);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    made.iter().filter(|addr| chosen.contains(addr)).count() as u64
}
