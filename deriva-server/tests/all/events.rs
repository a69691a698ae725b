//! What is told of a request, to those who read and to those who do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use deriva::prelude::*;
use deriva_proto::v1::run_event::Event as Told;
use deriva_proto::v1::run_response::Said;
use deriva_proto::{bytes_of, v1};
use deriva_server::{Limits, Server};

use super::common::{deriva, serve, until};

const RECIPES: usize = 20_000;

fn asked(addr: CAddr) -> v1::RunRequest {
    v1::RunRequest {
        targets: vec![bytes_of(addr)],
        wanted: Some(v1::Wanted {
            events: true,
            ..v1::Wanted::default()
        }),
        ..v1::RunRequest::default()
    }
}

/// A recipe over many that are light.
async fn wide(deriva: &Deriva) -> CAddr {
    let leaf = deriva.put("leaf").await.unwrap();
    let make = |n: usize| {
        let params = Params::new().with("count", 1).with("n", n as i64);
        Recipe::new(&"light/1".parse().unwrap(), &[leaf], &params).unwrap()
    };
    let recipes: Vec<Recipe> = (0..RECIPES).map(make).collect();
    let inputs = deriva.insert(&recipes).await.unwrap();
    let top = deriva.recipe("light", "1").inputs(inputs);
    top.insert().await.unwrap()
}

/// What is told of a request over many recipes to a caller who reads nothing until it is done: events, and how many were missed.
async fn told_late(limits: Limits) -> (u64, u64) {
    let happened = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&happened);
    let deriva = Deriva::builder()
        .store("memory:")
        .light_function("light", "1", |_, _| Ok("x".into()))
        .observer(Arc::new(move |_: &Event| {
            counting.fetch_add(1, Relaxed);
        }))
        .build()
        .await
        .unwrap();
    let top = wide(&deriva).await;
    let running = serve(Server::new(deriva.clone()).limits(limits)).await;
    // What is on its way already is not much.
    let endpoint = running.endpoint().initial_stream_window_size(64 << 10);
    let channel = endpoint.connect().await.unwrap();
    let mut materialize = v1::materialize_client::MaterializeClient::new(channel);
    let answers = materialize.run(asked(top)).await.unwrap();
    // It ends although nobody reads.
    until(async || happened.load(Relaxed) > RECIPES as u64 && deriva.snapshot().requests == 0)
        .await;
    let mut answers = answers.into_inner();
    let (mut heard, mut missed, mut summary) = (0, 0, None);
    while let Some(message) = answers.message().await.unwrap() {
        match message.said.unwrap() {
            Said::Event(event) => match event.event.unwrap() {
                Told::Missed(more) => missed += more.events,
                Told::Progress(_) => panic!("progress was not asked for"),
                _ => heard += 1,
            },
            Said::Result(part) => summary = part.summary.or(summary),
            Said::Bytes(_) => panic!("no bytes were asked for"),
        }
    }
    assert_eq!(summary.unwrap().computed, RECIPES as u64 + 1);
    // Progress is made for the other observer.
    assert!(heard + missed > RECIPES as u64 && heard + missed <= happened.load(Relaxed));
    (heard, missed)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_wait_for_their_reader_where_there_is_room() {
    let (_, missed) = told_late(Limits::default()).await;
    assert_eq!(missed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_misses_events_beyond_that_and_is_told_how_many() {
    let mut limits = Limits::default();
    limits.bytes_in_flight = 1 << 20;
    let (heard, missed) = told_late(limits).await;
    assert!(missed > 0, "all {heard} were kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_hears_of_each_recipe_and_gets_the_bytes() {
    let deriva = deriva().await;
    let leaf = deriva.put("hello").await.unwrap();
    let upper = deriva.recipe("text.upper", "1").input(leaf);
    let upper = upper.insert().await.unwrap();
    let running = serve(Server::new(deriva)).await;
    let mut request = asked(upper);
    request.targets.push(bytes_of(leaf));
    request.wanted.as_mut().unwrap().bytes = true;
    let mut answers = running
        .materialize()
        .await
        .run(request)
        .await
        .unwrap()
        .into_inner();
    let (mut computed, mut bytes, mut order) = (0, [Vec::new(), Vec::new()], Vec::new());
    while let Some(message) = answers.message().await.unwrap() {
        match message.said.unwrap() {
            Said::Event(event) => {
                order.push("event");
                computed += u64::from(matches!(event.event, Some(Told::Computed(_))));
            }
            Said::Result(_) => order.push("result"),
            Said::Bytes(frame) => {
                order.push("bytes");
                bytes[frame.target as usize].extend_from_slice(&frame.chunk);
            }
        }
    }
    order.dedup();
    assert_eq!((computed, order), (1, vec!["event", "result", "bytes"]));
    assert_eq!(bytes, [b"HELLO".to_vec(), b"hello".to_vec()]);
}
