//! Reading bytes piece by piece.

use deriva_api::{
    Blob, BlobHasher, BlobStat, ByteRange, Bytes, CAddr, Error, ErrorKind, Materialized, Request,
    Result,
};

use crate::answers::damaged;
use crate::blobs::get::{Place, removed};
use crate::client::Client;
use crate::materialize::lease::Lease;

impl Client {
    /// Makes the bytes of an address available there, and opens them for reading piece by piece. They are kept from collection until the
    /// reader is dropped. Who may only read there reads what is stored, and keeps nothing from collection.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn open(&self, addr: CAddr) -> Result<BlobReader> {
        match self.open_made(addr).await {
            Err(failed) => self.open_stored(addr, failed).await,
            opened => opened,
        }
    }

    /// Opens what is there, where the call that failed was refused for want of a role.
    async fn open_stored(&self, addr: CAddr, failed: Error) -> Result<BlobReader> {
        let blob = self.stored_under(addr, failed).await?;
        let mut place = Place::new(blob, ByteRange::ALL);
        let first = place.next(self.link(), "open").await?;
        let stat = place.stat().ok_or_else(|| removed(blob).during("open"))?;
        Ok(BlobReader::new(self, stat, first, place))
    }

    async fn open_made(&self, addr: CAddr) -> Result<BlobReader> {
        let lease = self.lease(&[addr]).await?;
        let mut done = self.run(&Request::new([addr]), false).await?;
        let held = done.held.pop().flatten();
        let stat = only(done)?;
        let mut reader = match held {
            Some(held) => BlobReader::held(self, held),
            None => self.opened(addr, stat).await?,
        };
        if let Some(found) = reader.place.stat().filter(|found| *found != reader.stat) {
            let what = "a blob has another length than the result of the request";
            let error = damaged(what, stat.addr).with("expected", stat.len);
            return Err(error.with("found", found.len).during("open"));
        }
        reader.lease = Some(lease);
        Ok(reader)
    }

    /// What a result says that is there.
    async fn opened(&self, addr: CAddr, stat: BlobStat) -> Result<BlobReader> {
        let mut place = Place::new(stat.addr, ByteRange::ALL);
        match place.next(self.link(), "open").await {
            Ok(first) if place.stat().is_some() => Ok(BlobReader::new(self, stat, first, place)),
            // It is not there any more, or not as it should be: then it comes with the answer.
            Ok(_) => self.sent_whole(addr).await,
            Err(error) if error.kind() == ErrorKind::Corrupt => self.sent_whole(addr).await,
            Err(error) => Err(error),
        }
    }

    /// All bytes at once, as a reader.
    async fn sent_whole(&self, addr: CAddr) -> Result<BlobReader> {
        let mut done = self.run(&Request::new([addr]), true).await?;
        let held = done.held.pop().flatten();
        let stat = only(done)?;
        let held = held.ok_or_else(|| removed(stat.addr).during("open"))?;
        Ok(BlobReader::held(self, held))
    }
}

fn only(done: Materialized) -> Result<BlobStat> {
    let none = || {
        Err(Error::new(
            ErrorKind::Internal,
            "no result came of a request",
        ))
    };
    done.results.into_iter().next().unwrap_or_else(none)
}

/// Reads the bytes of an address in the pieces in which they come; see [`Client::open`]. Where the connection breaks they go on after
/// the last piece. The last one is given out only where all of them together are right: who has come to the end has seen no wrong byte.
#[derive(Debug)]
pub struct BlobReader {
    client: Client,
    stat: BlobStat,
    first: Option<Bytes>,
    place: Place,
    hasher: BlobHasher,
    /// Keeps the blob from collection while it is read.
    lease: Option<Lease>,
}

impl BlobReader {
    fn new(client: &Client, stat: BlobStat, first: Option<Bytes>, place: Place) -> Self {
        Self {
            client: client.clone(),
            stat,
            first,
            place,
            hasher: BlobHasher::new(),
            lease: None,
        }
    }

    /// Of what has come already.
    fn held(client: &Client, held: Blob) -> Self {
        let stat = held.stat();
        let first = Some(held.into_bytes()).filter(|bytes| !bytes.is_empty());
        let mut place = Place::new(stat.addr, ByteRange::ALL);
        place.end();
        Self::new(client, stat, first, place)
    }

    /// Address and length of the bytes.
    #[must_use]
    pub fn stat(&self) -> BlobStat {
        self.stat
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are not what they should be, `NotFound` where they were removed meanwhile.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        let link = self.client.link();
        let chunk = match self.first.take() {
            Some(first) => Some(first),
            None => self.place.next(link, "next_chunk").await?,
        };
        if let Some(chunk) = &chunk {
            self.hasher.update(chunk);
        }
        let is_last = self.hasher.len() >= self.stat.len || chunk.is_none();
        if is_last && self.hasher.finish() != self.stat {
            let what = "bytes came that do not hash to their address";
            let error = damaged(what, self.stat.addr).with("found", self.hasher.finish().addr);
            return Err(error.with("server", &link.server).during("next_chunk"));
        }
        Ok(chunk)
    }
}
