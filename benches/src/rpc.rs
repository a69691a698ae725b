//! A client of a server over loopback against a bare service of the same protocol, which hashes, checks and stores nothing: both ends
//! in this process.

use std::net::SocketAddr;
use std::time::Duration;

use deriva::client::Client;
use deriva::prelude::*;
use deriva_server::Server;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::net::TcpListener;

use crate::Scale;
use crate::measure::{Sample, interleaved, runtime, sample};
use crate::report::{Report, Target};
use threads::Threads;

mod bare;
mod threads;

const BENCH: &str = "rpc";

/// Of the rate of the bare service, for blobs.
const SHARE: f64 = 0.5;
/// Microseconds that a small get may take among many: 20,000 in a second.
const SMALL_GET: f64 = 50.0;
/// Calls at once where there are many.
const AT_ONCE: usize = 64;

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let runtime = runtime(2)?;
    let repetitions = scale.repetitions();
    for size in [64 << 10, 1 << 20, 16 << 20, 64 << 20] {
        let count = (scale.pick(256 << 20, 64 << 20) / size).max(1);
        let both = Both::new(&runtime, 1)?;
        let name = named(size);
        let (ours, base) = interleaved(
            repetitions,
            || both.put(size, count),
            || both.put_bare(size, count),
        )?;
        let row = format!("put {name}, one after the other");
        report.add(
            BENCH,
            row,
            count as u64,
            &ours,
            &base,
            Target::AtLeast(SHARE),
        );
        let blobs = both.stored(size)?;
        let (ours, base) = interleaved(
            repetitions,
            || both.get(&blobs, count, 1),
            || both.get_bare(size, count, 1),
        )?;
        let row = format!("get {name}, one after the other");
        report.add(
            BENCH,
            row,
            count as u64,
            &ours,
            &base,
            Target::AtLeast(SHARE),
        );
    }
    let gets = scale.pick(40_000, 10_000);
    for connections in [1, 16] {
        let both = Both::new(&runtime, connections)?;
        let blobs = both.stored(1 << 10)?;
        let before = both.served_cpu()?;
        let (ours, base) = interleaved(
            repetitions,
            || both.get(&blobs, gets, AT_ONCE),
            || both.get_bare(1 << 10, gets, AT_ONCE),
        )?;
        let row = format!("get 1 KiB, {AT_ONCE} at a time, connections: {connections}");
        report.add(
            BENCH,
            row,
            gets as u64,
            &ours,
            &base,
            Target::Below(SMALL_GET),
        );
        let after = both.served_cpu()?;
        let each = |of: usize| (after[of] - before[of]) * 1e6 / (gets * (repetitions + 1)) as f64;
        let row = format!("CPU of the server for each of these, connections: {connections}");
        report.add_figures(BENCH, row, each(0), each(1), "us", Target::None);
    }
    latencies(&runtime, scale, report)?;
    inserts(&runtime, scale, report)
}

fn named(bytes: usize) -> String {
    match bytes {
        small if small < 1 << 20 => format!("{} KiB", small >> 10),
        large => format!("{} MiB", large >> 20),
    }
}

/// A server with its clients, and the bare one, each with threads of its own.
struct Both<'a> {
    runtime: &'a tokio::runtime::Runtime,
    clients: Vec<Client>,
    bare: Vec<bare::Client>,
    servers: [Threads; 2],
}

impl<'a> Both<'a> {
    fn new(runtime: &'a tokio::runtime::Runtime, connections: usize) -> Result<Self> {
        let servers = [Threads::new("rpc-ours")?, Threads::new("rpc-bare")?];
        let [ours_at, bare_at] = servers.each_ref().map(|it| it.runtime.handle().clone());
        let (clients, bare) = runtime.block_on(async {
            let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
            let deriva = Deriva::builder()
                .store("memory:")
                .cache_bytes(0)
                .build()
                .await?;
            let bound = Server::new(deriva).bind(loopback).await?;
            let addr = bound.addr()?;
            ours_at.spawn(async move {
                let _ = bound.serve(std::future::pending()).await;
            });
            let listener = TcpListener::bind(loopback).await.map_err(Error::io)?;
            let bare_addr = listener.local_addr().map_err(Error::io)?;
            bare_at.spawn(bare::serve(listener));
            let (mut clients, mut bare) = (Vec::new(), Vec::new());
            for _ in 0..connections {
                clients.push(Client::connect(&format!("deriva://{addr}")).await?);
                bare.push(bare::Client::connect(bare_addr).await?);
            }
            Ok::<_, Error>((clients, bare))
        })?;
        Ok(Self {
            runtime,
            clients,
            bare,
            servers,
        })
    }

    /// Seconds that the CPU worked for each of the two servers.
    fn served_cpu(&self) -> Result<[f64; 2]> {
        let [ours, bare] = &self.servers;
        Ok([ours.cpu_seconds()?, bare.cpu_seconds()?])
    }

