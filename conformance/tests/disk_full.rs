//! A full disk is `Full`, what is there stays readable, and writes work after space returns.
//!
//! Needs a small file system: run as root on Linux it mounts one; elsewhere it says that nothing was
//! checked.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use conformance::open;
use deriva_api::{
    Blob, BlobStore, CAddr, DagStore, DagStoreExt, ErrorKind, OpenedStore, Output, Params, Recipe,
    Record, Value,
};
use deriva_testkit::SplitMix64;
use rstest::rstest;

/// A small file system, unmounted at the end.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(mib: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={mib}M");
        let args = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        let mounted = Command::new("mount").args(args).arg(dir.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        // Past the capture of test output.
        let said = b"NOT CHECKED: no file system could be mounted\n";
        std::io::stderr().write_all(said).unwrap();
        None
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Takes all the space that is left, as other programs might.
    fn take_all(&self) {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.ballast())
            .unwrap();
        for len in [1 << 20, 4096, 1] {
            while file.write_all(&vec![1; len]).is_ok() {}
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmount = Command::new("umount").arg("-l").arg(self.path()).status();
        unmount.ok();
    }
}

fn blob(n: u64, len: usize) -> Blob {
    Blob::new(SplitMix64::new(n).bytes(len))
}

fn recipe(n: u64) -> Recipe {
    let long = Bytes::from(SplitMix64::new(n).bytes(4000));
    let params = Params::new().with("long", Value::Bytes(long));
    let inputs = [CAddr::of_blob(b"hub"), CAddr::of_blob(&n.to_le_bytes())];
    Recipe::new(&"f/1".parse().unwrap(), &inputs, &params).unwrap()
}

/// Puts blobs of this length until the disk is full; answers with those that were stored.
async fn fill_with_blobs(blobs: &dyn BlobStore, len: usize) -> Vec<Blob> {
    let mut stored = Vec::new();
    loop {
        let next = blob(stored.len() as u64, len);
        match blobs.put(std::slice::from_ref(&next)).await {
            Ok(()) => stored.push(next),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
                return stored;
            }
        }
        assert!(stored.len() < 30_000, "the disk is never full");
    }
}

async fn fill_with_recipes(dag: &dyn DagStore) -> Vec<Recipe> {
    let mut stored = Vec::new();
    loop {
        let first = stored.len() as u64;
        let batch: Vec<Recipe> = (first..first + 100).map(recipe).collect();
        match dag.insert(&batch).await {
            Ok(_) => stored.extend(batch),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
                return stored;
            }
        }
        assert!(stored.len() < 1_000_000, "the disk is never full");
    }
}

async fn all_readable(store: &OpenedStore, blobs: &[Blob], recipes: &[Recipe]) {
    for blob in blobs {
        let got = store
            .blobs
            .as_ref()
            .unwrap()
            .get(blob.addr())
            .await
            .unwrap();
        assert_eq!(got.as_ref(), Some(blob));
    }
    for recipe in recipes {
        let got = store
            .dag
            .as_ref()
            .unwrap()
            .get_one(recipe.addr())
            .await
            .unwrap();
        assert_eq!(got.unwrap().recipe, *recipe);
    }
}

/// Writes in every way, which must work or be refused as `Full`; answers whether all worked.
async fn write_all(store: &OpenedStore, n: u64) -> bool {
    let (small, large) = (blob(n, 1000), blob(n + 1, 100_000));
    let blobs = store.blobs.as_ref().unwrap();
    let mut answers = vec![
        blobs.put(std::slice::from_ref(&small)).await,
        blobs.put(std::slice::from_ref(&large)).await,
    ];
    if let Some(dag) = &store.dag {
        let recipe = recipe(n);
        let cost = Duration::ZERO;
        let (addr, len) = (small.addr(), small.len());
        let record = Record {
            addr: recipe.addr(),
            resolved: None,
            output: Output { addr, len, cost },
        };
        let inserted = dag.insert(std::slice::from_ref(&recipe)).await.map(drop);
        if inserted.is_ok() {
            answers.push(dag.record(&[record]).await.map(drop));
        }
        answers.push(inserted);
        answers.push(dag.set_root("root", addr).await);
    }
    for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
    }
    answers.iter().all(Result::is_ok)
}

/// Writing works again. RocksDB looks for space every few seconds.
async fn works_again(store: &OpenedStore) {
    for attempt in 0..150 {
        if write_all(store, 1_000_000 + attempt * 10).await {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("space returned, and writes are refused");
}

#[rstest]
#[case("sled:PATH", 64)]
#[case("sled:PATH?durability=buffered&blob_threshold=1KiB", 64)]
#[case("redb:PATH", 64)]
#[case("redb:PATH?durability=buffered&blob_threshold=1KiB", 64)]
#[case("files:PATH", 32)]
#[case("files:PATH?durability=buffered", 32)]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH", 240))]
#[cfg_attr(
    feature = "rocksdb",
    case("rocksdb:PATH?durability=buffered&blob_threshold=1KiB", 240)
)]
#[tokio::test]
async fn a_full_disk_is_full_and_survived(#[case] uri: &str, #[case] mib: u64) {
    let Some(small) = Small::mount(mib) else {
        return;
    };
    let uri = uri.replace("PATH", &small.path().join("store").display().to_string());
    // More than an engine keeps free for itself.
    let ballast = vec![1; (mib as usize / 3) << 20];
    std::fs::write(small.ballast(), &ballast).unwrap();
    let store = open(&uri).await.unwrap();

    // Filled by the store's own writes.
    let blobs = fill_with_blobs(&**store.blobs.as_ref().unwrap(), 20_000).await;
    assert!(!blobs.is_empty());
    all_readable(&store, &blobs, &[]).await;
    std::fs::remove_file(small.ballast()).unwrap();
    works_again(&store).await;
    // As much of it as fits.
    std::fs::write(small.ballast(), &ballast).ok();
    let mut recipes = Vec::new();
    if let Some(dag) = &store.dag {
        recipes = fill_with_recipes(&**dag).await;
    }
    all_readable(&store, &blobs, &recipes).await;

    // Filled to the last byte by others. A buffered store may lose what is not durable by then, and says so.
    store.blobs.as_ref().unwrap().flush().await.unwrap();
    if let Some(dag) = &store.dag {
        dag.flush().await.unwrap();
    }
    small.take_all();
    write_all(&store, 2_000_000).await;
    all_readable(&store, &blobs, &recipes).await;
    std::fs::remove_file(small.ballast()).unwrap();
    // Removing leads out of the trouble.
    let (removed, kept) = blobs.split_at(blobs.len() / 2);
    for batch in removed.chunks(50) {
        let batch: Vec<CAddr> = batch.iter().map(Blob::addr).collect();
        store.blobs.as_ref().unwrap().remove(&batch).await.unwrap();
    }
    if let Some(dag) = &store.dag {
        let removed: Vec<Recipe> = recipes.drain(..recipes.len() / 2).collect();
        for batch in removed.chunks(50) {
            let batch: Vec<CAddr> = batch.iter().map(Recipe::addr).collect();
            dag.remove(&batch).await.unwrap();
        }
    }
    works_again(&store).await;
    drop(store);
    let store = open(&uri).await.unwrap();
    all_readable(&store, kept, &recipes).await;
}
