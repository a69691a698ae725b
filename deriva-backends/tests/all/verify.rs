//! What a store says of its bytes: what it reads, what it remembers, and for how long.

use std::fs;
use std::path::PathBuf;

use crate::common::raw::edit;
use crate::common::{Store, blob, open};
use deriva_api::{Blob, BlobCheck, BlobStore, ByteRange, CAddr, ErrorKind, Evidence};
use rstest::rstest;

const READ: BlobCheck = BlobCheck::Right(Evidence::Read);
const REMEMBERED: BlobCheck = BlobCheck::Right(Evidence::Remembered);

/// The file of a blob.
fn file_of(store: &Store, blob: &Blob) -> PathBuf {
    let below = match store.uri().starts_with("files:") {
        true => store.path(),
        false => store.path().join("files"),
    };
    let name = blob.addr().to_string();
    below.join(&name[..2]).join(name)
}

/// Changes a byte of a file, and again changes it back.
fn flip(file: &PathBuf) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

async fn one(blobs: &dyn BlobStore, blob: &Blob) -> BlobCheck {
    blobs.verify(&[blob.addr()]).await.unwrap()[0]
}

#[rstest]
#[case("files:PATH")]
#[case("files:PATH?durability=buffered")]
#[case("sled:PATH?blob_threshold=1KiB")]
#[case("redb:PATH?blob_threshold=1KiB")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?blob_threshold=1KiB"))]
#[tokio::test]
async fn what_was_read_is_remembered_while_its_file_is_unchanged(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let (first, other) = (blob(200_000, 1), blob(3_000_000, 2));
    store
        .blobs()
        .put(&[first.clone(), other.clone()])
        .await
        .unwrap();
    store.reopen().await;
    let blobs = store.blobs();
    let addrs = [first.addr(), other.addr(), first.addr()];
    assert_eq!(
        blobs.verify(&addrs).await.unwrap(),
        [READ, READ, REMEMBERED]
    );
    assert_eq!(blobs.verify(&addrs).await.unwrap(), [REMEMBERED; 3]);
    // The same bytes, written anew.
    let file = file_of(&store, &first);
    fs::write(&file, first.bytes()).unwrap();
    assert_eq!(one(&*blobs, &first).await, READ);
    flip(&file);
    let found = blobs.verify(&addrs).await.unwrap();
    assert_eq!(found, [BlobCheck::Damaged, REMEMBERED, BlobCheck::Damaged]);
    let read = blobs.get(first.addr()).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt);
    blobs.remove(&[first.addr()]).await.unwrap();
    assert_eq!(one(&*blobs, &first).await, BlobCheck::Absent);
    blobs.put(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(one(&*blobs, &first).await, READ);
    // What a range made the store read is remembered, too.
    store.reopen().await;
    let blobs = store.blobs();
    blobs
        .get_range(other.addr(), ByteRange::new(7, 1))
        .await
        .unwrap();
    assert_eq!(one(&*blobs, &other).await, REMEMBERED);
}

#[rstest]
#[case("files:PATH")]
#[case("sled:PATH?blob_threshold=1KiB")]
#[case("redb:PATH?blob_threshold=1KiB")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?blob_threshold=1KiB"))]
#[tokio::test]
async fn a_file_that_is_cut_off_or_gone_is_no_error(#[case] uri: &str) {
    let store = Store::open(uri).await;
    let (cut, gone, whole) = (blob(200_000, 1), blob(100_000, 2), blob(50_000, 3));
    let addrs = [&cut, &gone, &whole].map(Blob::addr);
    let blobs = store.blobs();
    blobs
        .put(&[cut.clone(), gone.clone(), whole])
        .await
        .unwrap();
    fs::write(file_of(&store, &cut), &cut.bytes()[..150_000]).unwrap();
    fs::remove_file(file_of(&store, &gone)).unwrap();
    // A row that names the file tells that it was there.
    let lost = match uri.starts_with("files:") {
        true => BlobCheck::Absent,
        false => BlobCheck::Damaged,
    };
    let found = blobs.verify(&addrs).await.unwrap();
    assert_eq!(found, [BlobCheck::Damaged, lost, READ]);
}

