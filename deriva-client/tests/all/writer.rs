//! A blob that comes piece by piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
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
async fn a_slow_server_makes_the_writer_wait_and_holds_little() {
    let (opened, taken) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (gate, count) = (Arc::clone(&opened), Arc::clone(&taken));
    let put = move |mut sent: Sent| -> Answer<v1::PutResponse> {
        let (gate, count) = (Arc::clone(&gate), Arc::clone(&count));
        Box::pin(async move {
            until("the gate opens", || gate.load(SeqCst)).await;
            let mut all = Vec::new();
            while let Some(frame) = sent.message().await? {
                count.fetch_add(frame.chunk.len(), SeqCst);
                all.extend_from_slice(&frame.chunk);
            }
            let blobs = vec![Blob::new(all).stat().into()];
            Ok(v1::PutResponse { blobs })
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
    let mut writer = client.writer(None).await.unwrap();
    // Far more than all buffers between here and there hold.
    let pieces = 200;
    let written = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&written);
    let writing = tokio::spawn(async move {
        for _ in 0..pieces {
            writer.write(vec![7; PIECE].into()).await.unwrap();
            counting.fetch_add(1, SeqCst);
        }
        writer.finish().await.unwrap()
    });
    until("the writer has begun", || written.load(SeqCst) > 2).await;
    // As much as it will write before somebody takes it.
    let mut before = usize::MAX;
    while before != written.load(SeqCst) {
        before = written.load(SeqCst);
        tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>())
            .await
            .unwrap_err();
    }
    assert!(before * PIECE < 16 << 20, "{before} pieces are held");
    assert_eq!(taken.load(SeqCst), 0);
    opened.store(true, SeqCst);
    assert_eq!(writing.await.unwrap().len, (pieces * PIECE) as u64);
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
async fn a_server_that_takes_nothing_is_given_up() {
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
    })
    .serve()
    .await;
    let builder = served.builder().idle_timeout(Duration::from_millis(50));
    let client = builder.attempts(2).connect().await.unwrap();
    let mut writer = client.writer(None).await.unwrap();
    let error = loop {
        if let Err(error) = writer.write(vec![0; PIECE].into()).await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:#}");
    let blob = Blob::new(vec![0; 100]);
    let error = BlobStore::put(&client, &[blob]).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unsupported),
        "{error:#}"
    );
}
