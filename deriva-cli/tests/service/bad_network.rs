//! A client of a server behind a bad network: what it asks comes in the end, or fails as it should, and is never wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deriva::stores::{BlobStore, DagStore};
use deriva::{Blob, BlobStat, CAddr, Params, Recipe, Result};
use deriva_client::Client;
use futures::TryStreamExt;

use super::chance::{Chance, is_long, seed};
use super::hasty::Hasty;
use super::proxy::{Weather, network};
use super::served::{Served, in_time};

/// What the seeds did.
#[derive(Debug, Default)]
struct Counts {
    harmed: u64,
    done: u64,
    failed: BTreeMap<String, u64>,
}

impl Counts {
    fn take<T>(&mut self, ended: Result<T>) -> Option<T> {
        match ended {
            Ok(done) => {
                self.done += 1;
                Some(done)
            }
            Err(error) => {
                *self.failed.entry(error.kind().to_string()).or_default() += 1;
                None
            }
        }
    }

    fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

fn blobs(chance: &mut Chance) -> Vec<Blob> {
    let mut blobs = Vec::new();
    for most in [1, 100, 5_000, 60_000, 60_000, 700_000] {
        let len = chance.below(most) as usize;
        blobs.push(Blob::new(chance.bytes(len)));
    }
    blobs
}

/// What one client asks over a network of this seed. Of what was put, those that it was told are stored are added to `stored`.
async fn asks(
    served: &Served,
    weather: Weather,
    seed: u64,
    stored: &mut BTreeMap<CAddr, u64>,
    counts: &mut Counts,
) {
    let mut chance = Chance::new(seed);
    let network = network(served.addr, weather, chance.number()).await;
    // What was changed on its way may never come.
    let (attempts, waits) = match weather {
        Weather::Bad => (300, Duration::from_secs(10)),
        Weather::Lying => (12, Duration::from_millis(500)),
    };
    let builder = Client::builder(&format!("deriva://{}", network.addr))
        .clock(Arc::new(Hasty::new(waits)))
        .attempts(attempts)
        .timeout(Hasty::TOLD)
        .idle_timeout(Hasty::TOLD);
    let Some(client) = counts.take(builder.connect().await) else {
        return;
    };
    let blobs = blobs(&mut chance);
    if counts.take(BlobStore::put(&client, &blobs).await).is_some() {
        stored.extend(blobs.iter().map(|blob| (blob.addr(), blob.len())));
    }
    for blob in &blobs {
        let got = counts.take(BlobStore::get(&client, blob.addr()).await);
        if let Some(Some(got)) = got {
            assert!(got == *blob, "other bytes came");
        }
    }
    let listed: Result<Vec<BlobStat>> = BlobStore::list(&client, None).try_collect().await;
    if let Some(listed) = counts.take(listed)
        && weather == Weather::Bad
    {
        let listed = listed.iter().map(|stat| (stat.addr, stat.len));
        assert_eq!(&listed.collect::<BTreeMap<_, _>>(), stored);
    }
    let inputs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
    let concat = "bytes.concat/1".parse().unwrap();
    let whole = Recipe::new(&concat, &inputs, &Params::new()).unwrap();
    let twice = [whole.addr(), whole.addr()];
    let twice = Recipe::new(&concat, &twice, &Params::new()).unwrap();
    let recipes = [whole, twice.clone()];
    counts.take(DagStore::insert(&client, &recipes).await);
    if let Some(made) = counts.take(client.materialize(twice.addr()).bytes().await) {
        let once: Vec<u8> = blobs
            .iter()
            .flat_map(|it| it.clone().into_bytes())
            .collect();
        let both = [once.clone(), once.clone()].concat();
        assert!(made == both, "other bytes were made");
        for made in [Blob::new(once), Blob::new(both)] {
            stored.insert(made.addr(), made.len());
        }
    }
    counts.harmed += network.harmed.load(std::sync::atomic::Ordering::SeqCst);
}

/// Many networks, one after the other, and then a look from where the weather is fine.
async fn networks(weather: Weather, seeds: u64) -> Counts {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "sled:data", &[]);
    let (mut chance, began) = (Chance::new(seed()), Instant::now());
    let (mut stored, mut counts) = (BTreeMap::new(), Counts::default());
    for _ in 0..seeds {
        let seed = chance.number();
        let what = format!("what is asked over the network {seed}");
        in_time(
            &what,
            asks(&served, weather, seed, &mut stored, &mut counts),
        )
        .await;
    }
    let client = served.client().await;
    for (addr, len) in &stored {
        let blob = BlobStore::get(&client, *addr).await.unwrap();
        assert_eq!(blob.map(|blob| blob.len()), Some(*len));
    }
    eprintln!(
        "{weather:?}: {seeds} networks in {:?}, {} blobs, {counts:?}",
        began.elapsed(),
        stored.len()
    );
    served.runs();
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_bad_network_everything_comes_in_the_end() {
    let counts = networks(Weather::Bad, if is_long() { 500 } else { 30 }).await;
    assert!(counts.harmed > 30);
    assert_eq!(counts.failures(), 0, "{:?}", counts.failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_network_that_lies_nothing_wrong_is_believed() {
    let counts = networks(Weather::Lying, if is_long() { 500 } else { 30 }).await;
    assert!(counts.done > counts.failures(), "{:?}", counts.failed);
}
