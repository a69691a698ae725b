//! A client disappears in the midst of a request: what nobody else wants is given up, and counted.

use std::time::{Duration, Instant};

use deriva::{CAddr, Params, Recipe};
use deriva_client::Client;
use deriva_proto::{bytes_of, v1};
use prost::Message as _;

use super::served::{Served, in_time, until};
use super::wire::{DATA, END_STREAM, Wire, frame, message};

const CANCELLED: &str = "deriva_materialize_total{result=\"cancelled\"}";
const ACTIVE: &str = "deriva_materialize_active";
const STEPS: &str = "deriva_executor_steps";

/// Something that takes many steps, of about a millisecond for each unit.
async fn long(client: &Client, units: i64, steps: i64) -> CAddr {
    let burn = "bench.burn/1".parse().unwrap();
    let leaf = client.put(format!("{units} {steps}")).await.unwrap();
    let mut recipes: Vec<Recipe> = Vec::new();
    for _ in 0..steps {
        let input = recipes.last().map_or(leaf, Recipe::addr);
        let params = Params::new().with("units", units);
        recipes.push(Recipe::new(&burn, &[input], &params).unwrap());
    }
    client.insert(&recipes).await.unwrap();
    recipes.last().unwrap().addr()
}

/// A client with a runtime of its own asks for an address, and is gone with all of its connections once `is_under_way`.
async fn asks_and_disappears(served: &Served, addr: CAddr, is_under_way: impl FnMut() -> bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
    let uri = served.uri();
    runtime.spawn(async move {
        let client = Client::connect(&uri).await.unwrap();
        client.materialize(addr).await
    });
    until("the request", is_under_way).await;
    runtime.shutdown_background();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_else_wants_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "sled:data", &["--jobs", "2"]);
    let client = served.client().await;
    // Minutes, if nobody gives it up.
    let addr = long(&client, 1000, 300).await;
    let is_under_way = || served.metric(ACTIVE) == 1.0 && served.metric(STEPS) >= 1.0;
    asks_and_disappears(&served, addr, is_under_way).await;
    let given_up = || served.metric(CANCELLED) == 1.0 && served.metric(ACTIVE) == 0.0;
    let took = until("the end of the request", given_up).await;
    let idle = until("the end of its steps", || served.metric(STEPS) == 0.0).await;
    eprintln!("given up {took:?} after the client was gone, its steps {idle:?} later");
    served.runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_wants_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "sled:data", &["--jobs", "2"]);
    let client = served.client().await;
    let addr = long(&client, 100, 10).await;
    let other = client.materialize(addr);
    let other = tokio::spawn(async move { other.bytes().await });
    until("the first request", || served.metric(ACTIVE) == 1.0).await;
    asks_and_disappears(&served, addr, || served.metric(ACTIVE) == 2.0).await;
    let given_up = || served.metric(CANCELLED) == 1.0;
    until("the end of the second request", given_up).await;
    let bytes = in_time("the other request", other).await.unwrap().unwrap();
    assert_eq!(bytes.len(), 8);
    assert_eq!(served.metric(CANCELLED), 1.0);
    served.runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_silent_as_behind_a_cut_cable_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let more = "--jobs 2 --set limits.keepalive=200ms --set limits.keepalive_timeout=300ms";
    let more: Vec<&str> = more.split(' ').collect();
    let mut served = Served::begin(dir.path(), "sled:data", &more);
    let client = served.client().await;
    let addr = long(&client, 1000, 300).await;
    let mut wire = Wire::begin(served.addr, &[]).await;
    wire.open(1, "/deriva.v1.Materialize/Run", &[]).await;
    let asked = v1::RunRequest {
        targets: vec![bytes_of(addr)],
        ..v1::RunRequest::default()
    };
    let asked = message(&asked.encode_to_vec());
    wire.send(&frame(DATA, END_STREAM, 1, &asked))
        .await
        .unwrap();
    until("the request", || served.metric(ACTIVE) == 1.0).await;
    // It answers no ping from here on, and keeps the connection.
    let silent = Instant::now();
    let given_up = || served.metric(CANCELLED) == 1.0 && served.metric(ACTIVE) == 0.0;
    until("the end of the request", given_up).await;
    eprintln!(
        "given up {:?} after the client fell silent",
        silent.elapsed()
    );
    assert!(silent.elapsed() >= Duration::from_millis(300));
    drop(wire);
    served.runs();
}
