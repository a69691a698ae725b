//! Bytes of what was asked for: with the answer, apart, and piece by piece.

use deriva_api::{Blob, BlobStat, ErrorKind, Materializer, Request, StoreResults};
use deriva_proto::v1;
use deriva_proto::v1::run_response::Said;
use deriva_proto::v1::target_result::Result as Target;

use crate::fake::{Blobs, Fake, Store, all};
use crate::run::{addr, answering, bytes, copy, fake, part, said, stat};

#[tokio::test]
async fn bytes_that_no_store_has_come_with_the_answer() {
    let (one, two) = (Blob::new("one"), Blob::new(""));
    let responses = vec![
        part(vec![stat(&one), stat(&two), stat(&one)], true),
        bytes(0, "o", false),
        bytes(0, "ne", true),
        bytes(1, "", true),
    ];
    let served = answering(responses).serve().await;
    let client = served.client().await;
    let targets = [addr("1"), addr("2"), addr("3")];
    let request = Request::new(targets).store_results(StoreResults::None);
    let done = Materializer::materialize(&client, request).await.unwrap();
    // The same bytes need not be sent twice.
    assert_eq!(done.held, [Some(one.clone()), Some(two), Some(one)]);
    let all = client.materialize_many(targets).all_bytes().await.unwrap();
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all, ["one", "", "one"]);
    let error = client.materialize_many(targets).bytes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn bytes_that_are_gotten_are_verified_and_fetched_where_they_do_not_come() {
    let made = Blob::new("made");
    let ends = part(vec![stat(&made)], true);
    for (what, responses, expected) in [
        (
            "right",
            vec![copy(&ends), bytes(0, "made", true)],
            Ok("made"),
        ),
        (
            "wrong",
            vec![copy(&ends), bytes(0, "mode", true)],
            Err(ErrorKind::Corrupt),
        ),
        (
            "short",
            vec![copy(&ends), bytes(0, "mad", true)],
            Err(ErrorKind::Corrupt),
        ),
        (
            "long",
            vec![copy(&ends), bytes(0, "made!", true)],
            Err(ErrorKind::Corrupt),
        ),
        (
            "no end",
            vec![copy(&ends), bytes(0, "made", false)],
            Err(ErrorKind::Internal),
        ),
        (
            "of nobody",
            vec![copy(&ends), bytes(1, "made", true)],
            Err(ErrorKind::Internal),
        ),
        (
            "twice",
            vec![copy(&ends), bytes(0, "made", true), bytes(0, "made", true)],
            Err(ErrorKind::Internal),
        ),
        (
            "too early",
            vec![bytes(0, "made", true), copy(&ends)],
            Err(ErrorKind::Internal),
        ),
        // It is stored there.
        ("apart", vec![copy(&ends)], Ok("made")),
    ] {
        let blobs = Store::of(std::slice::from_ref(&made)).served(100);
        let served = Fake {
            blobs,
            ..answering(responses)
        }
        .serve()
        .await;
        let client = served.client().await;
        let got = Materializer::get(&client, addr("recipe")).await;
        match expected {
            Ok(text) => assert_eq!(got.unwrap(), text, "{what}"),
            Err(kind) => assert_eq!(got.unwrap_err().kind(), kind, "{what}"),
        }
    }
}

#[tokio::test]
async fn a_reader_gives_what_is_stored_or_was_just_made_and_ends_only_where_it_is_right() {
    let text: String = "0123456789".repeat(100);
    let made = Blob::new(text.clone());
    let (whole, empty) = (made.clone(), Blob::new(""));
    for (blob, stored) in [
        (&made, true),
        (&made, false),
        (&empty, true),
        (&empty, false),
    ] {
        let store = match stored {
            true => Store::of(std::slice::from_ref(blob)),
            false => Store::default(),
        };
        let sent = blob.clone();
        let run = all(move |_| {
            let frame = v1::RunBytes {
                target: 0,
                chunk: sent.bytes().clone(),
                end: true,
            };
            vec![part(vec![stat(&sent)], true), said(Said::Bytes(frame))]
        });
        let run = match stored {
            true => {
                answering(vec![part(vec![stat(blob)], true)])
                    .materialize
                    .run
            }
            // Only where bytes are asked for.
            false => {
                let (with, made) = (run.unwrap(), blob.clone());
                Some(Box::new(
                    move |asked: v1::RunRequest| match asked.wanted.unwrap().bytes {
                        true => with(asked),
                        false => {
                            let only = vec![part(vec![stat(&made)], true)];
                            let only = futures::stream::iter(only);
                            Box::pin(std::future::ready(Ok(Box::pin(only) as _)))
                        }
                    },
                ) as _)
            }
        };
        let mut fake = fake(run);
        fake.materialize.lease = all(|_| vec![Ok(v1::LeaseResponse {})]);
        let served = Fake {
            blobs: store.served(64),
            ..fake
        }
        .serve()
        .await;
        let client = served.client().await;
        let mut reader = client.open(addr("recipe")).await.unwrap();
        assert_eq!(reader.stat(), blob.stat());
        let mut read = Vec::new();
        while let Some(chunk) = reader.next_chunk().await.unwrap() {
            read.extend_from_slice(&chunk);
        }
        assert_eq!(read, **blob.bytes());
        assert_eq!(reader.next_chunk().await.unwrap(), None);
    }

    let get = all(move |_| {
        let mut wrong = text.clone().into_bytes();
        wrong[7] ^= 1;
        let frame = |chunk: &[u8]| v1::GetBlobResponse {
            stat: Some(whole.stat().into()),
            chunk: deriva_api::Bytes::copy_from_slice(chunk),
        };
        wrong.chunks(300).map(|chunk| Ok(frame(chunk))).collect()
    });
    let mut fake = answering(vec![part(vec![stat(&made)], true)]);
    fake.blobs = Blobs {
        get,
        ..Blobs::default()
    };
    fake.materialize.lease = all(|_| vec![Ok(v1::LeaseResponse {})]);
    let served = fake.serve().await;
    let client = served.client().await;
    let mut reader = client.open(addr("recipe")).await.unwrap();
    let mut given = 0;
    let error = loop {
        match reader.next_chunk().await {
            Ok(chunk) => given += chunk.unwrap().len(),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), given), (ErrorKind::Corrupt, 900));
}

#[tokio::test]
async fn a_length_that_a_store_does_not_have_is_told_on_opening() {
    let (made, other) = (Blob::new("made"), addr("made"));
    let result = v1::TargetResult {
        result: Some(Target::Stat(
            BlobStat {
                addr: other,
                len: 5,
            }
            .into(),
        )),
    };
    let mut fake = answering(vec![part(vec![result], true)]);
    fake.blobs = Store::of(&[made]).served(10);
    fake.materialize.lease = all(|_| vec![Ok(v1::LeaseResponse {})]);
    let served = fake.serve().await;
    let client = served.client().await;
    let error = client.open(addr("recipe")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:#}");
    assert!(client.blobs().get(other).await.unwrap().is_some());
}
