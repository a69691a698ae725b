//! What it costs to put blobs that are stored already: 10,000 of 1 KiB in batches of 1,000, and 20 of 8 MiB, each
//! twice through one handle that was just opened.
//! `target/release/examples/put_again /tmp/folder` prints seconds for sled, and for files beside a graph in sled.
#![allow(clippy::print_stdout, reason = "a program that prints its figures")]

use std::time::Duration;

use deriva::prelude::*;

const SMALL: (u64, usize) = (10_000, 1 << 10);
const LARGE: (u64, usize) = (20, 8 << 20);
/// Blobs of one put.
const BATCH: usize = 1000;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .build()
        .map_err(Error::io)?;
    let sled = format!("sled:{folder}/sled");
    let files = format!("split(blobs=files:{folder}/files, dag=sled:{folder}/graph)");
    for store in [&sled, &files] {
        for (name, (count, len)) in [("small", SMALL), ("large", LARGE)] {
            let blobs: Vec<Blob> = (0..count).map(|seed| blob(seed, len)).collect();
            runtime.block_on(measure(store, name, &blobs))?;
        }
    }
    Ok(())
}

async fn measure(store: &str, name: &str, blobs: &[Blob]) -> Result<()> {
    let clock = SystemClock::new();
    let put = async |deriva: &Deriva| {
        let began = clock.now();
        for batch in blobs.chunks(BATCH) {
            deriva.put_many(batch).await?;
        }
        Ok::<Duration, Error>(clock.now() - began)
    };
    let deriva = Deriva::builder().store(store).build().await?;
    let new = put(&deriva).await?;
    drop(deriva);
    let deriva = Deriva::builder().store(store).build().await?;
    let (again, once_more) = (put(&deriva).await?, put(&deriva).await?);
    drop(deriva);
    let deriva = Deriva::builder().store(store).build().await?;
    let began = clock.now();
    for blob in blobs {
        deriva.put_reader(&blob.bytes()[..]).await?;
    }
    let streamed = clock.now() - began;
    let seconds = |took: Duration| format!("{:.3}", took.as_secs_f64());
    println!(
        "{name} on {store}: new {}, again {}, once more {}, streamed again {}",
        seconds(new),
        seconds(again),
        seconds(once_more),
        seconds(streamed)
    );
    Ok(())
}

/// Bytes that do not compress, another sequence for each seed.
fn blob(seed: u64, len: usize) -> Blob {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    Blob::new((0..len).map(|_| next()).collect::<Vec<u8>>())
}
