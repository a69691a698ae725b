//! Compares blobs inside a database with blobs as files beside it, by size: where should the border lie?
//!
//! For each size the same bytes are put durably, in batches of 16 and one by one, and read back, once
//! with a threshold above the size and once below, alternating; medians of the rounds are printed,
//! with the bytes that the store takes on the disk.
//!
//! ```text
//! cargo run -p deriva-backends --release --example blob_threshold -- FOLDER sled|redb|rocksdb
//! ```

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deriva_api::{Blob, BlobStore, CAddr, Clock, Error, Result, SystemClock};
use futures::executor::block_on;

const SIZES: [usize; 5] = [4 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10];
const ROUNDS: usize = 5;
const BLOBS: usize = 64;
const SINGLE: usize = 16;
const BATCH: usize = 16;
/// Sled takes values up to here; above, only the file side is possible.
const MOST_OF_SLED: u64 = 64 << 10;
const MOST: u64 = 1 << 20;

#[derive(Default)]
struct Times {
    batched: Vec<Duration>,
    single: Vec<Duration>,
    read: Vec<Duration>,
    disk: u64,
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let folder = tempfile::TempDir::new_in(folder).map_err(Error::io)?;
    let scheme = std::env::args().nth(2).unwrap_or_else(|| "sled".to_owned());
    let most = if scheme == "sled" { MOST_OF_SLED } else { MOST };
    let clock = SystemClock::new();
    let mut out = std::io::stdout();
    let head = "| size | where | put, batches of 16 (us each) | put, one by one (us) | get (us) | disk / payload |";
    writeln!(out, "{head}\n|---|---|---|---|---|---|").map_err(Error::io)?;
    for size in SIZES {
        let sides = [(scheme.as_str(), most), ("files", 0)];
        let mut times = [Times::default(), Times::default()];
        for round in 0..ROUNDS {
            for (side, times) in sides.iter().zip(&mut times) {
                if side.1 > 0 && size as u64 >= most {
                    continue;
                }
                let path = folder.path().join(format!("{size}-{round}-{}", side.0));
                let uri = format!("{scheme}:{}?blob_threshold={}", path.display(), side.1);
                block_on(measure(&clock, &path, &uri, size, round, times))?;
            }
        }
        for (side, times) in sides.iter().zip(&mut times) {
            if times.read.is_empty() {
                continue;
            }
            let payload = ((BLOBS + SINGLE) * size) as f64;
            writeln!(
                out,
                "| {} KiB | {} | {:.0} | {:.0} | {:.1} | {:.2} |",
                size >> 10,
                side.0,
                median(&mut times.batched),
                median(&mut times.single),
                median(&mut times.read),
                times.disk as f64 / payload,
            )
            .map_err(Error::io)?;
        }
    }
    Ok(())
}

async fn measure(
    clock: &dyn Clock,
    path: &Path,
    uri: &str,
    size: usize,
    round: usize,
    times: &mut Times,
) -> Result<()> {
    let blobs: Vec<Blob> = (0..BLOBS + SINGLE)
        .map(|i| Blob::new(noise(size, (round * 1000 + i) as u64)))
        .collect();
    let opened = deriva_backends::registry().open(&uri.parse()?).await?;
    let Some(store): Option<Arc<dyn BlobStore>> = opened.blobs else {
        return Ok(());
    };
    let (batched, single) = blobs.split_at(BLOBS);
    let begin = clock.now();
    for batch in batched.chunks(BATCH) {
        store.put(batch).await?;
    }
    times.batched.push((clock.now() - begin) / BLOBS as u32);
    for blob in single {
        let begin = clock.now();
        store.put(std::slice::from_ref(blob)).await?;
        times.single.push(clock.now() - begin);
    }
    let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
    for addr in &addrs {
        let begin = clock.now();
        std::hint::black_box(store.get(*addr).await?);
        times.read.push(clock.now() - begin);
    }
    drop((store, opened.dag));
    times.disk = on_disk(path).map_err(Error::io)?;
    std::fs::remove_dir_all(path).map_err(Error::io)
}

/// Bytes that do not compress; xorshift64.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len / 8).flat_map(word).collect()
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Blocks taken below a folder, in bytes.
fn on_disk(folder: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let (mut bytes, mut folders) = (0, vec![PathBuf::from(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            match metadata.is_dir() {
                true => folders.push(entry.path()),
                false => bytes += metadata.blocks() * 512,
            }
        }
    }
    Ok(bytes)
}
