//! Blobs to a server.

use deriva_api::{Blob, BlobStore, ErrorKind};
use deriva_proto::v1;
use futures::future::BoxFuture;
use tonic::Status;

use crate::fake::{Answer, Blobs, Fake, Sent, Store, away, counting, now, wire};

fn blobs(count: usize, len: usize) -> Vec<Blob> {
    let bytes = |n: usize| (0..len).map(|at| (at * 7 + n) as u8).collect::<Vec<_>>();
    let mut blobs: Vec<Blob> = (0..count).map(|n| Blob::new(bytes(n))).collect();
    blobs.dedup_by_key(|blob| blob.addr());
    blobs
}

fn fake(blobs: Blobs) -> Fake {
    Fake {
        blobs,
        ..Fake::default()
    }
}

#[tokio::test]
async fn blobs_arrive_as_they_are_and_few_bytes_are_not_asked_about() {
    let store = Store::default();
    let served = fake(store.served(1000)).serve().await;
    let client = served.client().await;
    let mut small = blobs(50, 300);
    small.push(Blob::new(""));
    BlobStore::put(&client, &small).await.unwrap();
    assert!(small.iter().all(|blob| store.has(blob.addr())));
    client.put_many(&small).await.unwrap();
    let calls = ["put", "missing", "verify"].map(|method| served.calls(method));
    assert_eq!(calls, [2, 0, 0]);
    assert_eq!(client.put("text").await.unwrap(), Blob::new("text").addr());
    assert!(store.has(Blob::new("text").addr()));
    BlobStore::put(&client, &[]).await.unwrap();
    assert_eq!(served.calls("put"), 3);
}

#[tokio::test]
async fn where_there_is_much_only_what_is_missing_is_sent() {
    let large = blobs(3, 900_000);
    let store = Store::of(&large[..2]);
    let served = fake(store.served(1000)).serve().await;
    let client = served.client().await;
    BlobStore::put(&client, &large).await.unwrap();
    assert_eq!(
        (store.len(), served.calls("missing"), served.calls("put")),
        (3, 1, 1)
    );
    assert_eq!(served.calls("flush"), 1, "what was there is made durable");
    BlobStore::put(&client, &large).await.unwrap();
    assert_eq!((served.calls("missing"), served.calls("put")), (2, 1));
    // The handle's calls have the server look at the bytes.
    client.put_many(&large).await.unwrap();
    client.put_missing(&blobs(2, 10)).await.unwrap();
    assert_eq!((served.calls("verify"), served.calls("put")), (2, 2));
    assert_eq!(store.len(), 5);
    let asked = [large[0].addr(), Blob::new("no").addr()];
    let found = client.verify_blobs(&asked).await.unwrap();
    assert_eq!(found, [true, false]);
}

fn put(
    answer: impl Fn(Vec<v1::PutRequest>) -> Result<v1::PutResponse, Status> + Send + Sync + 'static,
) -> Blobs {
    let answer = std::sync::Arc::new(answer);
    let put = move |mut sent: Sent| -> Answer<v1::PutResponse> {
        let answer = answer.clone();
        let taken: BoxFuture<'static, _> = Box::pin(async move {
            let mut frames = Vec::new();
            while let Some(frame) = sent.message().await? {
                frames.push(frame);
            }
            answer(frames)
        });
        taken
    };
    Blobs {
        put: Some(Box::new(put)),
        ..Blobs::default()
    }
}

#[tokio::test]
async fn what_the_server_says_that_it_stored_is_compared() {
    let sent = blobs(2, 10);
    let right: Vec<v1::BlobStat> = sent.iter().map(|blob| blob.stat().into()).collect();
    let mut longer = right.clone();
    longer[1].len = 11;
    let swapped = vec![right[1].clone(), right[0].clone()];
    for (answer, kind) in [
        (right.clone(), None),
        (right[..1].to_vec(), Some(ErrorKind::Internal)),
        (
            [right.clone(), right.clone()].concat(),
            Some(ErrorKind::Internal),
        ),
        (swapped, Some(ErrorKind::Corrupt)),
        (longer, Some(ErrorKind::Corrupt)),
    ] {
        let blobs = answer.clone();
        let served = fake(put(move |_| {
            Ok(v1::PutResponse {
                blobs: blobs.clone(),
            })
        }));
        let served = served.serve().await;
        let client = served.client().await;
        let put = BlobStore::put(&client, &sent).await;
        assert_eq!(put.map_err(|error| error.kind()).err(), kind, "{answer:?}");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_is_made_again_with_what_is_missing() {
    let sent = blobs(4, 1000);
    let arrived = Store::of(&sent[..3]);
    let calls = counting();
    let last = sent[3].stat();
    let blobs = Blobs {
        missing: arrived.served(1000).missing,
        flush: now(|_| Ok(v1::FlushBlobsResponse {})),
        ..put(move |frames| match calls() {
            0 => Err(away()),
            _ => {
                let begin = frames[0].begin.clone().unwrap();
                assert_eq!((frames.len(), begin.expect), (1, Some(last.into())));
                Ok(v1::PutResponse {
                    blobs: vec![last.into()],
                })
            }
        })
    };
    let served = fake(blobs).serve().await;
    let client = served.client().await;
    BlobStore::put(&client, &sent).await.unwrap();
    let calls = ["put", "missing", "flush"].map(|method| served.calls(method));
    assert_eq!(calls, [2, 1, 1]);
}

#[tokio::test]
async fn missing_is_some_of_what_was_asked_for() {
    let sent = blobs(2, 700_000);
    let (first, second) = (wire(sent[0].addr()), wire(sent[1].addr()));
    for answer in [
        vec![wire(Blob::new("other").addr())],
        vec![second.clone(), first.clone()],
        vec![first.clone(), first.clone()],
        vec!["short".into()],
    ] {
        let said = answer.clone();
        let missing = now(move |_| {
            Ok(v1::MissingResponse {
                addrs: said.clone(),
            })
        });
        let served = fake(Blobs {
            missing,
            ..Blobs::default()
        })
        .serve()
        .await;
        let client = served.client().await;
        let error = BlobStore::put(&client, &sent).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{answer:?}");
        assert_eq!(served.calls("put"), 0);
    }
}
