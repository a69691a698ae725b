//! A large blob is written and read in little memory.
#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

#[path = "all/common/mod.rs"]
mod common;

use common::{Store, bytes};
use deriva_api::{BlobCheck, ByteRange, Evidence};
use rstest::rstest;

const LEN: u64 = 256 << 20;
const PIECE: u64 = 1 << 20;
const ALLOWED: u64 = 32 << 20;

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// The most that was resident so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse::<u64>().unwrap() << 10
}

#[rstest]
#[case("files:PATH?durability=buffered")]
#[case("sled:PATH?durability=buffered&cache=4MiB")]
#[case("redb:PATH?durability=buffered&cache=4MiB")]
#[cfg_attr(
    feature = "rocksdb",
    case("rocksdb:PATH?durability=buffered&cache=4MiB")
)]
#[tokio::test]
async fn a_blob_of_256_mib_takes_less_than_32_mib(#[case] uri: &str) {
    let store = Store::open(uri).await;
    let piece = bytes(PIECE as usize, 1);
    let blobs = store.blobs();
    let before = resident();
    let mut most = 0;
    let mut writer = blobs.writer(None).await.unwrap();
    for i in 0..LEN / PIECE {
        let mut piece = piece.clone();
        piece[0] = i as u8;
        writer.write(piece.into()).await.unwrap();
        most = most.max(resident());
    }
    let stat = writer.finish().await.unwrap();
    assert_eq!(stat.len, LEN);
    let found = blobs.verify(&[stat.addr]).await.unwrap();
    assert_eq!(found, [BlobCheck::Right(Evidence::Read)]);
    most = most.max(peak());
    for i in 0..LEN / PIECE {
        let range = ByteRange::new(i * PIECE, PIECE);
        let read = blobs.get_range(stat.addr, range).await.unwrap().unwrap();
        assert_eq!((read[0], &read[1..]), (i as u8, &piece[1..]));
        most = most.max(resident());
    }
    let grown = most.saturating_sub(before);
    assert!(grown < ALLOWED, "grew by {} MiB", grown >> 20);
}