    fn put(&self, size: usize, count: usize) -> Result<Sample> {
        self.each_fresh(size, count, async |bytes| {
            self.clients[0].put(bytes).await.map(drop)
        })
    }

    fn put_bare(&self, size: usize, count: usize) -> Result<Sample> {
        self.each_fresh(size, count, async |bytes| self.bare[0].put(bytes).await)
    }

    /// Blobs that no store has, one after the other.
    fn each_fresh(
        &self,
        size: usize,
        count: usize,
        put: impl AsyncFn(Bytes) -> Result<()>,
    ) -> Result<Sample> {
        let all: Vec<Bytes> = (0..count).map(|_| fresh(size)).collect();
        let ((), sample) = sample(|| {
            self.runtime.block_on(async {
                for bytes in all {
                    put(bytes).await?;
                }
                Ok(())
            })
        })?;
        Ok(sample)
    }

    /// A blob of this size that the server has.
    fn stored(&self, size: usize) -> Result<CAddr> {
        self.runtime.block_on(self.clients[0].put(fresh(size)))
    }

    fn get(&self, addr: &CAddr, count: usize, at_once: usize) -> Result<Sample> {
        let ((), sample) = sample(|| {
            let gets = stream::iter(0..count).map(|n| {
                let client = &self.clients[n % self.clients.len()];
                async move {
                    let blob = BlobStore::get(client, *addr).await?;
                    blob.map(drop).ok_or_else(gone)
                }
            });
            self.runtime
                .block_on(gets.buffer_unordered(at_once).try_collect::<()>())
        })?;
        Ok(sample)
    }

    fn get_bare(&self, size: usize, count: usize, at_once: usize) -> Result<Sample> {
        let ((), sample) = sample(|| {
            let gets = stream::iter(0..count).map(|n| {
                let client = &self.bare[n % self.bare.len()];
                async move { client.get(size).await.map(drop) }
            });
            self.runtime
                .block_on(gets.buffer_unordered(at_once).try_collect::<()>())
        })?;
        Ok(sample)
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "a blob that was put is not there")
}

/// Bytes as no call before had them.
fn fresh(size: usize) -> Bytes {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut bytes = vec![7; size];
    bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Relaxed).to_le_bytes());
    bytes.into()
}

/// How long one small get takes with nothing beside it.
fn latencies(runtime: &tokio::runtime::Runtime, scale: Scale, report: &mut Report) -> Result<()> {
    let both = Both::new(runtime, 1)?;
    let addr = both.stored(1 << 10)?;
    let count = scale.pick(10_000, 2_000);
    let clock = SystemClock::new();
    let (mut ours, mut base) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        for _ in 0..count {
            let began = clock.now();
            BlobStore::get(&both.clients[0], addr)
                .await?
                .ok_or_else(gone)?;
            let between = clock.now();
            both.bare[0].get(1 << 10).await?;
            ours.push(between - began);
            base.push(clock.now() - between);
        }
        Ok::<(), Error>(())
    })?;
    for percent in [50, 99] {
        let of = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            let at = times.len() * percent / 100;
            times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
        };
        let row = format!("get 1 KiB, one after the other, p{percent}");
        let (ours, base) = (of(&mut ours), of(&mut base));
        report.add_figures(BENCH, row, ours, base, "us", Target::None);
    }
    Ok(())
}

/// Recipes in batches, against the same store in this process.
fn inserts(runtime: &tokio::runtime::Runtime, scale: Scale, report: &mut Report) -> Result<()> {
    const BATCH: usize = 4096;
    let batches = scale.pick(16, 4);
    let both = Both::new(runtime, 1)?;
    let recipes = || -> Result<Vec<Vec<Recipe>>> {
        let id = "text.upper/1".parse()?;
        let batch = |_| {
            let recipes = (0..BATCH).map(|_| {
                let leaf = Blob::new(fresh(16)).addr();
                Recipe::new(&id, &[leaf], &Params::new())
            });
            recipes.collect::<Result<Vec<_>>>()
        };
        (0..batches).map(batch).collect()
    };
    let here = runtime.block_on(Deriva::builder().store("memory:").build())?;
    let (ours, base) = interleaved(
        scale.repetitions(),
        || {
            let all = recipes()?;
            let inserted = sample(|| {
                runtime.block_on(async {
                    for recipes in &all {
                        both.clients[0].insert(recipes).await?;
                    }
                    Ok(())
                })
            })?;
            Ok(inserted.1)
        },
        || {
            let all = recipes()?;
            let inserted = sample(|| {
                runtime.block_on(async {
                    for recipes in &all {
                        here.insert(recipes).await?;
                    }
                    Ok(())
                })
            })?;
            Ok(inserted.1)
        },
    )?;
    let row = format!("insert {BATCH} recipes in a call: at a server / here, for each recipe");
    let count = (batches * BATCH) as u64;
    report.add(BENCH, row, count, &ours, &base, Target::None);
    Ok(())
}
