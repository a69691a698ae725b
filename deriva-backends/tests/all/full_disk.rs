//! A full disk is `Full`, what is there stays readable, and writes work after space returns.
//!
//! Needs a small file system: run as root on Linux, it mounts one; elsewhere it has nothing to check.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::{blob, open};
use deriva_api::{Blob, BlobStore, Clock, ErrorKind, SystemClock};
use rstest::rstest;

/// A small file system, unmounted at the end.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::TempDir::new().unwrap();
        let size = format!("size={size}");
        let args = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        let mounted = Command::new("mount").args(args).arg(dir.path()).output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("-l")
            .arg(self.path())
            .status()
            .ok();
    }
}

/// Puts blobs of this length until one is refused; answers with those that were stored.
async fn fill(blobs: &dyn BlobStore, len: usize) -> Vec<Blob> {
    let mut stored = Vec::new();
    let error = loop {
        let next = blob(len, stored.len() as u64);
        match blobs.put(std::slice::from_ref(&next)).await {
            Ok(()) => stored.push(next),
            Err(error) => break error,
        }
        assert!(stored.len() < 20_000, "the disk is never full");
    };
    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
    for blob in &stored {
        assert_eq!(blobs.get(blob.addr()).await.unwrap().as_ref(), Some(blob));
    }
    stored
}

/// Removes a blob. RocksDB may be merging files, for which it takes all the room that is left and gives it back
/// a second later.
async fn remove(blobs: &dyn BlobStore, blob: &Blob, is_rocksdb: bool) {
    let mut attempts = if is_rocksdb { 100 } else { 0 };
    while let Err(error) = blobs.remove(&[blob.addr()]).await {
        assert!(error.kind() == ErrorKind::Full && attempts > 0, "{error:?}");
        attempts -= 1;
        SystemClock::new().sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_full_disk_is_full_for_files_and_removing_makes_room() {
    let Some(small) = Small::mount("3M") else {
        return;
    };
    let uri = format!("files:{}/store", small.path().display());
    let blobs = open(&uri).await.unwrap().blobs.unwrap();
    let stored = fill(&*blobs, 20_000).await;
    let removed = [stored[0].addr(), stored[1].addr()];
    blobs.remove(&removed).await.unwrap();
    let late = blob(10_000, 999_999);
    blobs.put(std::slice::from_ref(&late)).await.unwrap();
    assert_eq!(blobs.get(late.addr()).await.unwrap(), Some(late));
}

#[rstest]
#[case("sled:PATH", 48)]
#[case("sled:PATH?blob_threshold=1KiB", 48)]
#[case("redb:PATH", 48)]
#[case("redb:PATH?durability=buffered", 48)]
#[case("redb:PATH?blob_threshold=1KiB", 48)]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH", 224))]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH", 288))]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?blob_threshold=1KiB", 240))]
#[tokio::test]
async fn a_full_disk_is_full_before_the_engine_meets_it(#[case] uri: &str, #[case] mib: usize) {
    let Some(small) = Small::mount(&format!("{mib}M")) else {
        return;
    };
    let ballast = small.path().join("ballast");
    std::fs::write(&ballast, vec![1; mib << 18]).unwrap();
    let uri = uri.replace("PATH", &small.path().join("store").display().to_string());
    let blobs = open(&uri).await.unwrap().blobs.unwrap();
    let stored = fill(&*blobs, 20_000).await;
    assert!(!stored.is_empty());
    // Removing still works, and after space returns writing does.
    remove(&*blobs, &stored[0], uri.starts_with("rocksdb")).await;
    std::fs::remove_file(&ballast).unwrap();
    let late = blob(10_000, 999_999);
    blobs.put(std::slice::from_ref(&late)).await.unwrap();
    assert_eq!(blobs.get(late.addr()).await.unwrap(), Some(late));
    drop(blobs);
    let blobs = open(&uri).await.unwrap().blobs.unwrap();
    for blob in &stored[1..] {
        assert_eq!(blobs.get(blob.addr()).await.unwrap().as_ref(), Some(blob));
    }
}
