//! Blobs that arrive: small ones together, large ones piece by piece.

use std::sync::Arc;

use deriva::authors::BlobBuilder;
use deriva::stores::BlobWriter;
use deriva::{Blob, BlobStat, Bytes, Error, ErrorKind, Result};
use deriva_proto::v1;

use super::{Service, too_many};
use crate::budget::Charge;

/// Bytes of a blob that is put with others; a larger one is written as it comes.
const SMALL: u64 = 1 << 20;
/// Bytes of small blobs that are put at once.
const TOGETHER: u64 = 4 << 20;

/// The blobs of one stream.
pub(super) struct Putting<'a> {
    service: &'a Arc<Service>,
    /// Every blob that ended, in order.
    ended: Vec<BlobStat>,
    /// Those of them that are still to be put, and their bytes.
    small: Vec<Blob>,
    small_bytes: u64,
    charge: Charge,
    now: Option<Coming>,
}

/// The blob that is coming.
struct Coming {
    expect: Option<BlobStat>,
    bytes: u64,
    held: Held,
    writer: Option<Box<dyn BlobWriter>>,
}

/// What waits of it in memory: no more than its bytes.
#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    /// Most blobs come in one frame, which is not copied.
    Frame(Bytes),
    /// The frames of one whose length nobody stated.
    Frames(Vec<Bytes>),
    /// One whose length was stated grows where it stays, and is hashed meanwhile.
    Growing(Box<BlobBuilder>),
}

impl Held {
    fn add(&mut self, chunk: Bytes, expect: Option<BlobStat>) {
        *self = match (std::mem::take(self), expect) {
            (Self::Nothing, _) => Self::Frame(chunk),
            (Self::Frame(first), None) => Self::Frames(vec![first, chunk]),
            (Self::Frame(first), Some(expect)) => {
                let mut blob = Box::new(BlobBuilder::with_capacity(expect.len as usize));
                blob.extend(&first);
                blob.extend(&chunk);
                Self::Growing(blob)
            }
            (Self::Frames(mut frames), _) => {
                frames.push(chunk);
                Self::Frames(frames)
            }
            (Self::Growing(mut blob), _) => {
                blob.extend(&chunk);
                Self::Growing(blob)
            }
        };
    }

    /// All of it, in pieces.
    fn pieces(self) -> Vec<Bytes> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Frame(bytes) => vec![bytes],
            Self::Frames(frames) => frames,
            Self::Growing(blob) => vec![blob.finish().into_bytes()],
        }
    }

    fn blob(self) -> Blob {
        match self {
            Self::Nothing => Blob::new(Bytes::new()),
            // A small part of a large message would keep all of it.
            Self::Frame(bytes) if bytes.len() < 4096 => Blob::new(bytes.to_vec()),
            Self::Frame(bytes) => Blob::new(bytes),
            Self::Frames(frames) => Blob::new(frames.concat()),
            Self::Growing(blob) => blob.finish(),
        }
    }
}

impl Coming {
    /// What writes it from now on, with all that came before.
    async fn writing(&mut self, service: &Service) -> Result<&mut Box<dyn BlobWriter>> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let mut writer = service.deriva.writer(self.expect).await?;
                for piece in std::mem::take(&mut self.held).pieces() {
                    writer.write(piece).await?;
                }
                writer
            }
        };
        Ok(self.writer.insert(writer))
    }
}

fn out_of_order(what: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, what)
        .during("put")
        .hint("send `begin` in the first frame of each blob and in no other, and `end` in its last")
}

impl<'a> Putting<'a> {
    pub(super) fn new(service: &'a Arc<Service>) -> Self {
        Self {
            service,
            ended: Vec::new(),
            small: Vec::new(),
            small_bytes: 0,
            charge: Charge::default(),
            now: None,
        }
    }

    /// Takes the next frame.
    ///
    /// # Errors
    /// `Invalid` for frames out of order and bytes that are not what was stated; `Full` beyond the quota; what the store says.
    pub(super) async fn take(&mut self, frame: v1::PutRequest) -> Result<()> {
        let v1::PutRequest { begin, chunk, end } = frame;
        if let Some(begin) = begin {
            self.begin(begin).await?;
        }
        self.add(chunk).await?;
        match end {
            true => self.end().await,
            false => Ok(()),
        }
    }

    async fn begin(&mut self, begin: v1::PutBegin) -> Result<()> {
        if self.now.is_some() {
            return Err(out_of_order("a blob begins before the one before it ended"));
        }
        let most = self.service.limits.batch;
        if self.ended.len() >= most {
            return Err(too_many("blobs", self.ended.len() + 1, most));
        }
        let expect = begin.expect.map(BlobStat::try_from).transpose()?;
        let stated = expect.map_or(0, |stat| stat.len);
        within_quota(self.service, self.small_bytes.saturating_add(stated)).await?;
        self.now = Some(Coming {
            expect,
            bytes: 0,
            held: Held::Nothing,
            writer: None,
        });
        Ok(())
    }

