//! The mutants' writer of blobs.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use deriva_api::{Blob, BlobStat, BlobWriter, Error, ErrorKind, Result};

use super::disk::BLOBS;
use super::list::Break;
use super::store::{Store, dawdle};

#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    expect: Option<BlobStat>,
    bytes: BytesMut,
    ended: bool,
}

impl Writer {
    pub(super) fn new(store: Store, expect: Option<BlobStat>) -> Self {
        Self {
            store,
            expect,
            bytes: BytesMut::new(),
            ended: false,
        }
    }

    fn check(&self, found: BlobStat) -> Result<()> {
        let mut expect = self.expect.unwrap_or(found);
        if self.store.broken(Break::writer_checks_lengths_alone) {
            expect.addr = found.addr;
        }
        if self.store.broken(Break::writer_compares_32_bits)
            && expect.len as u32 == found.len as u32
            || self.store.broken(Break::writer_checks_addresses_alone)
        {
            expect.len = found.len;
        }
        if expect == found || self.store.broken(Break::writer_checks_nothing) {
            return Ok(());
        }
        let message = "the bytes written are not what was expected";
        Err(Error::new(ErrorKind::Invalid, message).with("found", found.addr))
    }
}

#[async_trait]
impl BlobWriter for Writer {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if self.store.broken(Break::writer_takes_pieces_back_to_front) {
            self.bytes = BytesMut::from_iter(chunk.iter().chain(&self.bytes));
            return Ok(());
        }
        if self.store.broken(Break::writers_share_a_buffer) {
            self.store.disk.lock().gathered.extend_from_slice(&chunk);
            return Ok(());
        }
        self.ended |= chunk.is_empty() && self.store.broken(Break::writer_ends_at_an_empty_piece);
        if self.ended {
            return Ok(());
        }
        if self.bytes.len() < 32 << 20 || !self.store.broken(Break::writer_ends_at_32_mib) {
            self.bytes.extend_from_slice(&chunk);
        }
        if self.store.broken(Break::writer_stores_as_it_goes) {
            self.store.put_all(&[Blob::new(self.bytes.clone())])?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<BlobStat> {
        if self.store.broken(Break::writers_share_a_buffer) {
            self.bytes = self.store.disk.lock().gathered.split();
        }
        let blob = Blob::new(std::mem::take(&mut self.bytes));
        self.check(blob.stat())?;
        if self.store.broken(Break::counts_streams_before_it_locks) {
            let there = self.store.disk.lock().get(BLOBS, blob.addr()).is_some();
            dawdle();
            let counted = self.store.disk.lock().get(BLOBS, blob.addr()).is_some();
            if !there && counted {
                self.store.disk.lock().blob_usage.blobs += 1;
            }
        }
        self.store.put_all(std::slice::from_ref(&blob))?;
        if self.store.broken(Break::writer_counts_again) {
            self.store.disk.lock().blob_usage.blobs += 1;
        }
        Ok(blob.stat())
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        if self.store.broken(Break::aborted_writer_is_counted) {
            self.store.disk.lock().blob_usage.blobs += 1;
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.bytes.is_empty() && self.store.broken(Break::dropped_writer_stores) {
            let blob = Blob::new(std::mem::take(&mut self.bytes));
            let _ = self.store.put_all(&[blob]);
        }
    }
}
