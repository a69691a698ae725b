//! A full disk is `Full`, what is there stays readable, and writes work after space returns.
//!
//! Needs a small file system: run as root on Linux, it mounts one; elsewhere it has nothing to check.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{blob, open};
use deriva_api::ErrorKind;
use rstest::rstest;

/// A file system of 3 MiB, unmounted at the end.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let dir = tempfile::TempDir::new().unwrap();
        let args = ["-t", "tmpfs", "-o", "size=3M", "tmpfs"];
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

#[rstest]
#[case("files", "")]
#[case("sled", "?blob_threshold=1KiB")]
#[tokio::test]
async fn a_full_disk_is_full(#[case] scheme: &str, #[case] options: &str) {
    let Some(small) = Small::mount() else {
        return;
    };
    let uri = format!("{scheme}:{}/store{options}", small.path().display());
    let opened = open(&uri).await.unwrap();
    let blobs = opened.blobs.unwrap();
    let mut stored = Vec::new();
    let error = loop {
        let next = blob(20_000, stored.len() as u64);
        match blobs.put(std::slice::from_ref(&next)).await {
            Ok(()) => stored.push(next),
            Err(error) => break error,
        }
        assert!(stored.len() < 200, "3 MiB hold no 4 MB");
    };
    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
    for blob in &stored {
        assert_eq!(blobs.get(blob.addr()).await.unwrap().as_ref(), Some(blob));
    }
    // After space returns, writes work again.
    blobs
        .remove(&[stored[0].addr(), stored[1].addr()])
        .await
        .unwrap();
    let late = blob(10_000, 999);
    blobs.put(std::slice::from_ref(&late)).await.unwrap();
    assert_eq!(blobs.get(late.addr()).await.unwrap(), Some(late));
}
