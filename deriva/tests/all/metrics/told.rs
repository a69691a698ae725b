//! What stores tell of themselves: commits, tiers, retries, timeouts, damage.

use std::sync::Arc;
use std::time::Duration;

use deriva::prelude::*;
use deriva::stores::{BlobCheck, OpenedStore};
use deriva_testkit::{FaultLayer, ManualClock, ModelStore, Operation};
use futures::future::join_all;

use super::{Seen, Shown, builder};
use crate::common::Stores;

pub(super) async fn told(seen: &mut Seen) {
    commits_and_tiers(seen).await;
    copies_that_go(seen).await;
    retries_and_timeouts(seen).await;
    one_half(seen).await;
    damage(seen).await;
}

fn word(number: usize) -> Blob {
    Blob::new(format!("word {number}"))
}

/// Writers share commits, which count in one place, and a fast tier counts what it has; after a restart all begins anew.
async fn commits_and_tiers(seen: &mut Seen) {
    const WRITERS: usize = 24;
    let (stores, others) = (Stores::new("sled"), Stores::new("redb"));
    let uri = format!("tiered(fast=memory:, slow={})", stores.uri());
    let deriva = Deriva::builder().store(&uri).build().await.unwrap();
    // Another instance of the same process, of which nothing shows here.
    let other = Deriva::builder().store(&others.uri());
    let other = other.build().await.unwrap();
    other.blobs().put(&[word(0)]).await.unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let blobs = Arc::clone(deriva.blobs());
        tokio::spawn(async move { blobs.put(&[word(writer)]).await })
    });
    for written in join_all(writers).await {
        written.unwrap().unwrap();
    }
    // It is there already, so nothing is committed.
    deriva.blobs().put(&[word(0)]).await.unwrap();
    assert!(deriva.blobs().get(word(1).addr()).await.unwrap().is_some());
    let gone = CAddr::of_blob(b"gone");
    assert!(deriva.blobs().get(gone).await.unwrap().is_none());
    let shown = Shown::of(&deriva).await;
    let commits = shown.of_key("deriva_store_commits_total slow done");
    assert!(commits > 0.0 && commits <= WRITERS as f64, "{commits}");
    shown.are(
        seen,
        &[
            ("deriva_store_commit_writers slow sum", WRITERS as f64),
            ("deriva_store_commit_writers slow", commits),
            ("deriva_store_commit_duration_seconds slow", commits),
            ("deriva_store_commits_total slow done", commits),
            ("deriva_store_commits_total slow failed", 0.0),
            ("deriva_store_tier_copies_total tiered written", 25.0),
            ("deriva_store_tier_copies_total tiered promoted", 0.0),
            ("deriva_store_tier_reads_total tiered fast hit", 1.0),
            ("deriva_store_tier_reads_total tiered fast miss", 1.0),
            ("deriva_store_tier_reads_total tiered slow hit", 0.0),
            ("deriva_store_tier_reads_total tiered slow miss", 1.0),
            ("deriva_store_damaged_total slow", 0.0),
        ],
    );
    shown.are_some(
        seen,
        &[
            "deriva_store_commit_bytes_total slow",
            "deriva_store_disk_free_bytes slow",
            "deriva_store_disk_reserve_bytes slow",
        ],
    );
    let shown = Shown::of(&other).await;
    shown.are(
        seen,
        &[
            ("deriva_store_commits_total redb done", 1.0),
            ("deriva_store_commit_writers redb sum", 1.0),
            ("deriva_store_commits_total slow done", 0.0),
        ],
    );
    drop(other);

    drop(deriva);
    let deriva = Deriva::builder().store(&uri).build().await.unwrap();
    for _ in 0..2 {
        assert!(deriva.blobs().get(word(1).addr()).await.unwrap().is_some());
    }
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_store_commits_total slow done", 0.0),
            ("deriva_store_tier_copies_total tiered written", 0.0),
            ("deriva_store_tier_copies_total tiered promoted", 1.0),
            ("deriva_store_tier_reads_total tiered fast hit", 1.0),
            ("deriva_store_tier_reads_total tiered fast miss", 1.0),
            ("deriva_store_tier_reads_total tiered slow hit", 1.0),
        ],
    );
    drop(deriva);

    // One store in two places has one queue, which is told of once.
    let uri = stores.uri();
    let twice = Deriva::builder().blobs(uri.clone()).dag(uri);
    let twice = twice.build().await.unwrap();
    twice.blobs().put(&[word(WRITERS)]).await.unwrap();
    let shown = Shown::of(&twice).await;
    let told: Vec<_> = shown.0.keys().collect();
    let told = told.iter().filter(|key| key.contains("store_commits"));
    assert_eq!(told.count(), 2, "{:#?}", shown.0);
    shown.are(seen, &[("deriva_store_commits_total sled done", 1.0)]);
}

