//! An engine that could not write works again as soon as it can, without being opened by hand.
//!
//! A limit on the length of files makes writes fail behind the engine's back. The signal that comes with
//! it would end the process, so a shell that ignores it starts the test again.

#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Store, blob, test_path};
use deriva_api::{Blob, BlobStore, BlobUsage, Clock, ErrorKind, SystemClock};
use futures::TryStreamExt;
use rstest::rstest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const URI: &str = "DERIVA_TEST_LIMITED";

#[rstest]
#[case("redb:PATH")]
#[case("redb:PATH?durability=buffered")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH"))]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?durability=buffered"))]
fn a_failed_write_is_survived(#[case] uri: &str) {
    start("under_a_limit", uri);
}

/// A removal that was lost with the failure brings its row back, and so must not cost the file.
#[rstest]
#[case("redb:PATH?durability=buffered")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?durability=buffered"))]
fn a_removal_before_a_failed_write_leaves_row_and_file_together(#[case] uri: &str) {
    start("removing_under_a_limit", uri);
}

fn start(test: &str, uri: &str) {
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test_path(module_path!(), test), "--nocapture"])
        .env(URI, uri)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("running 1 test"),
        "{told}"
    );
}

/// Not a test of its own: run in a process whose files may not grow at will.
#[tokio::test]
async fn under_a_limit() {
    let Ok(uri) = std::env::var(URI) else {
        return;
    };
    let mut store = Store::open(&uri).await;
    let mut put: Vec<Blob> = Vec::new();
    let whole = getrlimit(Resource::Fsize);
    for round in 0..3 {
        let blobs = store.blobs();
        blobs.flush().await.unwrap();
        let safe = put.len();
        limit_files(Some(longest_file(&store.path()) + 4096), whole);
        let error = put_until_it_fails(&*blobs, &mut put).await;
        assert_eq!(error.kind(), ErrorKind::Internal, "{error:?}");
        let commits = blobs.counters().commits.unwrap();
        assert!(commits.failed.get() > round, "round {round}");
        limit_files(None, whole);

        if uri.contains("buffered") {
            // The call that failed was told; what was acknowledged before is told by the next flush,
            // unless it is there.
            let told = blobs.flush().await.is_err();
            let kept = blobs.stat(&addrs(&put)).await.unwrap();
            assert!(told || kept.iter().all(Option::is_some), "round {round}");
            assert!(kept[..safe].iter().all(Option::is_some), "round {round}");
            blobs.flush().await.unwrap();
            blobs.put(&put).await.unwrap();
        }
        let late = blob(3000, 1_000_000 + round);
        blobs.put(&[late.clone()]).await.unwrap();
        put.push(late);
        for _ in 0..2 {
            let blobs = store.blobs();
            for blob in &put {
                assert_eq!(blobs.get(blob.addr()).await.unwrap().as_ref(), Some(blob));
            }
            check_usage(&*blobs).await;
            drop(blobs);
            store.reopen().await;
        }
    }
}

/// Like the one above. The failure is left to the store, which syncs by itself meanwhile.
#[tokio::test]
async fn removing_under_a_limit() {
    let Ok(uri) = std::env::var(URI) else {
        return;
    };
    let store = Store::open(&uri).await;
    let (blobs, whole) = (store.blobs(), getrlimit(Resource::Fsize));
    let large = blob(100_000, 1);
    blobs.put(&[large.clone()]).await.unwrap();
    blobs.flush().await.unwrap();
    blobs.remove(&[large.addr()]).await.unwrap();
    limit_files(Some(longest_file(&store.path()) + 4096), whole);
    put_until_it_fails(&*blobs, &mut Vec::new()).await;
    limit_files(None, whole);
    // Long enough for two syncs, of which the first fails.
    let clock = SystemClock::new();
    clock.sleep(Duration::from_millis(1500)).await;
    let there = blobs.stat(&[large.addr()]).await.unwrap()[0].is_some();
    let found = blobs.get(large.addr()).await.unwrap();
    assert_eq!(found, there.then_some(large));
    let other = blob(3000, 2_000_000);
    blobs.put(&[other]).await.unwrap();
    check_usage(&*blobs).await;
}

async fn check_usage(blobs: &dyn BlobStore) {
    let listed: Vec<_> = blobs.list(None).try_collect().await.unwrap();
    let counted = BlobUsage {
        blobs: listed.len() as u64,
        bytes: listed.iter().map(|stat| stat.len).sum(),
    };
    assert_eq!(blobs.usage().await.unwrap(), Some(counted));
}

async fn put_until_it_fails(blobs: &dyn BlobStore, put: &mut Vec<Blob>) -> deriva_api::Error {
    for _ in 0..20_000 {
        let next = blob(3000, put.len() as u64);
        match blobs.put(&[next.clone()]).await {
            Ok(()) => put.push(next),
            Err(error) => return error,
        }
    }
    panic!("the limit is never met");
}

fn addrs(blobs: &[Blob]) -> Vec<deriva_api::CAddr> {
    blobs.iter().map(Blob::addr).collect()
}

fn limit_files(current: Option<u64>, whole: Rlimit) {
    let current = current.or(whole.current);
    let limit = Rlimit { current, ..whole };
    setrlimit(Resource::Fsize, limit).unwrap();
}

fn longest_file(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let len = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        folder if folder.is_dir() => longest_file(&entry.path()),
        file => file.len(),
    };
    entries.map(len).max().unwrap_or(0)
}
