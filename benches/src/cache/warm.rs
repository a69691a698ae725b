//! What it takes to get what is held.

use std::hint::black_box;
use std::sync::Arc;

use deriva::prelude::*;
use deriva_testkit::SplitMix64;
use quick_cache::sync::Cache;

use crate::Scale;
use crate::measure::{Sample, interleaved, runtime, sample};
use crate::report::{Report, Target};

/// Blobs of 1 KiB that are held.
const BLOBS: u64 = 4096;

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let gets = scale.pick(4_000_000, 400_000);
    let runtime = runtime(2)?;
    let deriva = runtime.block_on(Deriva::builder().store("memory:").build())?;
    let quick = Arc::new(Cache::<CAddr, Blob>::new(2 * BLOBS as usize));
    let mut addrs = Vec::new();
    for i in 0..BLOBS {
        let blob = Blob::new(SplitMix64::new(i).bytes(1024));
        runtime.block_on(async {
            let addr = deriva.put(blob.bytes().clone()).await?;
            deriva.get(addr).await
        })?;
        addrs.push(blob.addr());
        quick.insert(blob.addr(), blob);
    }
    let addrs: Arc<[CAddr]> = addrs.into();
    // Each of N threads asks for one blob in `apart`, the others for the rest.
    let ours = |threads, apart| {
        gets_by(&runtime, threads, |thread| {
            let (deriva, addrs) = (deriva.clone(), Arc::clone(&addrs));
            async move {
                let mut picks = picks(thread, apart);
                for _ in 0..gets {
                    black_box(deriva.get(addrs[picks()]).await?);
                }
                Ok(())
            }
        })
    };
    let baseline = |threads, apart| {
        gets_by(&runtime, threads, |thread| {
            let (quick, addrs) = (Arc::clone(&quick), Arc::clone(&addrs));
            async move {
                let mut picks = picks(thread, apart);
                for _ in 0..gets {
                    black_box(quick.get(&addrs[picks()]));
                }
                Ok(())
            }
        })
    };
    let nanos = |sample: Sample| sample.seconds * 1e9 / f64::from(gets);
    let mut one_thread = f64::NAN;
    for (what, threads, apart) in [
        ("one thread", 1, 1),
        ("each of two threads, the same blobs", 2, 1),
        ("each of two threads, other blobs", 2, 2),
    ] {
        let repetitions = scale.pick(15, 3);
        let (mine, quick) = interleaved(
            repetitions,
            || ours(threads, apart),
            || baseline(threads, apart),
        )?;
        let (mine, quick) = (nanos(mine), nanos(quick));
        let at_most = Target::Below(150.0);
        let row = format!("warm get, {what} / bare quick_cache");
        report.add_figures("cache", row, mine, quick, "ns", at_most);
        if threads == 1 {
            one_thread = mine;
        } else {
            let row = format!("warm get, {what} / one thread");
            report.add_figures("cache", row, mine, one_thread, "ns", Target::None);
        }
    }
    if deriva.cache_stats().misses > BLOBS {
        return Err(Error::new(ErrorKind::Internal, "a warm get missed"));
    }
    Ok(())
}

/// Random indices of blobs, of which each of `apart` threads has its own.
fn picks(thread: u64, apart: u64) -> impl FnMut() -> usize {
    let mut random = SplitMix64::new(thread);
    move || (random.below(BLOBS / apart) * apart + thread % apart) as usize
}

/// Runs a task on each of N threads, and measures until the last is done.
fn gets_by<F>(
    runtime: &tokio::runtime::Runtime,
    threads: u64,
    task: impl Fn(u64) -> F,
) -> Result<Sample>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let run = || {
        let tasks: Vec<_> = (0..threads).map(|seed| runtime.spawn(task(seed))).collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.map_err(|source| {
                    Error::new(ErrorKind::Internal, "a task ended early").caused_by(source)
                })??;
            }
            Ok(())
        })
    };
    Ok(sample(run)?.1)
}