/// Copies for which there is no room go, and a fast tier that fails or is damaged is made good.
async fn copies_that_go(seen: &mut Seen) {
    let faults = FaultLayer::new();
    let fast: Arc<dyn BlobStore> = Arc::new(ModelStore::new());
    let fast = OpenedStore::of_blobs(&deriva::layers::BlobLayer::wrap(&faults, fast));
    let layer = TieredLayer::new(fast).capacity(1);
    let deriva = Deriva::builder().store("memory:").layer(layer);
    let deriva = deriva.build().await.unwrap();
    let large = |byte| Blob::new(vec![byte; 600]);
    let blobs = deriva.blobs();
    for byte in 0..3 {
        blobs.put(&[large(byte)]).await.unwrap();
    }
    let faults = faults.faults();
    for kind in [ErrorKind::Unavailable, ErrorKind::Corrupt] {
        faults.fail_nth(Operation::BlobGet, 1, kind);
        let read = blobs.get(large(2).addr()).await.unwrap();
        assert_eq!(read, Some(large(2)));
    }
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_store_tier_copies_total tiered written", 3.0),
            ("deriva_store_tier_copies_total tiered promoted", 2.0),
            ("deriva_store_tier_copies_total tiered evicted", 5.0),
            ("deriva_store_tier_faults_total tiered", 2.0),
            ("deriva_store_damaged_total tiered", 1.0),
            ("deriva_store_tier_reads_total tiered slow hit", 2.0),
        ],
    );
}

/// A layer that lies inside others tells as one does that lies outside.
async fn retries_and_timeouts(seen: &mut Seen) {
    let (clock, faults) = (ManualClock::new(), FaultLayer::new());
    let of_store = faults.faults();
    let retry = RetryLayer::new().attempts(3).clock(Arc::new(clock.clone()));
    let limit = Duration::from_secs(3);
    let timeout = TimeoutLayer::new(limit).clock(Arc::new(clock.clone()));
    let deriva = builder().layer(retry.clone()).layer(timeout).layer(faults);
    let deriva = deriva.build().await.unwrap();
    // The same layer around the store of another instance counts there.
    let other = builder().layer(retry).build().await.unwrap();
    let blobs = deriva.blobs();
    blobs.put(&[word(0)]).await.unwrap();
    let read = async || clock.skip_through(blobs.get(word(0).addr())).await;
    of_store.fail_nth(Operation::BlobGet, 1, ErrorKind::Unavailable);
    assert_eq!(read().await.unwrap(), Some(word(0)));
    of_store.fail_all(Operation::BlobGet, ErrorKind::Unavailable);
    assert_eq!(read().await.unwrap_err().kind(), ErrorKind::Unavailable);
    of_store.clear();
    of_store.hang(Operation::BlobGet);
    assert_eq!(read().await.unwrap_err().kind(), ErrorKind::Timeout);
    of_store.clear();
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[
            ("deriva_store_retries_total retry", 3.0),
            ("deriva_store_retries_spent_total retry", 1.0),
            ("deriva_store_timeouts_total timeout", 1.0),
            ("deriva_store_operations_total retry blob_get timeout", 1.0),
            // Its calls are those of the layer around it.
            (
                "deriva_store_operations_total timeout blob_get timeout",
                0.0,
            ),
        ],
    );
    let shown = Shown::of(&other).await;
    shown.are(seen, &[("deriva_store_retries_total retry", 0.0)]);
    assert!(shown.0.contains_key("deriva_store_retries_total retry"));
}

/// A layer around one half leaves the other in its place.
async fn one_half(seen: &mut Seen) {
    let deriva = Deriva::builder().store("memory:");
    let deriva = deriva.dag_layer(RetryLayer::new()).build().await.unwrap();
    deriva.blobs().put(&[word(0)]).await.unwrap();
    deriva.dag().usage().await.unwrap();
    let shown = Shown::of(&deriva).await;
    shown.are(
        seen,
        &[("deriva_store_operations_total memory blob_put ok", 1.0)],
    );
    assert!(shown.of_key("deriva_store_operations_total retry dag_usage ok") > 0.0);
    assert!(!shown.0.keys().any(|key| key.contains("memory-2")));
}

/// A store counts damage that a read meets, and that a check finds.
async fn damage(seen: &mut Seen) {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    let uri = format!("split(blobs=files:{}, dag=memory:)", media.display());
    let deriva = Deriva::builder().store(&uri).build().await.unwrap();
    let leaf = deriva.put("a letter").await.unwrap();
    let name = leaf.to_string();
    let file = media.join(&name[..2]).join(&name);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "rust").unwrap();
    let error = deriva.get(leaf).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let before = Shown::of(&deriva).await;
    let key = "deriva_store_damaged_total blobs";
    before.are_some(seen, &[key]);
    let checked = deriva.blobs().verify(&[leaf]).await.unwrap();
    assert_eq!(checked, [BlobCheck::Damaged]);
    let shown = Shown::of(&deriva).await;
    shown.are(seen, &[(key, before.of_key(key) + 1.0)]);
}
