//! Blobs in memory, served honestly.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use deriva_api::{Blob, BlobStat, ByteRange, Bytes, CAddr};
use deriva_proto::{addr_of, v1};
use tonic::Status;

use super::{Blobs, Sent, all, now, wire};

#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Mutex<BTreeMap<CAddr, Bytes>>>);

impl Store {
    pub(crate) fn of(blobs: &[Blob]) -> Self {
        let store = Self::default();
        blobs.iter().for_each(|blob| store.add(blob));
        store
    }

    fn add(&self, blob: &Blob) {
        let mut blobs = self.0.lock().unwrap();
        blobs.insert(blob.addr(), blob.bytes().clone());
    }

    pub(crate) fn has(&self, addr: CAddr) -> bool {
        self.0.lock().unwrap().contains_key(&addr)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn lacks(&self, addr: &Bytes) -> bool {
        !self.has(addr_of("addr", addr).unwrap())
    }

    /// Its blobs, in frames of this length, and lists of 3.
    pub(crate) fn served(&self, frame: usize) -> Blobs {
        let (get, list, put) = (self.clone(), self.clone(), self.clone());
        let (missing, verify) = (self.clone(), self.clone());
        Blobs {
            get: all(move |asked: v1::GetBlobRequest| get.frames(&asked, frame)),
            list: all(move |asked: v1::ListBlobsRequest| list.pages(&asked)),
            put: Some(Box::new(move |sent| Box::pin(put.clone().taken(sent)))),
            missing: now(move |asked: v1::MissingRequest| {
                let addrs = asked.addrs.into_iter();
                let addrs = addrs.filter(|addr| missing.lacks(addr)).collect();
                Ok(v1::MissingResponse { addrs })
            }),
            verify: now(move |asked: v1::VerifyRequest| {
                let check = |addr: &Bytes| match verify.lacks(addr) {
                    true => v1::BlobCheck::Absent.into(),
                    false => v1::BlobCheck::Read.into(),
                };
                let checks = asked.addrs.iter().map(check).collect();
                Ok(v1::VerifyResponse { checks })
            }),
            flush: now(|_| Ok(v1::FlushBlobsResponse {})),
            ..Blobs::default()
        }
    }

    fn frames(
        &self,
        asked: &v1::GetBlobRequest,
        frame: usize,
    ) -> Vec<Result<v1::GetBlobResponse, Status>> {
        let addr = addr_of("addr", &asked.addr).unwrap();
        let Some(bytes) = self.0.lock().unwrap().get(&addr).cloned() else {
            return vec![Err(Status::not_found("no such blob"))];
        };
        let range = asked.range.map_or(ByteRange::ALL, Into::into);
        let within = range.within(bytes.len() as u64);
        let stat = BlobStat {
            addr,
            len: bytes.len() as u64,
        };
        let bytes = bytes.slice(within.start as usize..within.end as usize);
        let mut frames = vec![Ok(v1::GetBlobResponse {
            stat: Some(stat.into()),
            chunk: Bytes::new(),
        })];
        frames.extend(bytes.chunks(frame).map(|chunk| {
            Ok(v1::GetBlobResponse {
                stat: None,
                chunk: bytes.slice_ref(chunk),
            })
        }));
        frames
    }

    fn pages(&self, asked: &v1::ListBlobsRequest) -> Vec<Result<v1::ListBlobsResponse, Status>> {
        let after = asked.after.as_ref();
        let after = after.map(|after| addr_of("after", after).unwrap());
        let blobs = self.0.lock().unwrap();
        let stats = blobs.iter().filter(|(addr, _)| Some(**addr) > after);
        let stats: Vec<_> = stats
            .map(|(addr, bytes)| v1::BlobStat {
                addr: wire(*addr),
                len: bytes.len() as u64,
            })
            .collect();
        let pages = stats.chunks(3).map(<[_]>::to_vec);
        pages
            .map(|blobs| Ok(v1::ListBlobsResponse { blobs }))
            .collect()
    }

    async fn taken(self, mut sent: Sent) -> Result<v1::PutResponse, Status> {
        let mut done = v1::PutResponse::default();
        let mut open: Option<Vec<u8>> = None;
        while let Some(frame) = sent.message().await? {
            assert_eq!(frame.begin.is_some(), open.is_none(), "begin comes first");
            let bytes = open.get_or_insert_default();
            bytes.extend_from_slice(&frame.chunk);
            if frame.end {
                let blob = Blob::new(open.take().unwrap_or_default());
                self.add(&blob);
                done.blobs.push(blob.stat().into());
            }
        }
        match open {
            None => Ok(done),
            Some(_) => Err(Status::invalid_argument("a blob without an end")),
        }
    }
}
