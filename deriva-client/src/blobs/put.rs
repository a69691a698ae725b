//! Blobs to the server.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva_api::{Blob, BlobStat, BlobStore, BuildAddrHasher, Bytes, CAddr, Result};
use deriva_proto::{addrs_of, bytes_of_all, v1};

use crate::answers::{as_many, checked, damaged, some_of, told};
use crate::batches::{FRAME, MAX_ITEMS};
use crate::client::Client;
use crate::failure::{Attempts, Failure};
use crate::link::{Link, call};

/// Bytes from which on it is asked what is missing: less is sent in the time of a question.
const ASKED_FROM: u64 = 1 << 20;

type AddrSet = HashSet<CAddr, BuildAddrHasher>;

/// How it is asked what has to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// What is absent.
    Absent,
    /// What is absent or damaged, which takes the server a look at the bytes.
    Wrong,
}

impl Client {
    /// Stores blobs; a damaged copy that is there may stay.
    pub(crate) async fn put_absent(&self, blobs: &[Blob]) -> Result<()> {
        self.put_asking(blobs, Ask::Absent, ASKED_FROM).await
    }

    /// Stores blobs, and replaces damaged copies of them.
    pub(crate) async fn put_right(&self, blobs: &[Blob]) -> Result<()> {
        self.put_asking(blobs, Ask::Wrong, ASKED_FROM).await
    }

    /// Stores those that are absent or damaged.
    pub(crate) async fn put_wrong(&self, blobs: &[Blob]) -> Result<()> {
        self.put_asking(blobs, Ask::Wrong, 0).await
    }

    async fn put_asking(&self, blobs: &[Blob], ask: Ask, from: u64) -> Result<()> {
        let mut were_there = false;
        for batch in blobs.chunks(MAX_ITEMS) {
            let bytes: u64 = batch.iter().map(Blob::len).sum();
            let mut asks = bytes >= from;
            let mut attempts = Attempts::new(self.link(), "put");
            loop {
                let wanted = match asks {
                    true => Some(self.wanted(batch, ask).await?),
                    false => None,
                };
                let mut seen = AddrSet::default();
                let is_wanted =
                    |addr: &CAddr| wanted.as_ref().is_none_or(|them| them.contains(addr));
                let sent = batch.iter().filter(|blob| is_wanted(&blob.addr()));
                let sent = sent.filter(|blob| seen.insert(blob.addr()));
                let sent: Vec<Blob> = sent.cloned().collect();
                were_there |= batch.iter().any(|blob| !is_wanted(&blob.addr()));
                match self.send(sent).await {
                    Ok(()) => break,
                    Err(failure) => attempts.again(failure).await?,
                }
                // Some may have arrived.
                asks = true;
            }
        }
        // What others are just storing can be seen before it is durable.
        match were_there {
            true => BlobStore::flush(self).await,
            false => Ok(()),
        }
    }

    /// Those that have to be sent.
    async fn wanted(&self, blobs: &[Blob], ask: Ask) -> Result<AddrSet> {
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        if ask == Ask::Wrong {
            let found = BlobStore::verify(self, &addrs).await?;
            let wrong = addrs.into_iter().zip(found);
            let wrong = wrong.filter(|(_, check)| !check.is_right());
            return Ok(wrong.map(|(addr, _)| addr).collect());
        }
        let link = self.link();
        let request = v1::MissingRequest {
            addrs: bytes_of_all(&addrs),
        };
        let answer = call!(link.short(request) -> blobs.missing).await?;
        checked("missing", || {
            let missing = told(addrs_of("MissingResponse.addrs", &answer.addrs))?;
            some_of(&addrs, &missing)?;
            Ok(missing.into_iter().collect())
        })
    }

    /// Sends blobs in one call.
    async fn send(&self, blobs: Vec<Blob>) -> Result<(), Failure> {
        if blobs.is_empty() {
            return Ok(());
        }
        let expected: Vec<BlobStat> = blobs.iter().map(Blob::stat).collect();
        let taken = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&taken);
        let frames = blobs.into_iter().flat_map(frames).inspect(move |_| {
            counting.fetch_add(1, Ordering::Relaxed);
        });
        let mut service = self.link().blobs();
        let answer = service.put(futures::stream::iter(frames));
        let answer = moving(self.link(), &taken, answer).await?.into_inner();
        Ok(stored(&expected, answer)?)
    }
}

/// Whether the server says that just these blobs are stored.
pub(crate) fn stored(expected: &[BlobStat], answer: v1::PutResponse) -> Result<()> {
    as_many(expected.len(), answer.blobs.len())?;
    for (expected, stat) in expected.iter().zip(answer.blobs) {
        let stat = told(BlobStat::try_from(stat))?;
        if stat != *expected {
            let what = "the server stored something else than was sent";
            let error = damaged(what, expected.addr).with("expected_length", expected.len);
            return Err(error
                .with("found", stat.addr)
                .with("found_length", stat.len));
        }
    }
    Ok(())
}

/// The answer to a call whose frames are counted as they are taken, unless none is taken for too long.
pub(crate) async fn moving<T>(
    link: &Link,
    taken: &AtomicU64,
    answer: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, Failure> {
    let mut answer = pin!(answer);
    loop {
        let before = taken.load(Ordering::Relaxed);
        match link.within(link.idle_timeout, answer.as_mut()).await {
            Some(answer) => return answer.map_err(|status| Failure::of(status, link)),
            None if taken.load(Ordering::Relaxed) == before => return Err(link.stood_still()),
            None => {}
        }
    }
}

/// A blob in frames; the bytes are not copied.
fn frames(blob: Blob) -> impl Iterator<Item = v1::PutRequest> {
    let stat = blob.stat();
    let mut rest = Some(blob.into_bytes());
    let mut is_first = true;
    std::iter::from_fn(move || {
        let mut chunk = rest.take()?;
        if chunk.len() > FRAME {
            rest = Some(chunk.split_off(FRAME));
        }
        let begin = std::mem::take(&mut is_first).then(|| v1::PutBegin {
            expect: Some(stat.into()),
        });
        Some(v1::PutRequest {
            begin,
            end: rest.is_none(),
            chunk,
        })
    })
}

/// Pieces that are no longer than a frame; the bytes are not copied.
pub(crate) fn pieces(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let len = bytes.len().min(FRAME);
        (len > 0).then(|| bytes.split_to(len))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_its_frames_whatever_its_length() {
        for len in [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME] {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let blob = Blob::new(bytes.clone());
            let all: Vec<_> = frames(blob.clone()).collect();
            assert_eq!(all.len(), len.div_ceil(FRAME).max(1));
            let (last, others) = all.split_last().unwrap();
            assert!(last.end && others.iter().all(|frame| !frame.end));
            let expect = all[0].begin.clone().unwrap().expect.unwrap();
            assert_eq!(BlobStat::try_from(expect).unwrap(), blob.stat());
            assert!(all[1..].iter().all(|frame| frame.begin.is_none()));
            let sent: Vec<u8> = all.iter().flat_map(|frame| frame.chunk.to_vec()).collect();
            assert_eq!(sent, bytes);
            let cut: Vec<u8> = pieces(blob.into_bytes()).flatten().collect();
            assert_eq!(cut, bytes);
        }
    }
}
