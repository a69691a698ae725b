//! A blob that comes piece by piece.

use std::time::Duration;

use deriva_api::{Blob, BlobStore, Bytes, ErrorKind};
use deriva_proto::v1;

use crate::fake::{Answer, Blobs, Fake, Sent, Store, away, until};

const PIECE: usize = 300_000;

fn fake(blobs: Blobs) -> Fake {
    Fake {
        blobs,
        ..Fake::default()
    }
}

#[tokio::test]
async fn a_blob_arrives_whatever_its_pieces() {
    let bytes: Vec<u8> = (0..2_500_000).map(|n| (n % 253) as u8).collect();
    let blob = Blob::new(bytes.clone());
    for (expect, piece) in [(None, 1000), (Some(blob.stat()), PIECE), (None, 2_000_000)] {
        let store = Store::default();
        let served = fake(store.served(1000)).serve().await;
        let client = served.client().await;
        let mut writer = client.writer(expect).await.unwrap();
        for chunk in bytes.chunks(piece) {
            writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap(), blob.stat());
        assert!(store.has(blob.addr()), "{piece}");
    }
    let store = Store::default();
    let served = fake(store.served(1000)).serve().await;
    let client = served.client().await;
    let empty = client.writer(None).await.unwrap().finish().await.unwrap();
    assert_eq!((empty, store.len()), (Blob::new("").stat(), 1));
    assert_eq!(client.put_reader(&bytes[..]).await.unwrap(), blob.stat());
    assert!(store.has(blob.addr()));
}

#[tokio::test]
async fn what_is_given_up_is_not_stored() {
    let store = Store::default();
    let served = fake(store.served(1000)).serve().await;
    let client = served.client().await;
    let other = Blob::new("announced").stat();
    let mut writer = client.writer(Some(other)).await.unwrap();
    writer
        .write(Bytes::from_static(b"something else"))
        .await
        .unwrap();
    until("the upload has begun", || served.calls("put") == 1).await;
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.context("expected").is_some());
    for (begun, aborts) in [(2, true), (3, false)] {
        let mut writer = client.writer(None).await.unwrap();
        writer.write(vec![1; 2 * PIECE].into()).await.unwrap();
        until("the upload has begun", || served.calls("put") == begun).await;
        match aborts {
            true => writer.abort().await.unwrap(),
            false => drop(writer),
        }
    }
    // By the time that what comes later is answered, the server has heard of the rest.
    client.put("kept").await.unwrap();
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn a_call_that_ends_early_ends_the_writer_with_its_error() {
    let put = |_: Sent| -> Answer<v1::PutResponse> {
        let full = deriva_api::Error::new(ErrorKind::Full, "the quota is used up");
        Box::pin(async move { Err(deriva_proto::status_of(&full)) })
    };
    let put = Some(Box::new(put) as Box<_>);
    let served = fake(Blobs {
        put,
        ..Blobs::default()
    })
    .serve()
    .await;
    let client = served.client().await;
    let mut writer = client.writer(None).await.unwrap();
    let error = loop {
        if let Err(error) = writer.write(vec![0; PIECE].into()).await {
            break error;
        }
    };
    assert_eq!(error.to_string(), "full: the quota is used up");
    assert!(writer.finish().await.is_err());
    assert_eq!(served.calls("put"), 1);
}

#[tokio::test]
async fn a_writer_whose_connection_breaks_says_that_nothing_was_stored() {
    let put = |mut sent: Sent| -> Answer<v1::PutResponse> {
        Box::pin(async move {
            while let Some(frame) = sent.message().await? {
                if frame.end {
                    return Err(away());
                }
            }
            Err(away())
        })
    };
    let put = Some(Box::new(put) as Box<_>);
    let served = fake(Blobs {
        put,
        ..Blobs::default()
    })
    .serve()
    .await;
    let client = served.client().await;
    let error = client.put_reader(&[1u8; 10][..]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        served.calls("put"),
        1,
        "what was sent is not there any more"
    );
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_given_up_and_little_is_held_until_then() {
    let put = |sent: Sent| -> Answer<v1::PutResponse> {
        Box::pin(async move {
            let _kept = sent;
            std::future::pending().await
        })
    };
    let put = Some(Box::new(put) as Box<_>);
    let served = fake(Blobs {
        put,
        ..Blobs::default()
    });
    let served = served.serve().await;
    let builder = served.builder().idle_timeout(Duration::from_millis(200));
    let client = builder.attempts(1).connect().await.unwrap();
    let mut writer = client.writer(None).await.unwrap();
    let mut written = 0;
    let error = loop {
        match writer.write(vec![0; PIECE].into()).await {
            Ok(()) => written += PIECE,
            Err(error) => break error,
        }
        assert!(written < 16 << 20, "nobody takes it, and it is held");
    };
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:#}");
    assert_eq!(error.operation(), Some("write"));
    // Few bytes are soon sent, and then no answer comes.
    let blob = Blob::new(vec![0; 100]);
    let error = BlobStore::put(&client, &[blob]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Timeout, Some("put"))
    );
}
