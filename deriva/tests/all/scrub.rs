//! What a scrub finds, heals and reports.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Stores, recipe};
use deriva::admin::{FindingKind, ScrubCursor, Scrubbed};
use deriva::events::ScrubEvent;
use deriva::prelude::*;

const FAST: u64 = u64::MAX;
/// Long enough for a file of its own.
const LONG: usize = 20_000;

async fn open(stores: &Stores) -> Deriva {
    let builder = Deriva::builder().store(&stores.uri()).cache_bytes(0);
    builder.build().await.unwrap()
}

/// The file of a large blob in a store on disk.
fn file(stores: &Stores, addr: CAddr) -> PathBuf {
    let name = addr.to_string();
    let files = stores.folder.path().join("store").join("files");
    files.join(&name[..2]).join(name)
}

fn flip(stores: &Stores, addr: CAddr) {
    let file = file(stores, addr);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[LONG / 2] ^= 0x10;
    std::fs::write(&file, bytes).unwrap();
}

async fn output(deriva: &Deriva, addr: CAddr) -> CAddr {
    deriva.dag().outputs(&[addr]).await.unwrap()[0]
        .unwrap()
        .addr
}

fn found(done: &Scrubbed) -> (u64, u64, u64, u64) {
    (done.corrupt, done.missing, done.healed, done.unhealed)
}

#[tokio::test]
async fn a_whole_store_is_read_and_nothing_is_found() {
    for stores in [
        Stores::new("memory"),
        Stores::new("sled"),
        Stores::new("redb"),
    ] {
        let deriva = open(&stores).await;
        let leaf = deriva.put(vec![b'x'; LONG]).await.unwrap();
        let one = recipe(&deriva, "text.upper", &[leaf]).await;
        let two = recipe(&deriva, "bytes.concat", &[leaf, one]).await;
        deriva.get(two).await.unwrap();
        let before = deriva.state_digest().await.unwrap();
        let done = deriva.scrub().bytes_per_second(FAST).await.unwrap();
        assert_eq!(found(&done), (0, 0, 0, 0));
        assert_eq!((done.recipes, done.blobs, done.cursor), (2, 3, None));
        assert!(done.bytes > 4 * LONG as u64);
        assert_eq!(deriva.state_digest().await.unwrap(), before);
    }
}

#[tokio::test]
async fn a_damaged_output_is_computed_again() {
    for scheme in ["sled", "redb"] {
        let stores = Stores::new(scheme);
        let deriva = open(&stores).await;
        let leaf = deriva.put(vec![b'x'; LONG]).await.unwrap();
        let one = recipe(&deriva, "text.upper", &[leaf]).await;
        let two = recipe(&deriva, "bytes.concat", &[one, one]).await;
        let expected = deriva.get(two).await.unwrap();
        for addr in [one, two] {
            flip(&stores, output(&deriva, addr).await);
        }
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let request = deriva.scrub().bytes_per_second(FAST);
        let request = request.progress(move |event| told.lock().unwrap().push(event.clone()));
        let done = request.await.unwrap();
        assert_eq!(found(&done), (2, 0, 2, 0));
        let events = std::mem::take(&mut *events.lock().unwrap());
        let healed = |wanted| {
            let is = |event: &&ScrubEvent| matches!(event, ScrubEvent::Healed { addr } if *addr == wanted);
            events.iter().filter(is).count()
        };
        assert_eq!((healed(one), healed(two)), (1, 1));
        for addr in [one, two] {
            let output = output(&deriva, addr).await;
            deriva.blobs().get(output).await.unwrap().unwrap();
        }
        assert_eq!(deriva.materialize(two).await.unwrap().summary.computed, 0);
        assert_eq!(deriva.get(two).await.unwrap(), expected);
        let again = deriva.scrub().bytes_per_second(FAST).await.unwrap();
        assert_eq!(found(&again), (0, 0, 0, 0));
    }
}

