//! Bytes from the server.

use bytes::BytesMut;
use deriva_api::{Blob, BlobStat, ByteRange, Bytes, CAddr, Error, ErrorKind, Result};
use deriva_proto::{bytes_of, v1};
use tonic::Streaming;

use crate::answers::{damaged, same, told, was};
use crate::client::Client;
use crate::failure::{Attempts, Failure};
use crate::link::Link;

/// Bytes for which room is made before they are there, because somebody says that they will come.
const BELIEVED: u64 = 4 << 20;

impl Client {
    /// A whole blob, verified.
    pub(crate) async fn whole(&self, addr: CAddr) -> Result<Option<Blob>> {
        let mut frames = Frames::new(self.link(), addr, ByteRange::ALL);
        let Some(bytes) = collected(&mut frames).await? else {
            return Ok(None);
        };
        let blob = Blob::verify(addr, bytes);
        blob.map(Some)
            .map_err(|error| error.with("server", &self.link().server))
    }

    /// A part of a blob.
    pub(crate) async fn part(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        collected(&mut Frames::new(self.link(), addr, range)).await
    }
}

async fn collected(frames: &mut Frames<'_>) -> Result<Option<Bytes>> {
    let Some(first) = frames.next().await? else {
        return Ok(frames.stat().map(|_| Bytes::new()));
    };
    if frames.left() == 0 {
        // Most blobs come in one piece, which is not copied. The end has to be seen all the same.
        return Ok(frames.next().await?.is_none().then_some(first));
    }
    let room = frames.left().min(BELIEVED) as usize;
    let mut bytes = BytesMut::with_capacity(first.len() + room);
    bytes.extend_from_slice(&first);
    while let Some(chunk) = frames.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes.freeze()))
}

/// The pieces of a blob, or of a range of it, as they come. Where the connection breaks they go on after the last one.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    link: &'a Link,
    attempts: Attempts<'a>,
    pub(crate) place: Place,
}

/// How far the bytes of a blob have come.
#[derive(Debug)]
pub(crate) struct Place {
    addr: CAddr,
    range: ByteRange,
    /// The whole blob's, once it was told.
    stat: Option<BlobStat>,
    /// Bytes of the range that have come.
    came: u64,
    stream: Option<Streaming<v1::GetBlobResponse>>,
    /// The blob is not there.
    absent: bool,
    ended: bool,
}

impl Place {
    pub(crate) fn new(addr: CAddr, range: ByteRange) -> Self {
        Self {
            addr,
            range,
            stat: None,
            came: 0,
            stream: None,
            absent: false,
            ended: false,
        }
    }

    /// The bytes of the range that are to come, as far as that is known.
    fn left(&self) -> u64 {
        let range = self.stat.map(|stat| self.range.within(stat.len));
        range.map_or(0, |range| range.end - range.start - self.came)
    }

    /// What is to be asked for next.
    fn rest(&self) -> Option<v1::ByteRange> {
        let rest = ByteRange {
            offset: self.range.offset.saturating_add(self.came),
            len: match self.range.len {
                u64::MAX => u64::MAX,
                len => len - self.came,
            },
        };
        (rest != ByteRange::ALL).then(|| rest.into())
    }

    /// The next piece; `None` at the end, and where the blob is absent.
    async fn read(&mut self, link: &Link) -> Result<Option<Bytes>, Failure> {
        let (stream, mut is_first) = match &mut self.stream {
            Some(stream) => (stream, false),
            None => {
                let request = v1::GetBlobRequest {
                    addr: bytes_of(self.addr),
                    range: self.rest(),
                };
                let mut service = link.blobs();
                let opened = link.in_time(service.get(request)).await?;
                (self.stream.insert(opened.into_inner()), true)
            }
        };
        loop {
            let Some(frame) = link.in_time(stream.message()).await? else {
                let left = self.left();
                return match (self.stat, left) {
                    (None, _) => Err(was("a blob", "nothing").into()),
                    (_, 0) => Ok(None),
                    _ => {
                        let what = "the bytes of a blob ended too early";
                        Err(damaged(what, self.addr).with("missing", left).into())
                    }
                };
            };
            if is_first {
                is_first = false;
                let stat = frame
                    .stat
                    .ok_or_else(|| was("the length of a blob", "nothing"))?;
                let stat = told(BlobStat::try_from(stat))?;
                same(self.addr, stat.addr)?;
                if let Some(known) = self.stat.filter(|known| *known != stat) {
                    let what = "a blob has another length than before";
                    let error = damaged(what, self.addr).with("expected", known.len);
                    return Err(error.with("found", stat.len).into());
                }
                self.stat = Some(stat);
            }
            let room = self.stat.map(|stat| self.range.within(stat.len));
            let room = room.map_or(0, |range| range.end - range.start - self.came);
            let len = frame.chunk.len() as u64;
            if len > room {
                let what = "more bytes came than a blob has";
                let error = damaged(what, self.addr).with("expected", room);
                return Err(error.with("found", len).into());
            }
            if len > 0 {
                self.came += len;
                return Ok(Some(frame.chunk));
            }
        }
    }
}

impl<'a> Frames<'a> {
    pub(crate) fn new(link: &'a Link, addr: CAddr, range: ByteRange) -> Self {
        Self::at(link, Place::new(addr, range))
    }

    pub(crate) fn at(link: &'a Link, place: Place) -> Self {
        Self {
            link,
            attempts: Attempts::new(link),
            place,
        }
    }

    /// The whole blob's address and length, once the first piece was asked for; `None` where it is absent.
    pub(crate) fn stat(&self) -> Option<BlobStat> {
        self.place.stat.filter(|_| !self.place.absent)
    }

    fn left(&self) -> u64 {
        self.place.left()
    }

    /// The next piece, which is not empty; `None` at the end, and where the blob is absent.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        let place = &mut self.place;
        loop {
            if place.ended {
                return Ok(None);
            }
            match place.read(self.link).await {
                Ok(Some(chunk)) => {
                    self.attempts.progressed();
                    return Ok(Some(chunk));
                }
                Ok(None) => place.ended = true,
                // It may have been removed after the first pieces.
                Err(failure) if failure.kind() == ErrorKind::NotFound => {
                    place.ended = true;
                    place.absent = true;
                    if place.came > 0 {
                        return Err(removed(place.addr));
                    }
                }
                Err(failure) => {
                    place.stream = None;
                    self.attempts.again(failure).await?;
                }
            }
        }
    }
}

/// What was there a moment ago is not there any more.
pub(crate) fn removed(addr: CAddr) -> Error {
    let what = "the blob was removed while it was read";
    Error::new(ErrorKind::NotFound, what).with("addr", addr)
}
