//! Blobs in frames, and frames that are wrong.

use deriva::Blob;
use deriva_proto::{bytes_of, error_of, v1};
use deriva_server::Server;
use futures::stream;
use tonic::{Code, Status};

use super::common::{Running, deriva, serve};

fn begin(expect: Option<(&Blob, u64)>, chunk: &[u8], end: bool) -> v1::PutRequest {
    let expect = expect.map(|(blob, len)| v1::BlobStat {
        addr: bytes_of(blob.addr()),
        len,
    });
    v1::PutRequest {
        begin: Some(v1::PutBegin { expect }),
        chunk: chunk.to_vec().into(),
        end,
    }
}

fn more(chunk: &[u8], end: bool) -> v1::PutRequest {
    v1::PutRequest {
        begin: None,
        chunk: chunk.to_vec().into(),
        end,
    }
}

async fn put(running: &Running, frames: Vec<v1::PutRequest>) -> Result<v1::PutResponse, Status> {
    let answer = running.blobs().await.put(stream::iter(frames)).await;
    answer.map(tonic::Response::into_inner)
}

async fn get(
    running: &Running,
    addr: deriva::CAddr,
    range: Option<(u64, u64)>,
) -> Result<Vec<u8>, Status> {
    let asked = v1::GetBlobRequest {
        addr: bytes_of(addr),
        range: range.map(|(offset, len)| v1::ByteRange {
            offset,
            len: Some(len),
        }),
    };
    let mut frames = running.blobs().await.get(asked).await?.into_inner();
    let mut bytes = Vec::new();
    let mut stat = None;
    while let Some(frame) = frames.message().await? {
        assert_eq!(frame.stat.is_some(), stat.is_none());
        stat = stat.or(frame.stat);
        bytes.extend_from_slice(&frame.chunk);
    }
    assert!(stat.is_some());
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn small_and_large_blobs_of_one_stream_come_back() {
    let running = serve(Server::new(deriva().await)).await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let blobs = [Blob::new("hello"), Blob::new(""), Blob::new(large.clone())];
    let mut frames = vec![
        begin(Some((&blobs[0], 5)), b"hel", false),
        more(b"lo", true),
        begin(None, b"", true),
        begin(Some((&blobs[2], 3_000_000)), &large[..1_000_000], false),
    ];
    frames.extend(
        large[1_000_000..]
            .chunks(500_000)
            .map(|chunk| more(chunk, false)),
    );
    frames.push(more(b"", true));
    let answer = put(&running, frames).await.unwrap();
    let addrs: Vec<_> = answer.blobs.iter().map(|stat| stat.addr.clone()).collect();
    assert_eq!(
        addrs,
        blobs
            .iter()
            .map(|blob| bytes_of(blob.addr()))
            .collect::<Vec<_>>()
    );
    for blob in &blobs {
        assert_eq!(
            get(&running, blob.addr(), None).await.unwrap(),
            **blob.bytes()
        );
    }
    let part = get(&running, blobs[2].addr(), Some((999_990, 1_000_000)))
        .await
        .unwrap();
    assert_eq!(part, large[999_990..1_999_990]);
    let beyond = get(&running, blobs[0].addr(), Some((3, 100)))
        .await
        .unwrap();
    assert_eq!(beyond, b"lo");
    assert_eq!(
        get(&running, blobs[0].addr(), Some((9, 1))).await.unwrap(),
        b""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_stated_so_and_frames_out_of_order_store_nothing() {
    let running = serve(Server::new(deriva().await)).await;
    let hello = Blob::new("hello");
    let other = Blob::new("other");
    let large = Blob::new(vec![7; 2 << 20]);
    let half = &large.bytes()[..1 << 20];
    for (what, frames) in [
        (
            "other bytes",
            vec![begin(Some((&other, 5)), b"hello", true)],
        ),
        ("fewer bytes", vec![begin(Some((&hello, 5)), b"hell", true)]),
        (
            "more bytes",
            vec![begin(Some((&hello, 5)), b"hello!", true)],
        ),
        (
            "a lie about the length",
            vec![begin(Some((&hello, 4)), b"hello", true)],
        ),
        ("no beginning", vec![more(b"hello", true)]),
        ("no end", vec![begin(None, b"hello", false)]),
        (
            "a beginning within",
            vec![begin(None, b"he", false), begin(None, b"llo", true)],
        ),
        (
            "an end after the end",
            vec![begin(None, b"hello", true), more(b"", true)],
        ),
        (
            "other bytes of a large one",
            vec![
                begin(Some((&other, 2 << 20)), half, false),
                more(half, true),
            ],
        ),
    ] {
        let status = put(&running, frames).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
        let error = error_of(status);
        assert!(!error.message().is_empty(), "{what}");
    }
    for blob in [&other, &large] {
        let status = get(&running, blob.addr(), None).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_none_are_refused() {
    let running = serve(Server::new(deriva().await)).await;
    for addr in [&b""[..], b"short", &[0; 33]] {
        let addr = addr.to_vec();
        let asked = v1::GetBlobRequest {
            addr: addr.clone().into(),
            range: None,
        };
        let status = running.blobs().await.get(asked).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let asked = v1::StatRequest {
            addrs: vec![addr.into()],
        };
        let status = running.blobs().await.stat(asked).await.unwrap_err();
        assert_eq!(error_of(status).context("field"), Some("StatRequest.addrs"));
    }
}
