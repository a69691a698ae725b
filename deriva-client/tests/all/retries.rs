//! Which calls are made again, when, and how often.

use std::time::Duration;

use deriva_api::{BlobStore, CAddr, Error, ErrorKind};
use deriva_proto::{status_of, status_with_retry, v1};
use tonic::{Code, Status};

use crate::fake::{Blobs, Fake, Unary, away, counting, never, now};

fn stat_of(answer: Unary<v1::StatRequest, v1::StatResponse>) -> Fake {
    Fake {
        blobs: Blobs {
            stat: answer,
            ..Blobs::default()
        },
        ..Fake::default()
    }
}

/// A server that fails so often, then answers.
fn failing(times: usize, status: impl Fn() -> Status + Send + Sync + 'static) -> Fake {
    let calls = counting();
    stat_of(now(move |_| match calls() < times {
        true => Err(status()),
        false => {
            let stats = vec![v1::MaybeStat { len: Some(1) }];
            Ok(v1::StatResponse { stats })
        }
    }))
}

#[tokio::test]
async fn what_passes_is_tried_again_until_it_has_passed() {
    let busy = || {
        let error = Error::new(ErrorKind::Full, "too many streams");
        status_with_retry(&error, Duration::from_millis(3))
    };
    let unavailable = || status_of(&Error::new(ErrorKind::Unavailable, "the disk is away"));
    for fake in [failing(2, busy), failing(2, away), failing(2, unavailable)] {
        let served = fake.serve().await;
        let client = served.builder().attempts(3).connect().await.unwrap();
        let found = client.stat(&[CAddr::of_blob(b"x")]).await.unwrap();
        assert_eq!(found[0].unwrap().len, 1);
        assert_eq!(served.calls("stat"), 3);
        let counted = BlobStore::counters(&client).retries.unwrap();
        assert_eq!((counted.again.get(), counted.spent.get()), (2, 0));
    }
}

#[tokio::test]
async fn attempts_come_to_an_end_and_the_servers_error_stays_as_it_is() {
    let said = Error::new(ErrorKind::Unavailable, "the disk is away").with("store", "sled:./data");
    let expected = format!("{said:#}");
    let served = failing(usize::MAX, move || status_of(&said)).serve().await;
    let client = served.builder().attempts(4).connect().await.unwrap();
    let error = client.stat(&[CAddr::of_blob(b"x")]).await.unwrap_err();
    assert_eq!(format!("{error:#}"), expected);
    assert_eq!(served.calls("stat"), 4);
    let counted = BlobStore::counters(&client).retries.unwrap();
    assert_eq!((counted.again.get(), counted.spent.get()), (3, 1));
}

#[tokio::test]
async fn what_does_not_pass_is_told_at_once() {
    let kinds = ErrorKind::ALL.into_iter();
    for kind in kinds.filter(|kind| *kind != ErrorKind::Unavailable) {
        let served = failing(1, move || status_of(&Error::new(kind, "so it is")))
            .serve()
            .await;
        let client = served.client().await;
        let error = client.stat(&[CAddr::of_blob(b"x")]).await.unwrap_err();
        assert_eq!(error.to_string(), Error::new(kind, "so it is").to_string());
        assert_eq!(served.calls("stat"), 1);
    }
    let served = failing(1, || Status::new(Code::Unauthenticated, "who?"))
        .serve()
        .await;
    let client = served.client().await;
    let error = client.stat(&[CAddr::of_blob(b"x")]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Invalid, Some("stat"))
    );
    assert_eq!(error.context("server"), Some(&*served.addr.to_string()));
    assert_eq!(served.calls("stat"), 1);
}

#[tokio::test]
async fn who_is_told_to_come_again_much_later_is_told_so() {
    let busy = || {
        status_with_retry(
            &Error::new(ErrorKind::Full, "busy"),
            Duration::from_secs(3600),
        )
    };
    let served = failing(1, busy).serve().await;
    let client = served.client().await;
    let error = client.stat(&[CAddr::of_blob(b"x")]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.context("retry_after")),
        (ErrorKind::Full, Some("1h"))
    );
    assert_eq!(served.calls("stat"), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let served = stat_of(never()).serve().await;
    let builder = served.builder().timeout(Duration::from_millis(100));
    let client = builder.connect().await.unwrap();
    let error = client.stat(&[CAddr::of_blob(b"x")]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Timeout, Some("stat"))
    );
    assert_eq!(error.context("limit"), Some("100ms"));
    assert!(error.advice().is_some());
    // The server is told, too, and a little later.
    let seen = served.seen.lock().unwrap();
    let (_, metadata) = seen.last().unwrap();
    assert_eq!(metadata.get("grpc-timeout").unwrap(), "1100000u");
}

#[tokio::test]
async fn a_connection_that_is_gone_is_made_again() {
    let store = crate::fake::Store::default();
    let fake = || Fake {
        blobs: store.served(100),
        ..Fake::default()
    };
    let first = fake().serve().await;
    let addr = first.addr;
    let client = first.builder().attempts(20).connect().await.unwrap();
    let put = client.put("before").await.unwrap();
    drop(first);
    // Nobody listens for a moment; then another server has the address.
    let listening = async {
        let socket = loop {
            match tokio::net::TcpListener::bind(addr).await {
                Ok(socket) => break socket,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        fake().serve_on(socket, tonic::transport::Server::builder())
    };
    let (got, _second) = futures::future::join(BlobStore::get(&client, put), listening).await;
    assert!(got.unwrap().is_some());
}
