//! A blob that is larger than the memory that it may cost, both ways.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, ReadBuf};

use super::chance::Chance;
use super::served::{Served, mib};

const LEN: u64 = 1 << 30;
/// By how much the server may grow.
const GROWTH: u64 = 64 << 20;

/// As many bytes as it is told, which nobody keeps.
struct Source {
    chance: Chance,
    left: u64,
}

impl Source {
    fn new(len: u64) -> Self {
        Self {
            chance: Chance::new(15),
            left: len,
        }
    }
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        // Whole numbers, so that the bytes do not depend on how they are read.
        while self.left > 0 && buf.remaining() >= 8 {
            let number = self.chance.number().to_le_bytes();
            buf.put_slice(&number);
            self.left -= 8;
        }
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_blob_goes_both_ways_in_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::begin(dir.path(), "sled:data", &[]);
    let client = served.client().await;
    client.put("something before").await.unwrap();
    let (memory, began) = (served.memory(), Instant::now());
    let stat = client.put_reader(Source::new(LEN)).await.unwrap();
    let (put, grown_by_put) = (began.elapsed(), memory.grown());
    assert_eq!(stat.len, LEN);

    let (memory, began) = (served.memory(), Instant::now());
    let mut reader = client.open(stat.addr).await.unwrap();
    let mut expected = Chance::new(15);
    let (mut came, mut rest) = (0, Vec::new());
    while let Some(chunk) = reader.next_chunk().await.unwrap() {
        rest.extend_from_slice(&chunk);
        let whole = rest.len() / 8 * 8;
        for number in rest[..whole].chunks_exact(8) {
            assert!(number == expected.number().to_le_bytes(), "at {came}");
            came += 8;
        }
        rest.drain(..whole);
    }
    assert_eq!(came, LEN);
    eprintln!(
        "{} MiB: put in {put:?}, {:.1} MiB more; got in {:?}, {:.1} MiB more",
        LEN >> 20,
        mib(grown_by_put),
        began.elapsed(),
        mib(memory.grown()),
    );
    assert!(grown_by_put < GROWTH, "{} MiB", mib(grown_by_put));
    assert!(memory.grown() < GROWTH, "{} MiB", mib(memory.grown()));
}
