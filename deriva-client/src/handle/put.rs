//! Putting bytes.

use deriva_api::{Blob, BlobCheck, BlobStat, BlobStore, BlobWriter, Bytes, CAddr, Error, Result};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::batches::FRAME;
use crate::client::Client;

impl Client {
    /// Stores bytes as a blob; answers with its address.
    ///
    /// # Errors
    /// What the store says, such as `Full`.
    pub async fn put(&self, bytes: impl Into<Bytes>) -> Result<CAddr> {
        let blob = Blob::new(bytes);
        self.put_many(std::slice::from_ref(&blob)).await?;
        Ok(blob.addr())
    }

    /// Stores blobs. Where there is much to send, it asks first which of them are there and right, and sends the others.
    ///
    /// # Errors
    /// What the store says, such as `Full`.
    pub async fn put_many(&self, blobs: &[Blob]) -> Result<()> {
        self.put_right(blobs).await
    }

    /// Stores those of these blobs that the server lacks, or has damaged, and sends no others.
    ///
    /// # Errors
    /// What the store says, such as `Full`.
    pub async fn put_missing(&self, blobs: &[Blob]) -> Result<()> {
        self.put_wrong(blobs).await
    }

    /// Tells of each blob whether it is stored and undamaged. Bytes that are there are checked as far as the store can: read, unless it
    /// knows that it did so.
    ///
    /// # Errors
    /// What the store says, but for damage.
    pub async fn verify_blobs(&self, addrs: &[CAddr]) -> Result<Vec<bool>> {
        let found = BlobStore::verify(self, addrs).await?;
        Ok(found.into_iter().map(BlobCheck::is_right).collect())
    }

    /// Stores everything that a reader gives as one blob, in bounded memory. A connection that breaks ends it with `Unavailable`, as what the
    /// reader gave is not kept.
    ///
    /// # Errors
    /// What the reader or the store says; then nothing is stored.
    pub async fn put_reader(&self, mut reader: impl AsyncRead + Unpin + Send) -> Result<BlobStat> {
        let mut writer: Box<dyn BlobWriter> = Box::new(self.upload(None));
        loop {
            let mut piece = bytes::BytesMut::with_capacity(FRAME);
            while piece.len() < FRAME {
                let read = reader
                    .read_buf(&mut piece)
                    .await
                    .map_err(|source| Error::io(source).during("put_reader"))?;
                if read == 0 {
                    break;
                }
            }
            if piece.is_empty() {
                return writer.finish().await;
            }
            writer.write(piece.freeze()).await?;
        }
    }
}