#[tokio::test]
async fn a_lost_output_is_computed_again() {
    for stores in Stores::all() {
        let deriva = open(&stores).await;
        let leaf = deriva.put("leaf").await.unwrap();
        let one = recipe(&deriva, "text.upper", &[leaf]).await;
        let two = recipe(&deriva, "bytes.concat", &[leaf, one]).await;
        deriva.get(two).await.unwrap();
        let made = [output(&deriva, one).await, output(&deriva, two).await];
        deriva.blobs().remove(&made).await.unwrap();
        let done = deriva.scrub().bytes_per_second(FAST).await.unwrap();
        assert_eq!((done.healed, done.unhealed), (2, 0));
        for blob in made {
            deriva.blobs().get(blob).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_damaged_leaf_names_the_recipes_and_roots_that_need_it() {
    let stores = Stores::new("sled");
    let deriva = open(&stores).await;
    let leaf = deriva.put(vec![b'x'; LONG]).await.unwrap();
    let one = recipe(&deriva, "text.upper", &[leaf]).await;
    let two = recipe(&deriva, "text.lower", &[one]).await;
    let apart = recipe(&deriva, "no.such", &[]).await;
    deriva.set_root("wanted", two).await.unwrap();
    deriva.set_root("other", apart).await.unwrap();
    flip(&stores, leaf);

    let done = deriva.scrub().bytes_per_second(FAST).await.unwrap();
    assert_eq!(found(&done), (1, 0, 0, 1));
    let finding = &done.findings[0];
    assert_eq!((finding.addr, finding.kind), (leaf, FindingKind::Blob));
    let needs = &finding.needed_by;
    assert_eq!((&needs.recipes[..], needs.recipe_count), (&[one][..], 1));
    assert_eq!(
        (&needs.roots[..], needs.root_count),
        (&["wanted".to_owned()][..], 1)
    );
    assert!(needs.complete);

    // Whoever needs it hears the same.
    for addr in [two, leaf] {
        let error = deriva.get(addr).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(error.context("needed_by"), Some(one.to_string().as_str()));
        assert_eq!(error.context("roots"), Some("wanted"));
    }
    // It was not removed: somebody may save a part of it.
    assert!(file(&stores, leaf).exists());
    deriva.put(vec![b'x'; LONG]).await.unwrap();
    let done = deriva.scrub().bytes_per_second(FAST).await.unwrap();
    assert_eq!(found(&done), (0, 0, 0, 0));
}

#[tokio::test]
async fn what_cannot_be_computed_again_is_reported_with_the_reason() {
    let stores = Stores::new("sled");
    let deriva = open(&stores).await;
    let leaf = deriva.put(vec![b'x'; LONG]).await.unwrap();
    let one = recipe(&deriva, "text.upper", &[leaf]).await;
    let two = recipe(&deriva, "bytes.concat", &[one]).await;
    deriva.get(one).await.unwrap();
    deriva.set_root("top", two).await.unwrap();
    flip(&stores, output(&deriva, one).await);
    deriva.blobs().remove(&[leaf]).await.unwrap();
    let done = deriva.scrub().bytes_per_second(FAST).await.unwrap();
    assert_eq!(found(&done), (1, 0, 0, 1));
    let finding = &done.findings[0];
    assert!(
        finding.reason.contains(&leaf.to_string()),
        "{}",
        finding.reason
    );
    assert_eq!(finding.needed_by.recipes, [two]);
    assert_eq!(finding.needed_by.roots, ["top"]);
}

#[tokio::test]
async fn a_cursor_continues_where_a_limit_ended_and_nothing_is_missed() {
    for stores in [Stores::new("sled"), Stores::new("redb")] {
        let deriva = open(&stores).await;
        let mut damaged = 0;
        for i in 0..150u32 {
            let leaf = deriva.put(vec![i as u8; LONG + i as usize]).await.unwrap();
            let hash = recipe(&deriva, "hash.blake3", &[leaf]).await;
            let copy = recipe(&deriva, "bytes.concat", &[leaf, hash]).await;
            deriva.get(copy).await.unwrap();
            if i % 25 == 0 {
                damaged += 1;
                flip(&stores, output(&deriva, copy).await);
            }
        }
        let mut total = Scrubbed::default();
        let mut cursor = ScrubCursor::default();
        let mut parts = 0;
        loop {
            let request = deriva.scrub().bytes_per_second(FAST).after(cursor);
            let request = match parts % 2 {
                0 => request.limit_bytes(1),
                _ => request.limit_time(Duration::ZERO),
            };
            let part = request.await.unwrap();
            total.recipes += part.recipes;
            total.blobs += part.blobs;
            total.corrupt += part.corrupt;
            total.healed += part.healed;
            parts += 1;
            let Some(next) = part.cursor else { break };
            assert_ne!(next, cursor);
            cursor = next.to_string().parse().unwrap();
        }
        assert!(parts > 3, "{parts}");
        assert_eq!(
            (total.recipes, total.corrupt, total.healed),
            (300, damaged, damaged)
        );
        // A blob that was healed after the cursor is read again.
        assert!(
            (450..=450 + damaged).contains(&total.blobs),
            "{}",
            total.blobs
        );
    }
}

#[tokio::test]
async fn no_cursor_lies_behind_what_is_damaged_before_that_is_dealt_with() {
    let stores = Stores::new("sled");
    let deriva = open(&stores).await;
    let mut leaves = Vec::new();
    for i in 0..5u8 {
        leaves.push(deriva.put(vec![i; 5 << 20]).await.unwrap());
    }
    leaves.sort_unstable();
    flip(&stores, leaves[1]);
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let request = deriva.scrub().bytes_per_second(FAST);
    let request = request.progress(move |event| told.lock().unwrap().push(event.clone()));
    request.await.unwrap();
    let mut pending = None;
    let mut told_pending = 0;
    for event in events.lock().unwrap().iter() {
        match event {
            ScrubEvent::Found { addr, .. } => pending = Some(*addr),
            ScrubEvent::Unhealed { .. } => pending = None,
            ScrubEvent::Progress { cursor, .. } if pending.is_some() => {
                told_pending += 1;
                assert_eq!(*cursor, ScrubCursor::Blobs(Some(leaves[0])));
            }
            _ => {}
        }
    }
    assert_eq!(told_pending, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrub_beside_requests_finds_nothing_wrong() {
    for stores in Stores::all() {
        let deriva = open(&stores).await;
        let leaf = deriva.put("leaf").await.unwrap();
        let beside = tokio::spawn({
            let deriva = deriva.clone();
            async move {
                for i in 0..200 {
                    let own = deriva.put(i.to_string()).await.unwrap();
                    let one = recipe(&deriva, "bytes.concat", &[leaf, own]).await;
                    assert_eq!(deriva.get(one).await.unwrap(), format!("leaf{i}"));
                    if i % 3 == 0 {
                        deriva.invalidate(one).await.unwrap();
                    }
                }
            }
        });
        while !beside.is_finished() {
            let done = deriva.scrub().bytes_per_second(FAST).await.unwrap();
            assert_eq!(found(&done), (0, 0, 0, 0));
        }
        beside.await.unwrap();
    }
}
