//! The contract of blob stores.

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{Blob, BlobCheck, BlobStat, ByteRange, CAddr, Capabilities, Result, StoreCounters};

/// A store of blobs by content address.
///
/// # What implementers promise
/// - **No wrong bytes.** What `get`, `get_many` and `get_range` return belongs to the address asked
///   for, whatever happened to the disk. Damage is [`crate::ErrorKind::Corrupt`]. `get_range` may
///   check the whole blob once and remember that it did while the bytes are unchanged.
/// - **Absent is an answer.** `None` means that the store looked and has no such blob. A fault is an
///   error, never `None`.
/// - **Whole or not at all.** A blob becomes visible to `get`, `stat`, `list` and `usage` at once and
///   complete, or not at all, also when the process dies.
/// - **Acknowledged means as durable as declared** in [`Capabilities::durability`]. A store opened
///   with buffered durability acknowledges earlier and makes durable at `flush`.
/// - **Any number of callers at once**, from any async runtime; a call that is dropped halfway leaves
///   each of its blobs stored or not stored.
/// - Batches keep their order in answers, may hold one address several times, and may be empty.
/// - `Display` prints how to open the same store again (`sled:./data`), or a layer's `name(inner)`.
///
/// # What callers may assume
/// - `put` and `remove` are idempotent, so any of them can be repeated after an error.
/// - A second `put` of a blob that is there costs no second copy. It need not look at the bytes that are there.
///   Where these are damaged, which `verify` tells, `remove` followed by `put` replaces them.
/// - Nothing is said of the order in which concurrent calls take effect.
#[async_trait]
pub trait BlobStore: Debug + Display + Send + Sync + 'static {
    /// What this store can do. The answer never changes while it is open.
    fn capabilities(&self) -> Capabilities;

    /// Stores blobs, in one commit where the engine can. Each is stored whole or not at all.
    async fn put(&self, blobs: &[Blob]) -> Result<()>;

    /// Begins a blob that is too large to hold, or whose length is not known.
    ///
    /// With `expect` the bytes can go straight to their place; `finish` then fails with `Invalid`
    /// and stores nothing unless the bytes turn out to be what was expected.
    async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>>;

    /// Reads one blob; `None` where it is absent.
    async fn get(&self, addr: CAddr) -> Result<Option<Blob>>;

    /// Reads several blobs: one answer for each address, in order. One damaged blob fails the call.
    async fn get_many(&self, addrs: &[CAddr]) -> Result<Vec<Option<Blob>>>;

    /// Reads a part of a blob, cut off at its end (see [`ByteRange::within`]); `None` where absent.
    async fn get_range(&self, addr: CAddr, range: ByteRange) -> Result<Option<Bytes>>;

    /// Tells which blobs are there and how long they are, in order, without reading their bytes.
    async fn stat(&self, addrs: &[CAddr]) -> Result<Vec<Option<BlobStat>>>;

    /// Tells which blobs are there, and whether their bytes are right, as far as this store can check: one answer
    /// for each address, in order, each as if it were asked alone.
    ///
    /// # What implementers promise
    /// - **Damage is an answer.** One damaged blob says nothing of the others, and fails nothing. An error is a
    ///   fault that left a question open, such as a service that is away; then there is no answer at all.
    /// - **Right is what was checked.** The evidence says how. `Read`: all bytes were read and hashed in this call.
    ///   `Remembered`: they were before, since this store was opened, and are unchanged as far as the store can see.
    ///   A read that meets damage, and a write, make it forget. `Vouched`: the service that keeps the bytes says now
    ///   that they still have the checksum, over all of them, that it made when they were stored. That counts only
    ///   where the store compared it at that time with one of bytes whose address it had checked. A length, a date or
    ///   the name of an object is no evidence.
    /// - **Damaged is what reads refuse**: `get` of it would be [`crate::ErrorKind::Corrupt`].
    /// - **Bounded memory**: a piece or a blob at a time, however many addresses there are, and better a piece.
    /// - **Nothing changes** but what the store remembers. It works on a store that may only be read.
    ///
    /// A store that has nothing better calls [`crate::verify_by_reading`].
    ///
    /// # What callers may assume
    /// - Asking for many costs less than asking for each. What is remembered is not read again.
    /// - Of a blob that others put or remove meanwhile the answer is that before or after, and never damage.
    /// - An answer is of a moment, and of bytes alone. A blob that is right may be removed by others, and may not be
    ///   durable yet: `put` waits for that.
    async fn verify(&self, addrs: &[CAddr]) -> Result<Vec<BlobCheck>>;

    /// Removes blobs. Removing what is absent succeeds.
    async fn remove(&self, addrs: &[CAddr]) -> Result<()>;

    /// Lists blobs in the order of their addresses, beginning after `after`. Blobs stored or removed
    /// meanwhile may or may not be seen; all others are, once.
    fn list(&self, after: Option<CAddr>) -> BoxStream<'_, Result<BlobStat>>;

    /// Counts blobs and bytes in O(1), or `None` where [`Capabilities::usage`] is false.
    async fn usage(&self) -> Result<Option<BlobUsage>>;

    /// Makes every write acknowledged before this call as durable as the store can.
    async fn flush(&self) -> Result<()>;

    /// What this store counts of itself, for those who watch it. Default: nothing.
    ///
    /// # What implementers promise
    /// - **Its own numbers alone.** A layer tells nothing of the store that it stands around, which is asked itself. Only
    ///   one that does not show in what the store prints answers as the store does.
    /// - **The same for good.** Every call gives the same counters. These only rise while the store is open, but for
    ///   the room on its disk.
    /// - It asks nobody and waits for nothing. To hold what it answers keeps no store open.
    ///
    /// # What callers may assume
    /// - Where two answers have one object ([`Arc::ptr_eq`](std::sync::Arc::ptr_eq)), as those of both halves of one store,
    ///   it is one number: it counts once.
    fn counters(&self) -> StoreCounters {
        StoreCounters::default()
    }
}

/// Takes the bytes of one blob, piece by piece, in bounded memory.
///
/// Dropping a writer, or calling [`BlobWriter::abort`], leaves nothing that can be seen,
/// listed or counted.
#[async_trait]
pub trait BlobWriter: Debug + Send + 'static {
    /// Appends a piece.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Completes the blob, stores it as durably as `put` would, and tells its address.
    async fn finish(self: Box<Self>) -> Result<BlobStat>;

    /// Gives the blob up.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// How much a blob store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobUsage {
    /// Number of blobs.
    pub blobs: u64,
    /// Sum of their lengths in bytes, without the store's own overhead.
    pub bytes: u64,
}
