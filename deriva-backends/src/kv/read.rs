//! Where reads run, and what is checked when a row is read.
//!
//! A warm read of an engine takes 2-5 us, handing it to another thread 8-11 us, so the default is to
//! read in place, up to a number of rows that keeps a thread busy for a few milliseconds.

use bytes::{Bytes, BytesMut};
use deriva_api::{CAddr, Recipe, Result, canonical};

use super::layout;

/// Where a store reads its engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadPolicy {
    /// On the calling thread, up to 1024 rows a call; more on the blocking pool. The default: right
    /// while most of what is read lies in memory.
    #[default]
    Inline,
    /// Always on the blocking pool: for disks so slow that a reading thread would hold up others.
    Pool,
}

const INLINE_ROWS: usize = 1024;

/// Runs a read of `rows` rows where the policy wants it.
pub(super) async fn run<T: Send + 'static>(
    policy: ReadPolicy,
    rows: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    match policy {
        ReadPolicy::Inline if rows <= INLINE_ROWS => work(),
        _ => blocking::unblock(work).await,
    }
}

/// The recipe that a row stands for, checked; `piece` reads further rows of a long one.
pub(super) fn recipe(
    addr: CAddr,
    row: Bytes,
    piece: impl Fn(&[u8]) -> Result<Option<Bytes>>,
) -> Result<Recipe> {
    let Some(pieces) = layout::pieces_of(&row) else {
        return Recipe::verify(addr, row);
    };
    let mut bytes = BytesMut::new();
    for number in 0..pieces {
        let key = layout::piece_key(&addr, number);
        let value = piece(&key)?.ok_or_else(|| layout::damaged(&key))?;
        bytes.extend_from_slice(&value);
        // How many pieces there are is only what a row says.
        if bytes.len() > canonical::MAX_LEN {
            return Err(layout::damaged(&key));
        }
    }
    Recipe::verify(addr, bytes.freeze())
}
