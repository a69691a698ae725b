//! Bytes from a server, which are not believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use deriva_api::{Blob, BlobCheck, BlobStore, ByteRange, Bytes, CAddr, ErrorKind, Evidence};
use deriva_proto::v1;
use tonic::Status;

use crate::fake::{Blobs, Fake, Store, all, away, now};

fn some_bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

fn fake(blobs: Blobs) -> Fake {
    Fake {
        blobs,
        ..Fake::default()
    }
}

/// The first frame of a blob, with bytes.
fn first(blob: &Blob, chunk: impl Into<Bytes>) -> Result<v1::GetBlobResponse, Status> {
    Ok(v1::GetBlobResponse {
        stat: Some(blob.stat().into()),
        chunk: chunk.into(),
    })
}

fn further(chunk: impl Into<Bytes>) -> Result<v1::GetBlobResponse, Status> {
    Ok(v1::GetBlobResponse {
        stat: None,
        chunk: chunk.into(),
    })
}

#[tokio::test]
async fn blobs_and_ranges_come_whole_whatever_their_frames() {
    let blobs: Vec<Blob> = [0, 1, 1000, 3000].map(some_bytes).map(Blob::new).into();
    for frame in [1, 999, 1000, 5000] {
        let served = fake(Store::of(&blobs).served(frame)).serve().await;
        let client = served.client().await;
        for blob in &blobs {
            let got = BlobStore::get(&client, blob.addr()).await.unwrap();
            assert_eq!(got.as_ref(), Some(blob));
            for range in [
                ByteRange::ALL,
                ByteRange::new(1, 998),
                ByteRange::new(2999, 7),
                ByteRange::new(1, u64::MAX),
                ByteRange::new(9999, 1),
                ByteRange::new(5, 0),
            ] {
                let got = client.get_range(blob.addr(), range).await.unwrap().unwrap();
                let within = range.within(blob.len());
                let expected = &blob.bytes()[within.start as usize..within.end as usize];
                assert_eq!(got, expected, "{range:?} in frames of {frame}");
            }
        }
        let absent = Blob::new("absent").addr();
        let mut asked: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
        asked.extend([absent, asked[1]]);
        let got = BlobStore::get_many(&client, &asked).await.unwrap();
        let got: Vec<_> = got.into_iter().map(|it| it.map(|it| it.addr())).collect();
        let mut expected: Vec<_> = asked.iter().copied().map(Some).collect();
        expected[4] = None;
        assert_eq!(got, expected);
        let none = client.get_range(absent, ByteRange::ALL).await.unwrap();
        assert_eq!(none, None);
    }
}

#[tokio::test]
async fn wrong_bytes_are_corrupt_and_never_given_out() {
    let blob = Blob::new("right bytes");
    let longer = Blob::new("right bytes, and more");
    let (a, b) = (blob.clone(), longer.clone());
    for (what, frames, kind) in [
        (
            "other bytes",
            vec![first(&a, "wrong bytes")],
            ErrorKind::Corrupt,
        ),
        ("too few", vec![first(&a, "right")], ErrorKind::Corrupt),
        (
            "too many",
            vec![first(&a, "right bytes!")],
            ErrorKind::Corrupt,
        ),
        (
            "too many later",
            vec![first(&a, "right bytes"), further("!")],
            ErrorKind::Corrupt,
        ),
        (
            "another blob",
            vec![first(&b, "right bytes, and more")],
            ErrorKind::Internal,
        ),
        (
            "no length",
            vec![further("right bytes")],
            ErrorKind::Internal,
        ),
        ("nothing", vec![], ErrorKind::Internal),
        (
            "a lie about the length",
            vec![Ok(v1::GetBlobResponse {
                stat: Some(v1::BlobStat {
                    addr: deriva_proto::bytes_of(a.addr()),
                    len: u64::MAX,
                }),
                chunk: "right bytes".into(),
            })],
            ErrorKind::Corrupt,
        ),
        (
            "no address",
            vec![Ok(v1::GetBlobResponse {
                stat: Some(v1::BlobStat {
                    addr: "short".into(),
                    len: 11,
                }),
                chunk: "right bytes".into(),
            })],
            ErrorKind::Internal,
        ),
    ] {
        let get = all(move |_| {
            frames
                .iter()
                .map(|it| Ok(it.as_ref().unwrap().clone()))
                .collect()
        });
        let served = fake(Blobs {
            get,
            ..Blobs::default()
        })
        .serve()
        .await;
        let client = served.client().await;
        let error = BlobStore::get(&client, blob.addr()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error:#}");
        assert_eq!(error.operation(), Some("get"));
        assert_eq!(served.calls("get"), 1, "{what} is not asked for again");
    }
}

#[tokio::test]
async fn a_blob_goes_on_where_it_broke_off() {
    let bytes = some_bytes(10_000);
    let blob = Blob::new(bytes.clone());
    let asked_from = Arc::new(AtomicUsize::new(0));
    let (stat, from) = (blob.stat(), Arc::clone(&asked_from));
    // A thousand bytes at a time, then it breaks.
    let get = all(move |asked: v1::GetBlobRequest| {
        let range = asked.range.map_or(ByteRange::ALL, Into::into);
        from.store(range.offset as usize, SeqCst);
        let within = range.within(10_000);
        let end = (within.start + 1000).min(within.end);
        let chunk = &bytes[within.start as usize..end as usize];
        let frame = v1::GetBlobResponse {
            stat: Some(stat.into()),
            chunk: Bytes::copy_from_slice(chunk),
        };
        match end == within.end {
            true => vec![Ok(frame)],
            false => vec![Ok(frame), Err(away())],
        }
    });
    let served = fake(Blobs {
        get,
        ..Blobs::default()
    })
    .serve()
    .await;
    // Two attempts for each piece are enough for ten pieces.
    let client = served.builder().attempts(2).connect().await.unwrap();
    let got = BlobStore::get(&client, blob.addr()).await.unwrap();
    assert_eq!(got, Some(blob.clone()));
    assert_eq!((served.calls("get"), asked_from.load(SeqCst)), (10, 9000));
    let part = client.get_range(blob.addr(), ByteRange::new(500, 3000));
    assert_eq!(part.await.unwrap().unwrap(), blob.bytes().slice(500..3500));
    let counted = BlobStore::counters(&client).retries.unwrap();
    assert_eq!((counted.again.get(), counted.spent.get()), (9 + 2, 0));
}

#[tokio::test]
async fn a_blob_that_changes_between_two_attempts_is_corrupt() {
    let blob = Blob::new(some_bytes(100));
    let addr = blob.addr();
    let get = all(move |asked: v1::GetBlobRequest| {
        let len = 100 + u64::from(asked.range.is_some());
        let stat = deriva_api::BlobStat { addr, len };
        let frame = v1::GetBlobResponse {
            stat: Some(stat.into()),
            chunk: Bytes::from_static(b"abc"),
        };
        vec![Ok(frame), Err(away())]
    });
    let served = fake(Blobs {
        get,
        ..Blobs::default()
    })
    .serve()
    .await;
    let client = served.client().await;
    let error = BlobStore::get(&client, addr).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.context("found"), Some("101"));
}

