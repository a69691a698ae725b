//! Takes the pieces of a blob: in memory while it is small, in a temporary file once it is not.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use deriva_api::{Blob, Error, ErrorKind, Result};

use super::disk::{Disk, Draft, Staged};

/// Pieces are gathered up to this many bytes, so that a blocking thread is asked rarely.
const GATHER: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Spool {
    disk: Arc<Disk>,
    gathered: BytesMut,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Everything so far is in `gathered`.
    Memory,
    File(Box<Draft>),
    /// A write failed or was dropped halfway: what the file holds is not known.
    Broken,
}

/// A complete blob.
pub(crate) enum Spooled {
    Memory(Blob),
    File(Staged),
}

impl Spool {
    pub(crate) fn new(disk: Arc<Disk>) -> Self {
        Self {
            disk,
            gathered: BytesMut::new(),
            state: State::Memory,
        }
    }

    pub(crate) async fn write(&mut self, mut chunk: Bytes) -> Result<()> {
        while !chunk.is_empty() {
            let room = GATHER.saturating_sub(self.gathered.len()).min(chunk.len());
            self.gathered.extend_from_slice(&chunk.split_to(room));
            if self.gathered.len() >= GATHER {
                self.spill().await?;
            }
        }
        Ok(())
    }

    /// Completes the blob: up to `inline` bytes are answered in memory, more as a staged file.
    pub(crate) async fn finish(mut self, inline: u64) -> Result<Spooled> {
        if let State::Memory = self.state
            && self.gathered.len() as u64 <= inline
        {
            return Ok(Spooled::Memory(Blob::new(self.gathered.freeze())));
        }
        self.spill().await?;
        let State::File(draft) = self.state else {
            return Err(broken());
        };
        let disk = self.disk;
        let staged = blocking::unblock(move || disk.finish(*draft)).await?;
        Ok(Spooled::File(staged))
    }

    async fn spill(&mut self) -> Result<()> {
        let state = std::mem::replace(&mut self.state, State::Broken);
        let (disk, chunk) = (self.disk.clone(), self.gathered.split().freeze());
        let write = move || {
            let mut draft = match state {
                State::Memory => Box::new(disk.draft()?),
                State::File(draft) => draft,
                State::Broken => return Err(broken()),
            };
            draft.write(&chunk)?;
            Ok(draft)
        };
        self.state = State::File(blocking::unblock(write).await?);
        Ok(())
    }
}

fn broken() -> Error {
    let message = "an earlier write to this blob failed or was cancelled";
    Error::new(ErrorKind::Cancelled, message).hint("begin the blob again with a new writer")
}
