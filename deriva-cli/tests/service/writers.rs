//! A thousand uploads that stop, between messages and within one: they keep no room from others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use deriva::Bytes;
use deriva_proto::v1;
use deriva_proto::v1::blobs_client::BlobsClient;
use futures::future::join_all;
use futures::{StreamExt, stream};
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tonic::Code;

use super::many::{CONNECTIONS, GROWTH, STREAMS};
use super::served::{Served, in_time, mib, until};

/// What becomes of uploads that each send some frames, of this many bytes, and then nothing.
async fn stopped(frame: usize, frames: usize) {
    let dir = tempfile::tempdir().unwrap();
    let more = ["--set", "limits.stall_timeout=2s"];
    let mut served = Served::begin(dir.path(), "sled:data", &more);
    let memory = served.memory();
    let channels = join_all((0..CONNECTIONS).map(|_| served.channel())).await;
    let (sent, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let calls = (0..STREAMS).map(|place| {
        let (done, refused) = (Arc::clone(&sent), Arc::clone(&refused));
        let chunk = Bytes::from(vec![place as u8; frame]);
        let sent = (0..frames).map(move |at| v1::PutRequest {
            begin: (at == 0).then(v1::PutBegin::default),
            chunk: chunk.clone(),
            end: false,
        });
        let silent = stream::once(async move {
            done.fetch_add(1, SeqCst);
            std::future::pending().await
        });
        let mut blobs = BlobsClient::new(channels[place % CONNECTIONS].clone());
        tokio::spawn(async move {
            let status = blobs
                .put(stream::iter(sent).chain(silent))
                .await
                .unwrap_err();
            assert!(
                matches!(
                    status.code(),
                    Code::ResourceExhausted | Code::DeadlineExceeded
                ),
                "{status:?}"
            );
            refused.fetch_add(1, SeqCst);
        })
    });
    let calls: Vec<_> = calls.collect();
    let all = || sent.load(SeqCst) + refused.load(SeqCst) >= STREAMS as u64;
    until("what all have sent", all).await;
    let others = served.serves_others(2).await;
    let grown = memory.grown();
    eprintln!(
        "{STREAMS} writers stopped after {frames} frames of {frame} bytes, {} refused: another was served in {others:?}, {:.1} MiB more",
        refused.load(SeqCst),
        mib(grown),
    );
    assert!(grown < GROWTH);
    for call in calls {
        call.abort();
    }
    served.runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_writers_that_stop_between_messages_are_no_burden() {
    stopped(100_000, 3).await;
}

/// A call whose one message is begun and goes no further: the status that it ends with.
async fn stops_within(mut send: SendRequest<Bytes>, sent: Arc<AtomicU64>) -> String {
    let request = Request::post("http://x/deriva.v1.Blobs/Put")
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (answer, mut stream) = send.send_request(request, false).unwrap();
    // A megabyte is announced, and the least part of it comes.
    let begun = [&[0, 0, 16, 0, 0][..], &[7; 60_000]].concat();
    stream.send_data(begun.into(), false).unwrap();
    sent.fetch_add(1, SeqCst);
    let answer = answer.await.unwrap();
    let status = answer.headers().get("grpc-status").cloned();
    let status = match status {
        Some(status) => status,
        None => {
            let trailers = answer.into_body().trailers().await.unwrap();
            trailers.unwrap().remove("grpc-status").unwrap()
        }
    };
    status.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_writers_that_stop_within_a_message_are_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let more = "--set limits.stall_timeout=2s --set limits.bytes_in_flight=32MiB";
    let more: Vec<&str> = more.split(' ').collect();
    let mut served = Served::begin(dir.path(), "sled:data", &more);
    let memory = served.memory();
    let sent = Arc::new(AtomicU64::new(0));
    let mut calls = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(served.addr).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        for _ in 0..STREAMS / CONNECTIONS {
            let send = send.clone().ready().await.unwrap();
            calls.push(tokio::spawn(stops_within(send, Arc::clone(&sent))));
        }
    }
    until("what all have sent", || sent.load(SeqCst) == STREAMS as u64).await;
    let others = served.serves_others(11).await;
    let mut ended = BTreeMap::new();
    for status in in_time("the end of all calls", join_all(calls)).await {
        *ended.entry(status.unwrap()).or_insert(0) += 1;
    }
    let grown = memory.grown();
    eprintln!(
        "{STREAMS} writers stopped within a message: {ended:?} by status, another served in {others:?}, {:.1} MiB more",
        mib(grown)
    );
    // The time of some was over, and there was no room for the others.
    assert!(ended.keys().all(|status| status == "4" || status == "8"));
    assert!(ended.contains_key("4"));
    assert!(grown < GROWTH);
    served.runs();
}