#[rstest]
#[case("sled:PATH?blob_threshold=1KiB")]
#[case("redb:PATH?blob_threshold=1KiB")]
#[cfg_attr(feature = "rocksdb", case("rocksdb:PATH?blob_threshold=1KiB"))]
#[tokio::test]
async fn a_damaged_row_is_told_of_its_blob_alone(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let small: Vec<Blob> = (0..300).map(|seed| blob(60, seed)).collect();
    let large: Vec<Blob> = (0..3).map(|seed| blob(5000, seed)).collect();
    let all = [small, large].concat();
    store.blobs().put(&all).await.unwrap();
    store.close();
    // Bytes, and the length of a blob that is a file.
    let bad = [all[7].addr(), all[299].addr(), all[301].addr()];
    edit(&store, |key, value| {
        if bad
            .iter()
            .any(|addr| key[0] == b'b' && key.ends_with(addr.as_bytes()))
        {
            value[5] ^= 1;
        }
    });
    store.reopen().await;
    let blobs = store.blobs();
    let addrs: Vec<CAddr> = all.iter().map(Blob::addr).collect();
    let found = blobs.verify(&addrs).await.unwrap();
    for (addr, found) in addrs.iter().zip(&found) {
        assert_eq!(
            *found == BlobCheck::Damaged,
            bad.contains(addr),
            "{addr}: {found:?}"
        );
        assert!(found.is_right() || bad.contains(addr));
    }
    blobs.remove(&bad).await.unwrap();
    let repaired = [all[7].clone(), all[299].clone(), all[301].clone()];
    blobs.put(&repaired).await.unwrap();
    let found = blobs.verify(&addrs).await.unwrap();
    assert!(found.into_iter().all(BlobCheck::is_right));
}

/// A writer of what is there leaves it as it was, and one of what went meanwhile stores it.
#[rstest]
#[case("files:PATH")]
#[case("sled:PATH?blob_threshold=1KiB")]
#[tokio::test]
async fn what_is_there_is_not_written_again(#[case] uri: &str) {
    use std::os::unix::fs::MetadataExt;
    let store = Store::open(uri).await;
    let blobs = store.blobs();
    for len in [100_000, 3_000_000] {
        let blob = blob(len, 1);
        blobs.put(std::slice::from_ref(&blob)).await.unwrap();
        let inode = |store: &Store| fs::metadata(file_of(store, &blob)).unwrap().ino();
        let before = inode(&store);
        let mut writer = blobs.writer(Some(blob.stat())).await.unwrap();
        writer.write(blob.bytes().clone()).await.unwrap();
        assert_eq!(writer.finish().await.unwrap(), blob.stat());
        assert_eq!(inode(&store), before);
        blobs.remove(&[blob.addr()]).await.unwrap();
        let mut writer = blobs.writer(None).await.unwrap();
        writer.write(blob.bytes().clone()).await.unwrap();
        assert_eq!(writer.finish().await.unwrap(), blob.stat());
        assert_eq!(one(&*blobs, &blob).await, READ);
    }
    let usage = blobs.usage().await.unwrap().unwrap();
    assert_eq!((usage.blobs, usage.bytes), (2, 3_100_000));
}

#[tokio::test]
async fn memory_needs_no_look() {
    let store = open("memory:").await.unwrap().blobs.unwrap();
    let there = blob(100, 1);
    store.put(std::slice::from_ref(&there)).await.unwrap();
    let found = store.verify(&[there.addr(), blob(100, 2).addr()]).await;
    assert_eq!(found.unwrap(), [REMEMBERED, BlobCheck::Absent]);
}
