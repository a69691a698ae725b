//! What is too much is refused at once.

use std::time::Duration;

use deriva::{Blob, ErrorKind};
use deriva_proto::{bytes_of, error_of, retry_after, v1};
use deriva_server::{Limits, Server};
use futures::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::common::{PATIENCE, Running, deriva, serve, until};

async fn limited(set: impl FnOnce(&mut Limits)) -> Running {
    let mut limits = Limits::default();
    set(&mut limits);
    serve(Server::new(deriva().await).limits(limits)).await
}

fn put(bytes: Vec<u8>) -> v1::PutRequest {
    v1::PutRequest {
        begin: Some(v1::PutBegin { expect: None }),
        chunk: bytes.into(),
        end: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_messages_and_params_have_a_size() {
    let running = limited(|limits| {
        limits.batch = 3;
        limits.message_bytes = 1 << 16;
        limits.params_bytes = 100;
    })
    .await;
    let addr = bytes_of(Blob::new("x").addr());
    let asked = v1::StatRequest {
        addrs: vec![addr.clone(); 4],
    };
    let error = error_of(running.blobs().await.stat(asked).await.unwrap_err());
    assert_eq!(
        (error.kind(), error.context("limit")),
        (ErrorKind::Invalid, Some("3"))
    );
    let asked = v1::StatRequest {
        addrs: vec![addr; 3],
    };
    assert!(running.blobs().await.stat(asked).await.is_ok());

    let status = running
        .blobs()
        .await
        .put(stream::iter([put(vec![0; 1 << 17])]))
        .await;
    assert_eq!(status.unwrap_err().code(), Code::OutOfRange);

    let recipe = |len: usize| {
        let params = deriva::Params::new().with("text", "x".repeat(len));
        let recipe = deriva::Recipe::new(&"f/1".parse().unwrap(), &[], &params).unwrap();
        v1::InsertRequest {
            recipes: vec![(&recipe).into()],
        }
    };
    let error = error_of(running.graph().await.insert(recipe(200)).await.unwrap_err());
    assert_eq!(
        (error.kind(), error.context("limit")),
        (ErrorKind::Invalid, Some("100"))
    );
    assert!(running.graph().await.insert(recipe(10)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_too_many_is_told_when_to_come_again() {
    let running = limited(|limits| limits.requests = 2).await;
    let mut materialize = running.materialize().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let lease = materialize.lease(v1::LeaseRequest::default()).await;
        held.push(lease.unwrap().into_inner());
    }
    let mut graph = running.graph().await;
    let status = graph.functions(v1::FunctionsRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(retry_after(&status).is_some());
    // Who asks whether it is well is answered all the same.
    let mut health = HealthClient::new(running.channel().await);
    let well = health.check(HealthCheckRequest::default()).await;
    assert!(well.is_ok(), "{well:?}");
    drop(held);
    // A stream that was dropped is noticed by the server a little later.
    until(|| {
        let mut graph = graph.clone();
        async move { graph.functions(v1::FunctionsRequest {}).await.is_ok() }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_finds_room_or_is_refused() {
    let running = limited(|limits| limits.bytes_in_flight = 1 << 20).await;
    let status = running
        .blobs()
        .await
        .put(stream::iter([put(vec![1; 2 << 20])]))
        .await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(retry_after(&status).is_some(), "{status:?}");
    // Room is given back.
    for _ in 0..20 {
        let done = running
            .blobs()
            .await
            .put(stream::iter([put(vec![2; 1 << 18])]))
            .await;
        assert!(done.is_ok(), "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_still_does_not_keep_its_room() {
    let running = limited(|limits| {
        limits.bytes_in_flight = 1 << 20;
        limits.stall_timeout = Duration::from_millis(300);
    })
    .await;
    let mut held = Vec::new();
    for n in 0..7 {
        let (frames, sent) = tokio::sync::mpsc::channel(2);
        let begin = v1::PutRequest {
            end: false,
            ..put(vec![n; 100 << 10])
        };
        frames.send(begin).await.unwrap();
        let mut blobs = running.blobs().await;
        let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
        held.push((frames, tokio::spawn(async move { blobs.put(sent).await })));
    }
    // Questions find room in any case, and a blob does once what waits was written.
    let mut blobs = running.blobs().await;
    until(|| {
        let mut blobs = blobs.clone();
        async move {
            let asked = v1::StatRequest::default();
            assert!(blobs.stat(asked).await.is_ok());
            blobs
                .put(stream::iter([put(vec![9; 600 << 10])]))
                .await
                .is_ok()
        }
    })
    .await;
    // Who stood still goes on, unless it came when the other blob had the room.
    let mut went_on = 0;
    for (n, (frames, call)) in (0..).zip(held) {
        let end = v1::PutRequest {
            begin: None,
            ..put(vec![n; 10])
        };
        let _ = frames.send(end).await;
        drop(frames);
        let whole = Blob::new(vec![n; (100 << 10) + 10]);
        match call.await.unwrap() {
            Ok(done) => assert_eq!(done.into_inner().blobs[0].addr, bytes_of(whole.addr())),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted);
                continue;
            }
        }
        let asked = v1::StatRequest {
            addrs: vec![bytes_of(whole.addr())],
        };
        let stats = blobs.stat(asked).await.unwrap().into_inner().stats;
        assert_eq!(stats[0].len, Some(whole.len()));
        went_on += 1;
    }
    assert!(went_on > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_larger_than_all_the_room_is_put_and_read() {
    let running = limited(|limits| limits.bytes_in_flight = 1 << 20).await;
    let bytes: Vec<u8> = (0..8_u32 << 20).map(|i| (i % 253) as u8).collect();
    let chunks = bytes.chunks(1 << 18);
    let mut frames: Vec<_> = chunks.map(|chunk| put(chunk.to_vec())).collect();
    let last = frames.len() - 1;
    for (place, frame) in frames.iter_mut().enumerate() {
        frame.begin = frame.begin.take().filter(|_| place == 0);
        frame.end = place == last;
    }
    let mut blobs = running.blobs().await;
    let done = blobs.put(stream::iter(frames)).await.unwrap().into_inner();
    let addr = Blob::new(bytes.clone()).addr();
    assert_eq!(done.blobs[0].addr, bytes_of(addr));
    let asked = v1::GetBlobRequest {
        addr: bytes_of(addr),
        range: None,
    };
    let mut frames = blobs.get(asked).await.unwrap().into_inner();
    let mut came = Vec::new();
    while let Some(frame) = frames.message().await.unwrap() {
        came.extend_from_slice(&frame.chunk);
    }
    assert!(came == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_bytes_have_a_quota() {
    let running = limited(|limits| limits.stored_bytes = Some(1000)).await;
    let mut blobs = running.blobs().await;
    assert!(blobs.put(stream::iter([put(vec![1; 900])])).await.is_ok());
    let status = blobs
        .put(stream::iter([put(vec![2; 200])]))
        .await
        .unwrap_err();
    assert_eq!(retry_after(&status), None);
    let error = error_of(status);
    assert_eq!(
        (error.kind(), error.context("quota")),
        (ErrorKind::Full, Some("1000"))
    );
    let stated = v1::PutRequest {
        begin: Some(v1::PutBegin {
            expect: Some(v1::BlobStat {
                addr: bytes_of(Blob::new("x").addr()),
                len: 1 << 40,
            }),
        }),
        ..v1::PutRequest::default()
    };
    // Told before its bytes are sent.
    let frames = stream::iter([stated]).chain(stream::pending());
    let refused = tokio::time::timeout(PATIENCE, blobs.put(frames))
        .await
        .unwrap();
    assert_eq!(error_of(refused.unwrap_err()).kind(), ErrorKind::Full);
    // One whose length nobody stated is refused as soon as it is too long, and not at its end.
    let begin = v1::PutRequest {
        end: false,
        ..put(vec![5; 2 << 20])
    };
    let frames = stream::iter([begin]).chain(stream::pending());
    let refused = tokio::time::timeout(PATIENCE, blobs.put(frames))
        .await
        .unwrap();
    assert_eq!(error_of(refused.unwrap_err()).kind(), ErrorKind::Full);
    assert!(blobs.put(stream::iter([put(vec![3; 50])])).await.is_ok());
}

/// Whether the other end closes the connection.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 1024];
    let closed = tokio::time::timeout(PATIENCE, async {
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    });
    closed.await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_and_who_speaks_otherwise_is_shut_out() {
    let running = limited(|limits| limits.header_timeout = Duration::from_millis(200)).await;
    let mut silent = TcpStream::connect(running.addr).await.unwrap();
    assert!(is_closed(&mut silent).await);
    let mut slow = TcpStream::connect(running.addr).await.unwrap();
    slow.write_all(b"PRI * HT").await.unwrap();
    assert!(is_closed(&mut slow).await);
    for wrong in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        &[0x16, 3, 1, 2, 0, 1],
        &[0xff; 4096],
    ] {
        let mut other = TcpStream::connect(running.addr).await.unwrap();
        other.write_all(wrong).await.unwrap();
        assert!(is_closed(&mut other).await, "{wrong:?}");
    }
    let mut graph = running.graph().await;
    assert!(graph.functions(v1::FunctionsRequest {}).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_calls_ends_and_one_with_a_call_does_not() {
    let running = limited(|limits| limits.idle_timeout = Duration::from_millis(200)).await;
    let mut busy = running.materialize().await;
    let mut lease = busy
        .lease(v1::LeaseRequest::default())
        .await
        .unwrap()
        .into_inner();
    lease.message().await.unwrap().unwrap();
    let mut idle = TcpStream::connect(running.addr).await.unwrap();
    // The preface, and empty settings.
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    assert!(is_closed(&mut idle).await);
    let waited = tokio::time::timeout(Duration::from_millis(500), lease.message()).await;
    assert!(waited.is_err(), "the lease ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_and_the_others_go_on() {
    let running = limited(|limits| limits.connections = 2).await;
    let mut first = running.graph().await;
    let mut second = running.graph().await;
    for graph in [&mut first, &mut second] {
        assert!(graph.functions(v1::FunctionsRequest {}).await.is_ok());
    }
    let mut third = TcpStream::connect(running.addr).await.unwrap();
    assert!(is_closed(&mut third).await);
    assert!(first.functions(v1::FunctionsRequest {}).await.is_ok());
    drop(second);
    until(|| {
        let endpoint = running.endpoint();
        async move { endpoint.connect().await.is_ok() }
    })
    .await;
}

#[tokio::test]
async fn limits_out_of_their_range_are_refused() {
    for set in [
        (|limits: &mut Limits| limits.batch = 0) as fn(&mut Limits),
        |limits| limits.message_bytes = 1,
        |limits| limits.params_bytes = 3 << 20,
        |limits| limits.bytes_in_flight = 1,
        |limits| limits.connections = 0,
        |limits| limits.header_timeout = Duration::ZERO,
    ] {
        let mut limits = Limits::default();
        set(&mut limits);
        let server = Server::new(deriva().await).limits(limits);
        let error = server.bind(super::common::loopback()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.context("limit").is_some());
    }
}
