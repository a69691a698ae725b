//! A blob of 1 GiB goes in and out in little memory. Alone in its file, so that it has a process of
//! its own whoever runs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use conformance::UriFixture;
use tokio::io::AsyncReadExt;

const GIB: u64 = 1 << 30;
const ALLOWED: u64 = 64 << 20;

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_streams_through_sled_in_little_memory() {
    let fixture = UriFixture::new("sled", "");
    let deriva = deriva::builder()
        .store(&fixture.uri())
        .build()
        .await
        .unwrap();
    let before = resident();
    let mut highest = before;
    let stat = deriva
        .put_reader(tokio::io::repeat(0x5a).take(GIB))
        .await
        .unwrap();
    highest = highest.max(resident());
    assert_eq!(stat.len, GIB);
    let mut reader = deriva.open(stat.addr).await.unwrap();
    let mut read = 0;
    while let Some(chunk) = reader.next_chunk().await.unwrap() {
        assert!(chunk.iter().all(|byte| *byte == 0x5a));
        read += chunk.len() as u64;
        highest = highest.max(resident());
    }
    assert_eq!(read, GIB);
    let grown = highest - before;
    assert!(
        grown < ALLOWED,
        "resident memory grew by {} MiB",
        grown >> 20
    );
}
