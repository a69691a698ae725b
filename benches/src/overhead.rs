//! What it costs to be watched: the same request with metrics and without, and how long a look takes.

use deriva::metrics::prometheus::TextEncoder;
use deriva::prelude::*;
use deriva_testkit::Workload;

use crate::Scale;
use crate::measure::{Sample, interleaved, runtime, sample};
use crate::report::{Report, Target};

const BENCH: &str = "overhead";

/// What metrics may cost.
const WATCHED: f64 = 1.03;
/// What a scrape may take, in microseconds.
const SCRAPE: f64 = 5000.0;

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let graph = Workload::Layered {
        width: 1000,
        layers: scale.pick(100, 50),
    };
    let repetitions = scale.pick(41, 21);
    let (ours, base) = interleaved(
        repetitions,
        || materialize(&graph, true),
        || materialize(&graph, false),
    )?;
    let row = "LAYERED memory: metrics / without, CPU";
    report.add(
        BENCH,
        row.to_owned(),
        graph.len(),
        &ours,
        &base,
        Target::AtMost(WATCHED),
    );
    const READS: u64 = 20_000;
    let (ours, base) = interleaved(repetitions, || read(READS, true), || read(READS, false))?;
    let row = "get of 1 KiB from memory, past the cache: metrics / without, CPU";
    report.add(BENCH, row.to_owned(), READS, &ours, &base, Target::None);
    scrape(&graph, scale.pick(100, 30), report)
}

fn by_cpu(sample: Sample) -> Sample {
    Sample {
        seconds: sample.cpu_seconds,
        ..sample
    }
}

async fn open(watched: bool) -> Result<Deriva> {
    let builder = Deriva::builder().store("memory:").jobs(1).cache_bytes(0);
    match watched {
        true => builder.build().await,
        false => builder.without_instrument().build().await,
    }
}

/// A graph that is computed cold, on one worker.
fn materialize(graph: &Workload, watched: bool) -> Result<Sample> {
    let runtime = runtime(1)?;
    let (deriva, root) = runtime.block_on(async {
        let deriva = open(watched).await?;
        let root = graph.load(&**deriva.blobs(), &**deriva.dag()).await?;
        Ok::<_, Error>((deriva, root))
    })?;
    let (computed, sample) = sample(|| {
        let done = runtime.block_on(async { deriva.materialize(root).await })?;
        Ok(done.summary.computed)
    })?;
    if computed != graph.len() {
        let what = "a cold request did not compute every node";
        return Err(Error::new(ErrorKind::Internal, what).with("computed", computed));
    }
    Ok(by_cpu(sample))
}

/// Reads of what a store has, each of which is timed and counted where somebody watches.
fn read(reads: u64, watched: bool) -> Result<Sample> {
    let runtime = runtime(1)?;
    runtime
        .block_on(async {
            let deriva = open(watched).await?;
            let leaf = deriva.put(vec![7; 1024]).await?;
            Ok::<_, Error>((deriva, leaf))
        })
        .and_then(|(deriva, leaf)| {
            let ((), sample) = sample(|| {
                runtime.block_on(async {
                    for _ in 0..reads {
                        deriva.get(leaf).await?;
                    }
                    Ok(())
                })
            })?;
            Ok(by_cpu(sample))
        })
}

/// A look at a busy instance: 100 functions, a stack of stores, requests under way.
fn scrape(graph: &Workload, looks: u64, report: &mut Report) -> Result<()> {
    let runtime = runtime(2)?;
    let deriva = runtime.block_on(async {
        let mut builder = Deriva::builder().store("retry(tiered(fast=memory:, slow=memory:))");
        for function in 0..100 {
            builder = builder.light_function(&format!("f{function}"), "1", |_, _| Ok(Bytes::new()));
        }
        let deriva = builder.build().await?;
        let leaf = deriva.put("leaf").await?;
        for function in 0..100 {
            let recipe = deriva.recipe(&format!("f{function}"), "1").input(leaf);
            let addr = recipe.insert().await?;
            deriva.materialize(addr).await?;
        }
        Ok::<_, Error>(deriva)
    })?;
    let root = runtime.block_on(graph.load(&**deriva.blobs(), &**deriva.dag()))?;
    let busy = deriva.clone();
    let task = runtime.spawn(async move {
        // Until it is ended: what was computed is forgotten and computed again.
        loop {
            busy.materialize(root).await?;
            busy.invalidate(root).await?;
        }
        #[allow(unreachable_code, reason = "the type of the task")]
        Ok::<(), Error>(())
    });
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..looks {
        let (text, sample) = sample(|| {
            let metrics = deriva.metrics().map(|metrics| metrics.registry().gather());
            let text = TextEncoder::new().encode_to_string(&metrics.unwrap_or_default());
            text.map_err(|source| {
                Error::new(ErrorKind::Internal, "a scrape failed").caused_by(source)
            })
        })?;
        bytes = text.len();
        times.push(sample);
    }
    task.abort();
    times.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let row = format!("scrape of a busy instance, {} KiB", bytes / 1024);
    report.add(BENCH, row, 1, &median, &median, Target::Below(SCRAPE));
    Ok(())
}
