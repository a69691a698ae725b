use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use futures::stream::BoxStream;

use super::*;
use crate::{Blob, BlobStat, BlobUsage, BlobWriter, Capabilities, DurabilityClass};

/// What becomes of a range, given its offset.
type Change = fn(u64, Bytes) -> Result<Option<Bytes>>;

/// A store of one blob. It checks nothing, and answers ranges with what `change` makes of them.
#[derive(Debug)]
struct One {
    blob: Blob,
    change: Change,
}

impl fmt::Display for One {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one")
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "nobody asks for this"))
}

#[async_trait]
impl BlobStore for One {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DurabilityClass::None)
    }

    async fn put(&self, _: &[Blob]) -> Result<()> {
        refused()
    }

    async fn writer(&self, _: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        refused()
    }

    async fn get(&self, addr: CAddr) -> Result<Option<Blob>> {
        let bytes = self.get_range(addr, ByteRange::ALL).await?;
        bytes.map(|bytes| Blob::verify(addr, bytes)).transpose()
    }

    async fn get_many(&self, _: &[CAddr]) -> Result<Vec<Option<Blob>>> {
        refused()
    }

    async fn get_range(&self, _: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        let within = range.within(self.blob.len());
        let piece = within.start as usize..within.end as usize;
        (self.change)(range.offset, self.blob.bytes().slice(piece))
    }

    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>> {
        let stat = |addr: &CAddr| (*addr == self.blob.addr()).then(|| self.blob.stat());
        Ok(addrs.iter().map(stat).collect())
    }

    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>> {
        verify_by_reading(self, addrs).await
    }

    async fn remove(&self, _: &[CAddr]) -> Result<()> {
        refused()
    }

    fn list(&self, _: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>> {
        Box::pin(futures::stream::once(async { refused() }))
    }

    async fn usage(&self) -> Result<Option<BlobUsage>> {
        refused()
    }

    async fn flush(&self) -> Result<()> {
        refused()
    }
}

const RIGHT: BlobCheck = BlobCheck::Right(Evidence::Read);

/// What is told of a blob of this length, twice, with an absent one between.
fn told(len: u64, change: Change) -> Result<[BlobCheck; 3]> {
    let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    let blob = Blob::new(bytes);
    let addrs = [blob.addr(), CAddr::of_blob(b"absent"), blob.addr()];
    let found = block_on(One { blob, change }.verify(&addrs))?;
    Ok(found.try_into().expect("one answer for each"))
}

/// Read at once, in one piece and a bit, and in several.
const LENS: [u64; 5] = [0, 100, PIECE, PIECE + 1, 3 * PIECE - 7];

#[test]
fn what_is_there_is_right_and_what_is_not_is_absent() {
    for len in LENS {
        let found = told(len, |_, piece| Ok(Some(piece))).unwrap();
        assert_eq!(found, [RIGHT, BlobCheck::Absent, RIGHT], "{len}");
    }
}

#[test]
fn a_store_that_checks_nothing_is_checked() {
    let damaged = [BlobCheck::Damaged, BlobCheck::Absent, BlobCheck::Damaged];
    // The last byte of each piece, and all after the first piece.
    let changes: [Change; 2] = [
        |_, piece| {
            let mut piece = piece.to_vec();
            if let Some(last) = piece.last_mut() {
                *last ^= 1;
            }
            Ok(Some(piece.into()))
        },
        |at, piece| {
            let left = piece.len() / if at == 0 { 2 } else { usize::MAX };
            Ok(Some(piece.slice(..left)))
        },
    ];
    for change in changes {
        for len in &LENS[1..] {
            assert_eq!(told(*len, change).unwrap(), damaged, "{len}");
        }
    }
    let corrupt = |_, _| Err(Error::new(ErrorKind::Corrupt, "damaged"));
    assert_eq!(told(3 * PIECE, corrupt).unwrap(), damaged);
}

#[test]
fn a_blob_that_goes_meanwhile_is_absent_and_a_fault_is_an_error() {
    let goes = |at, piece| Ok((at == 0).then_some(piece));
    assert_eq!(told(2 * PIECE, goes).unwrap(), [BlobCheck::Absent; 3]);
    let fails = |_, _| Err(Error::new(ErrorKind::Unavailable, "it is away"));
    for len in LENS {
        let error = told(len, fails).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}
