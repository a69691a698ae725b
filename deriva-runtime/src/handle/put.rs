//! Putting bytes.

use std::sync::Arc;

use deriva_api::{
    Blob, BlobHasher, BlobStat, BlobWriter, Bytes, CAddr, Error, Result, async_trait,
};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::planted::{Fault, hidden, planted};
use crate::shared::Deriva;
use crate::shared::Inner;

/// Bytes read at a time from a reader that is being stored.
const PIECE: usize = 1 << 20;

impl Deriva {
    /// Stores bytes as a blob; answers with its address.
    ///
    /// # Errors
    /// What the store says, such as `Full`.
    pub async fn put(&self, bytes: impl Into<Bytes>) -> Result<CAddr> {
        let blob = Blob::new(bytes);
        self.put_many(std::slice::from_ref(&blob)).await?;
        Ok(blob.addr())
    }

    /// Stores blobs, in one commit where the store can. A damaged copy that is there is replaced.
    ///
    /// # Errors
    /// What the store says, such as `Full`.
    pub async fn put_many(&self, blobs: &[Blob]) -> Result<()> {
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        self.inner.make_way(addrs.iter().copied()).await?;
        let leased = if planted(Fault::put_leases_nothing) {
            Vec::new()
        } else {
            addrs
        };
        let _adding = self.inner.adding(leased).await;
        let put = self.inner.blobs.put(blobs).await;
        put.or_else(|error| hidden(Fault::put_hides_the_error, error))
    }

    /// Stores those of these blobs that the store lacks, or has damaged. The others are not written again: they are as
    /// durable as whoever put them made them. So a store that may only be read will do, as long as it has all of them.
    ///
    /// # Errors
    /// What the store says, such as `Full`.
    pub async fn put_missing(&self, blobs: &[Blob]) -> Result<()> {
        if blobs.is_empty() {
            return Ok(());
        }
        let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        let right = self.inner.verify_blobs(&addrs).await?;
        let (there, absent): (Vec<_>, Vec<_>) =
            blobs.iter().zip(right).partition(|(_, right)| *right);
        let leased = if planted(Fault::put_leases_nothing) {
            Vec::new()
        } else {
            addrs
        };
        let _adding = self.inner.adding(leased).await;
        // A collection may have taken some before they were leased.
        let found: Vec<CAddr> = there.iter().map(|(blob, _)| blob.addr()).collect();
        let found = self.inner.blobs.stat(&found).await?;
        let gone = there.into_iter().zip(found);
        let gone = gone.filter_map(|(blob, found)| found.is_none().then_some(blob));
        let missing = absent.into_iter().chain(gone);
        let missing: Vec<Blob> = missing.map(|(blob, _)| blob.clone()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let put = self.inner.blobs.put(&missing).await;
        put.or_else(|error| hidden(Fault::put_hides_the_error, error))
    }

    /// Tells of each blob whether it is stored and undamaged. A damaged copy is removed, so that the blob
    /// can be put again. Bytes that are there are checked as far as the store can ([`verify`](deriva_api::BlobStore::verify)): read, unless
    /// it knows that it did so.
    ///
    /// # Errors
    /// What the store says, but for damage.
    pub async fn verify_blobs(&self, addrs: &[CAddr]) -> Result<Vec<bool>> {
        self.inner.verify_blobs(addrs).await
    }

    /// Stores everything that a reader gives as one blob, in bounded memory. A damaged copy that is there is
    /// replaced.
    ///
    /// # Errors
    /// What the reader or the store says; then nothing is stored.
    pub async fn put_reader(&self, mut reader: impl AsyncRead + Unpin + Send) -> Result<BlobStat> {
        let mut writer = self.writing(None).await?;
        loop {
            let mut piece = bytes::BytesMut::with_capacity(PIECE);
            while piece.len() < PIECE {
                let read = reader
                    .read_buf(&mut piece)
                    .await
                    .map_err(|source| Error::io(source).during("put_reader"))?;
                if read == 0 {
                    break;
                }
            }
            if piece.is_empty() {
                return Box::new(writer).finish().await;
            }
            writer.write(piece.freeze()).await?;
        }
    }

    /// Begins a blob that is given piece by piece, in bounded memory. A damaged copy that is there is replaced.
    ///
    /// With `expect`, `finish` fails with `Invalid`, and stores nothing, unless the bytes are what was expected.
    ///
    /// # Errors
    /// What the store says.
    pub async fn writer(&self, expect: Option<BlobStat>) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(self.writing(expect).await?))
    }

    async fn writing(&self, expect: Option<BlobStat>) -> Result<Writing> {
        Ok(Writing {
            inner: Arc::clone(&self.inner),
            writer: self.inner.blobs.writer(expect).await?,
            hasher: BlobHasher::new(),
        })
    }
}

/// A blob that is being written. Its address has to be known before the end: a damaged copy makes way, and a collection is told.
#[derive(Debug)]
struct Writing {
    inner: Arc<Inner>,
    writer: Box<dyn BlobWriter>,
    hasher: BlobHasher,
}

#[async_trait]
impl BlobWriter for Writing {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.hasher.update(&chunk);
        self.writer.write(chunk).await
    }

    async fn finish(self: Box<Self>) -> Result<BlobStat> {
        let addr = self.hasher.finish().addr;
        self.inner.make_way([addr]).await?;
        let notes = !planted(Fault::put_reader_notes_nothing);
        let leased = notes.then_some(addr).into_iter().collect();
        let _adding = self.inner.adding(leased).await;
        self.writer.finish().await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.writer.abort().await
    }
}
