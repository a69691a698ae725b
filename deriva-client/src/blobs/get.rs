//! Bytes from the server.

use bytes::BytesMut;
use deriva_api::{Blob, BlobBuilder, BlobStat, ByteRange, Bytes, CAddr, Error, ErrorKind, Result};
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
    pub(crate) async fn whole(&self, operation: &'static str, addr: CAddr) -> Result<Option<Blob>> {
        let mut place = Place::new(addr, ByteRange::ALL);
        let blob = match place.beginning(self.link(), operation).await? {
            Beginning::Absent => return Ok(None),
            // Most blobs come in one piece, which is not copied.
            Beginning::All(bytes) => Blob::new(bytes),
            Beginning::Piece(first) => {
                // Not a part of this future, which most calls move without it.
                let mut blob = Box::new(BlobBuilder::with_capacity(first.len() + place.room()));
                blob.extend(&first);
                while let Some(piece) = place.next(self.link(), operation).await? {
                    blob.extend(&piece);
                }
                blob.finish()
            }
        };
        let wrong = |error: Error| error.during(operation).with("server", &self.link().server);
        blob.expected(addr).map(Some).map_err(wrong)
    }

    /// A part of a blob.
    pub(crate) async fn part(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>> {
        let mut place = Place::new(addr, range);
        match place.beginning(self.link(), "get_range").await? {
            Beginning::Absent => Ok(None),
            Beginning::All(bytes) => Ok(Some(bytes)),
            Beginning::Piece(first) => {
                let mut bytes = BytesMut::with_capacity(first.len() + place.room());
                bytes.extend_from_slice(&first);
                while let Some(piece) = place.next(self.link(), "get_range").await? {
                    bytes.extend_from_slice(&piece);
                }
                Ok(Some(bytes.freeze()))
            }
        }
    }
}

/// What comes first of a blob, or of a range of it.
enum Beginning {
    Absent,
    All(Bytes),
    /// There is more.
    Piece(Bytes),
}

/// How far the bytes of a blob, or of a range of it, have come. Where the connection breaks they go on after the last one.
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

    async fn beginning(&mut self, link: &Link, operation: &'static str) -> Result<Beginning> {
        let Some(first) = self.next(link, operation).await? else {
            let nothing = |_| Beginning::All(Bytes::new());
            return Ok(self.stat().map_or(Beginning::Absent, nothing));
        };
        if self.left() > 0 {
            return Ok(Beginning::Piece(first));
        }
        // The end has to be seen all the same; that a piece comes instead is an error.
        self.next(link, operation).await?;
        Ok(Beginning::All(first))
    }

    /// How many bytes to make room for.
    fn room(&self) -> usize {
        self.left().min(BELIEVED) as usize
    }

    /// Nothing more is to be read.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// The whole blob's address and length, once the first piece was asked for; `None` where it is absent.
    pub(crate) fn stat(&self) -> Option<BlobStat> {
        self.stat.filter(|_| !self.absent)
    }

    /// The next piece, which is not empty; `None` at the end, and where the blob is absent.
    pub(crate) async fn next(
        &mut self,
        link: &Link,
        operation: &'static str,
    ) -> Result<Option<Bytes>> {
        // Each piece has all attempts for itself.
        let mut attempts = Attempts::new(link, operation);
        while !self.ended {
            match self.read(link).await {
                Ok(Some(chunk)) => return Ok(Some(chunk)),
                Ok(None) => self.ended = true,
                Err(failure) if failure.kind() == ErrorKind::NotFound => {
                    self.ended = true;
                    self.absent = true;
                    // It was removed after the first pieces.
                    if self.came > 0 {
                        return Err(removed(self.addr).during(operation));
                    }
                }
                Err(failure) => {
                    self.stream = None;
                    attempts.again(failure).await?;
                }
            }
        }
        Ok(None)
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

/// What was there a moment ago is not there any more.
pub(crate) fn removed(addr: CAddr) -> Error {
    let what = "the blob was removed while it was read";
    Error::new(ErrorKind::NotFound, what).with("addr", addr)
}
