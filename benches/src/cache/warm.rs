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
    let ours = |threads| {
        gets_by(&runtime, threads, |seed| {
            let (deriva, addrs) = (deriva.clone(), Arc::clone(&addrs));
            async move {
                let mut random = SplitMix64::new(seed);
                for _ in 0..gets {
                    black_box(deriva.get(addrs[random.below(BLOBS) as usize]).await?);
                }
                Ok(())
            }
        })
    };
    let baseline = |threads| {
        gets_by(&runtime, threads, |seed| {
            let (quick, addrs) = (Arc::clone(&quick), Arc::clone(&addrs));
            async move {
                let mut random = SplitMix64::new(seed);
                for _ in 0..gets {
                    black_box(quick.get(&addrs[random.below(BLOBS) as usize]));
                }
                Ok(())
            }
        })
    };
    let repetitions = scale.pick(15, 3);
    let nanos = |sample: Sample| sample.seconds * 1e9 / f64::from(gets);
    let (one, quick_one) = interleaved(repetitions, || ours(1), || baseline(1))?;
    let (two, quick_two) = interleaved(repetitions, || ours(2), || baseline(2))?;
    let mut add = |row: &str, ours, baseline, target| {
        report.add_figures("cache", row, nanos(ours), nanos(baseline), "ns", target);
    };
    let at_most = Target::Below(150.0);
    add(
        "warm get, one thread / bare quick_cache",
        one,
        quick_one,
        at_most,
    );
    add(
        "warm get, each of two threads / bare quick_cache",
        two,
        quick_two,
        at_most,
    );
    add(
        "warm get, each of two threads / one thread",
        two,
        one,
        Target::None,
    );
    if deriva.cache_stats().misses > BLOBS {
        return Err(Error::new(ErrorKind::Internal, "a warm get missed"));
    }
    Ok(())
}

/// Runs a task on each of so many threads, and measures until the last is done.
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