    async fn add(&mut self, chunk: Bytes) -> Result<()> {
        let small_at_most = self.small_at_most();
        let what = "a frame belongs to no blob, as none began";
        let now = self.now.as_mut().ok_or_else(|| out_of_order(what))?;
        now.bytes += chunk.len() as u64;
        if let Some(expect) = now.expect
            && now.bytes > expect.len
        {
            return Err(longer(expect, now.bytes));
        }
        let len = now.expect.map_or(now.bytes, |expect| expect.len);
        let is_small = now.writer.is_none() && len <= small_at_most;
        if is_small && self.charge.grow(&self.service.budget, chunk.len()) {
            now.held.add(chunk, now.expect);
            return Ok(());
        }
        // It is written as it comes: it is large, or room is short. What nobody stated may be more than there may be.
        within_quota(self.service, now.bytes).await?;
        let writer = now.writing(self.service).await?;
        if self.small.is_empty() {
            self.charge = Charge::default();
        }
        writer.write(chunk).await
    }

    /// Whether bytes wait in memory.
    pub(super) fn holds(&self) -> bool {
        !self.charge.is_none()
    }

    /// Writes what waits in memory: nothing comes after it for a while.
    ///
    /// # Errors
    /// As [`Putting::take`].
    pub(super) async fn let_go(&mut self) -> Result<()> {
        if let Some(now) = &mut self.now {
            now.writing(self.service).await?;
        }
        self.put_small().await?;
        self.charge = Charge::default();
        Ok(())
    }

    /// What waits takes a part of the room that there is for all.
    fn small_at_most(&self) -> u64 {
        SMALL.min(self.service.limits.bytes_in_flight as u64 / 8)
    }

    async fn end(&mut self) -> Result<()> {
        let Some(now) = self.now.take() else {
            return Err(out_of_order("a blob ends that did not begin"));
        };
        if let Some(writer) = now.writer {
            self.ended.push(writer.finish().await?);
            return Ok(());
        }
        let blob = now.held.blob();
        let stat = blob.stat();
        if let Some(expect) = now.expect
            && expect != stat
        {
            return Err(other(expect, stat));
        }
        self.ended.push(stat);
        self.small_bytes += now.bytes;
        self.small.push(blob);
        match self.small_bytes >= TOGETHER.min(4 * self.small_at_most()) {
            true => self.put_small().await,
            false => Ok(()),
        }
    }

    async fn put_small(&mut self) -> Result<()> {
        if self.small.is_empty() {
            return Ok(());
        }
        within_quota(self.service, self.small_bytes).await?;
        self.service.deriva.put_many(&self.small).await?;
        self.small.clear();
        self.small_bytes = 0;
        self.charge = Charge::default();
        Ok(())
    }

    /// Puts what is left, and tells of all blobs.
    ///
    /// # Errors
    /// As [`Putting::take`].
    pub(super) async fn finish(mut self) -> Result<Vec<BlobStat>> {
        if self.now.is_some() {
            return Err(out_of_order("the stream ends within a blob"));
        }
        self.put_small().await?;
        Ok(self.ended)
    }
}

/// # Errors
/// `Full` where that many bytes more than what is stored are over the quota.
async fn within_quota(service: &Service, bytes: u64) -> Result<()> {
    let Some(quota) = service.limits.stored_bytes else {
        return Ok(());
    };
    let usage = service.deriva.blobs().usage().await?;
    let stored = usage.map_or(0, |usage| usage.bytes);
    if stored.saturating_add(bytes) <= quota {
        return Ok(());
    }
    let what = "the server's quota of stored bytes is used up";
    let error = Error::new(ErrorKind::Full, what).during("put");
    Err(error
        .with("stored", stored)
        .with("more", bytes)
        .with("quota", quota)
        .hint("have what is not needed collected, or the quota raised"))
}

fn longer(expect: BlobStat, found: u64) -> Error {
    let what = "there are more bytes than were stated for the blob";
    let error = Error::new(ErrorKind::Invalid, what).during("put");
    error
        .with("addr", expect.addr)
        .with("expected", expect.len)
        .with("found", found)
}

fn other(expect: BlobStat, found: BlobStat) -> Error {
    let what = "the bytes are not what was stated for them";
    let error = Error::new(ErrorKind::Invalid, what).during("put");
    error
        .with("expected", expect.addr)
        .with("expected_length", expect.len)
        .with("found", found.addr)
        .with("found_length", found.len)
        .hint("send them again")
}
