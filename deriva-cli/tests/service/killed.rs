//! The server is killed in the midst of work and begun anew at the same place: clients notice nothing but time, and what was
//! acknowledged is there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deriva::stores::{BlobStore, DagStore};
use deriva::{Blob, CAddr, Params, Recipe};
use deriva_client::Client;
use futures::future::join_all;

use super::chance::{Chance, seed};
use super::hasty::Hasty;
use super::served::{PATIENCE, Served, in_time};

/// Clients at once.
const CLIENTS: u64 = 4;
/// Rounds unless `DERIVA_ROUNDS` says otherwise, over both engines; one in five is of redb.
const ROUNDS: u64 = 50;

/// What a client was told that it is done: the bytes of addresses, of blobs and of results.
type Acknowledged = Arc<Mutex<BTreeMap<CAddr, Vec<u8>>>>;

fn rounds() -> u64 {
    let given = std::env::var("DERIVA_ROUNDS").ok();
    given.map_or(ROUNDS, |text| text.parse().unwrap())
}

async fn client(addr: SocketAddr) -> Client {
    let builder = Client::builder(&format!("deriva://{addr}"));
    let clock = Arc::new(Hasty::new(PATIENCE));
    builder
        .attempts(10_000)
        .clock(clock)
        .connect()
        .await
        .unwrap()
}

/// Begins it at the same address again. A client that knocks while nobody listens can take the port for a moment.
fn again(folder: &Path, store: &str, addr: SocketAddr) -> Served {
    let began = Instant::now();
    loop {
        match Served::begin_at(folder, store, addr, &[]) {
            Ok(served) => return served,
            Err(said) => assert!(began.elapsed() < PATIENCE, "{said}"),
        }
    }
}

/// What one client does in a round.
async fn works(addr: SocketAddr, mut chance: Chance, acknowledged: Acknowledged) {
    let client = client(addr).await;
    let done = |addr: CAddr, bytes: Vec<u8>| {
        acknowledged.lock().unwrap().insert(addr, bytes);
    };
    let mut leaves = Vec::new();
    for step in 0..4 {
        // One of them is so large that it is written as it comes.
        let len = match chance.once_in(12) {
            true => (1 << 20) + chance.below(1 << 20),
            false => chance.below(40_000),
        };
        let bytes = chance.bytes(usize::try_from(len).unwrap());
        let leaf = client.put(bytes.clone()).await.unwrap();
        done(leaf, bytes.clone());
        leaves.push((leaf, bytes));
        if step % 2 == 1 {
            computes(&client, &leaves, step, &done).await;
        }
    }
}

/// A computation of some steps over blobs that are there.
async fn computes(
    client: &Client,
    leaves: &[(CAddr, Vec<u8>)],
    step: u64,
    done: &impl Fn(CAddr, Vec<u8>),
) {
    let concat = "bytes.concat/1".parse().unwrap();
    let burn = "bench.burn/1".parse().unwrap();
    let all: Vec<CAddr> = leaves.iter().map(|(addr, _)| *addr).collect();
    let joined = Recipe::new(&concat, &all, &Params::new()).unwrap();
    let burnt: Vec<Recipe> = (1..6_i64)
        .map(|units| {
            let params = Params::new().with("units", units + 10 * step as i64 % 7);
            Recipe::new(&burn, &all, &params).unwrap()
        })
        .collect();
    let mut inputs = vec![joined.addr()];
    inputs.extend(burnt.iter().map(Recipe::addr));
    let whole = Recipe::new(&concat, &inputs, &Params::new()).unwrap();
    let recipes: Vec<Recipe> = [joined, whole.clone()].into_iter().chain(burnt).collect();
    client.insert(&recipes).await.unwrap();
    let bytes = client.materialize(whole.addr()).bytes().await.unwrap();
    let expected: Vec<u8> = leaves.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    assert_eq!(bytes.len(), expected.len() + 5 * 8);
    assert!(bytes.starts_with(&expected), "the bytes are others");
    done(whole.addr(), bytes.to_vec());
}

/// Everything that was acknowledged is there, as it was, without anything being computed again.
async fn is_there(client: &Client, acknowledged: &BTreeMap<CAddr, Vec<u8>>) {
    let addrs: Vec<CAddr> = acknowledged.keys().copied().collect();
    let outputs = DagStore::outputs(client, &addrs).await.unwrap();
    let found = addrs.iter().zip(&outputs);
    let found: Vec<CAddr> = found
        .map(|(addr, output)| output.map_or(*addr, |output| output.addr))
        .collect();
    for (found, (addr, bytes)) in found.iter().zip(acknowledged) {
        let blob = BlobStore::get(client, *found).await.unwrap();
        let blob: Blob = blob.unwrap_or_else(|| panic!("{addr} was acknowledged, and is lost"));
        assert!(blob.into_bytes() == bytes, "{addr} has other bytes");
    }
}

async fn killed(store: &str, rounds: u64, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut chance = Chance::new(seed);
    let mut served = Served::begin(dir.path(), store, &[]);
    let addr = served.addr;
    let mut all = BTreeMap::new();
    let (mut blobs, mut downtime, began) = (0, Duration::ZERO, Instant::now());
    for round in 0..rounds {
        let acknowledged = Acknowledged::default();
        let clients = (0..CLIENTS).map(|_| {
            let chance = Chance::new(chance.number());
            tokio::spawn(works(addr, chance, Arc::clone(&acknowledged)))
        });
        let clients: Vec<_> = clients.collect();
        // Once or twice, somewhere within what the clients do.
        for _ in 0..=chance.below(2) {
            let moment = Duration::from_micros(chance.below(150_000));
            tokio::time::sleep(moment).await;
            let killed = Instant::now();
            served.kill();
            served = tokio::task::block_in_place(|| again(dir.path(), store, addr));
            downtime += killed.elapsed();
        }
        for ended in in_time("the clients", join_all(clients)).await {
            ended.unwrap_or_else(|error| panic!("round {round} of seed {seed}: {error}"));
        }
        let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
        assert!(!acknowledged.is_empty());
        blobs += acknowledged.len();
        // After one more kill, whatever was acknowledged is on the disk.
        served.kill();
        served = tokio::task::block_in_place(|| again(dir.path(), store, addr));
        is_there(&client(addr).await, &acknowledged).await;
        // Of earlier rounds some stay to be looked at until the end.
        all.extend(acknowledged.into_iter().take(8));
    }
    is_there(&client(addr).await, &all).await;
    served.runs();
    eprintln!(
        "{store} {rounds} rounds in {:?}, {blobs} acknowledged, {} of all rounds looked at in the end, down for {downtime:?}",
        began.elapsed(),
        all.len(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_kills_on_sled() {
    let rounds = rounds();
    killed("sled:data", rounds - rounds / 5, seed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_kills_on_redb() {
    killed("redb:data", rounds() / 5, seed()).await;
}