#[tokio::test]
async fn as_many_answers_as_questions() {
    let addrs: Vec<CAddr> = (0..3u8).map(|n| CAddr::of_blob(&[n])).collect();
    for answers in [2, 4] {
        let blobs = Blobs {
            stat: now(move |_| {
                let stats = vec![v1::MaybeStat { len: Some(1) }; answers];
                Ok(v1::StatResponse { stats })
            }),
            verify: now(move |_| {
                let checks = vec![v1::BlobCheck::Read.into(); answers];
                Ok(v1::VerifyResponse { checks })
            }),
            ..Blobs::default()
        };
        let served = fake(blobs).serve().await;
        let client = served.client().await;
        for error in [
            client.stat(&addrs).await.unwrap_err(),
            client.verify(&addrs).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert_eq!(error.context("expected"), Some("3 answers"), "{error:#}");
            assert_eq!(error.context("found"), Some(&*answers.to_string()));
        }
    }
}

#[tokio::test]
async fn a_check_that_is_not_known_is_no_answer() {
    let verify = now(|_| Ok(v1::VerifyResponse { checks: vec![77] }));
    let served = fake(Blobs {
        verify,
        ..Blobs::default()
    })
    .serve()
    .await;
    let client = served.client().await;
    let error = client.verify(&[CAddr::of_blob(b"x")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error:#}");
}

#[tokio::test]
async fn many_addresses_go_in_several_calls() {
    let addrs: Vec<CAddr> = (0..10_000u32)
        .map(|n| CAddr::of_blob(&n.to_le_bytes()))
        .collect();
    let blobs = Blobs {
        stat: now(|asked: v1::StatRequest| {
            assert!(asked.addrs.len() <= 4096);
            let even = |addr: &Bytes| v1::MaybeStat {
                len: addr[0].is_multiple_of(2).then_some(addr[0].into()),
            };
            let stats = asked.addrs.iter().map(even).collect();
            Ok(v1::StatResponse { stats })
        }),
        verify: now(|asked: v1::VerifyRequest| {
            let check = |addr: &Bytes| match addr[0] % 2 {
                0 => v1::BlobCheck::Remembered.into(),
                _ => v1::BlobCheck::Absent.into(),
            };
            let checks = asked.addrs.iter().map(check).collect();
            Ok(v1::VerifyResponse { checks })
        }),
        remove: now(|asked: v1::RemoveBlobsRequest| {
            assert!(asked.addrs.len() <= 4096);
            Ok(v1::RemoveBlobsResponse {})
        }),
        ..Blobs::default()
    };
    let served = fake(blobs).serve().await;
    let client = served.client().await;
    let stats = client.stat(&addrs).await.unwrap();
    let checks = client.verify(&addrs).await.unwrap();
    assert_eq!((stats.len(), checks.len()), (10_000, 10_000));
    for ((addr, stat), check) in addrs.iter().zip(stats).zip(checks) {
        let first = addr.as_bytes()[0];
        assert_eq!(
            stat.map(|stat| stat.len),
            (first % 2 == 0).then_some(first.into())
        );
        assert!(stat.is_none_or(|stat| stat.addr == *addr));
        let expected = match first % 2 {
            0 => BlobCheck::Right(Evidence::Remembered),
            _ => BlobCheck::Absent,
        };
        assert_eq!(check, expected);
    }
    BlobStore::remove(&client, &addrs).await.unwrap();
    assert_eq!((served.calls("stat"), served.calls("remove")), (3, 3));
}
