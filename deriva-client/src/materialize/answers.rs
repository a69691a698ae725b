//! What comes of a request: results and bytes, each checked.

use bytes::BytesMut;
use deriva_api::{Blob, BlobStat, Bytes, Materialized, Result};
use deriva_proto::parts::ResultParts;
use deriva_proto::v1;

use crate::answers::{damaged, told, was};

/// What has come so far.
pub(super) struct Answers {
    wants_bytes: bool,
    came: Came,
    /// The target whose bytes come.
    current: Option<Coming>,
    /// Targets before this one have all of their bytes.
    next: usize,
}

/// The result: in parts until the last of them.
enum Came {
    Parts(ResultParts),
    Whole(Materialized),
}

/// Bytes of one target.
struct Coming {
    target: usize,
    stat: BlobStat,
    chunks: Chunks,
}

/// Bytes that are copied only where they come in several pieces.
enum Chunks {
    One(Bytes),
    Many(BytesMut),
}

impl Answers {
    pub(super) fn new(request: &v1::RunRequest) -> Self {
        Self {
            wants_bytes: (request.wanted).is_some_and(|wanted| wanted.bytes || wanted.unstored),
            came: Came::Parts(ResultParts::of(request.targets.len())),
            current: None,
            next: 0,
        }
    }

    /// Takes a part of the result.
    pub(super) fn result(&mut self, part: v1::RunResult) -> Result<()> {
        let Came::Parts(parts) = &mut self.came else {
            let expected = "nothing after the last part of a result";
            return Err(was(expected, "another part"));
        };
        told(parts.add(part))?;
        if parts.is_complete() {
            let whole = std::mem::replace(parts, ResultParts::of(0));
            self.came = Came::Whole(told(whole.finish())?);
        }
        Ok(())
    }

    /// Takes bytes of a target.
    pub(super) fn bytes(&mut self, frame: v1::RunBytes) -> Result<()> {
        let Came::Whole(done) = &mut self.came else {
            return Err(was("a result", "bytes"));
        };
        if !self.wants_bytes {
            return Err(was("no bytes", "some"));
        }
        let target = frame.target as usize;
        let coming = match &mut self.current {
            Some(coming) if coming.target == target => {
                coming.add(&frame.chunk)?;
                coming
            }
            None if target >= self.next => {
                let Some(Ok(stat)) = done.results.get(target) else {
                    return Err(was("bytes of a target that has some", target));
                };
                let mut coming = Coming {
                    target,
                    stat: *stat,
                    chunks: Chunks::One(Bytes::new()),
                };
                coming.check(frame.chunk.len())?;
                coming.chunks = Chunks::One(frame.chunk);
                self.current.insert(coming)
            }
            _ => return Err(was("the bytes of the targets, in order", target)),
        };
        if frame.end {
            let (target, stat) = (coming.target, coming.stat);
            if let Some(coming) = self.current.take() {
                done.held[target] = Some(Blob::verify(stat.addr, coming.chunks.whole())?);
            }
            self.next = target + 1;
        }
        Ok(())
    }

    /// All that came, at the end of the stream.
    pub(super) fn done(self) -> Result<Materialized> {
        let (Came::Whole(mut done), None) = (self.came, self.current) else {
            return Err(was("a whole result", "the end before"));
        };
        // Targets with the same bytes may have them once.
        if self.wants_bytes {
            let found: std::collections::HashMap<_, _> = done
                .held
                .iter()
                .flatten()
                .cloned()
                .map(|blob| (blob.addr(), blob))
                .collect();
            for (held, result) in done.held.iter_mut().zip(&done.results) {
                if let (None, Ok(stat)) = (&held, result) {
                    *held = found.get(&stat.addr).cloned();
                }
            }
        }
        Ok(done)
    }
}

impl Coming {
    /// Fails where more would come than there is.
    fn check(&self, more: usize) -> Result<()> {
        let found = self.chunks.len() as u64 + more as u64;
        match found <= self.stat.len {
            true => Ok(()),
            false => {
                let what = "more bytes came than a target has";
                let error = damaged(what, self.stat.addr).with("expected", self.stat.len);
                Err(error.with("found", found))
            }
        }
    }

    fn add(&mut self, chunk: &Bytes) -> Result<()> {
        self.check(chunk.len())?;
        if let Chunks::One(first) = &self.chunks {
            self.chunks = Chunks::Many(BytesMut::from(first.as_ref()));
        }
        if let Chunks::Many(bytes) = &mut self.chunks {
            bytes.extend_from_slice(chunk);
        }
        Ok(())
    }
}

impl Chunks {
    fn len(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn whole(self) -> Bytes {
        match self {
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}
