//! The rows that a cold request writes, written by the engine alone.

use deriva::prelude::*;
use deriva_testkit::Workload;

use super::cold::Cold;
use crate::Scale;
use crate::measure::{Sample, interleaved, runtime, sample};
use crate::report::{Report, Target};
use crate::stores::{Engine, Place, Row, key};

/// Results in a batch, as many as the runtime waits for.
const BATCH: usize = 1024;

/// LAYERED(1000,100) on each engine, against the engine's time for the same rows plus the time in memory.
pub(super) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let workload = Workload::Layered {
        width: 1000,
        layers: scale.pick(100, 10),
    };
    let rows = rows(workload)?;
    for engine in Engine::ALL {
        let store = engine.name();
        let ours = Cold {
            store,
            ..Cold::new(workload)
        };
        let (ours, baseline) = interleaved(
            scale.pick(3, 2),
            || ours.run(),
            || {
                Ok(plus(
                    raw(*engine, workload, &rows)?,
                    Cold::new(workload).run()?,
                ))
            },
        )?;
        let row = format!("LAYERED(1000,100) {store} / engine alone + memory");
        let target = Target::AtMost(1.3);
        report.add("materialize", row, workload.len(), &ours, &baseline, target);
    }
    Ok(())
}

/// The blobs and outputs of all nodes, in the order of the recipes.
fn rows(workload: Workload) -> Result<Vec<Vec<Row>>> {
    let runtime = runtime(2)?;
    runtime.block_on(async {
        let deriva = Deriva::builder().store("memory:").build().await?;
        let root = workload.load(&**deriva.blobs(), &**deriva.dag()).await?;
        deriva.materialize(root).await?;
        let recipes: Vec<Recipe> = workload.recipes().collect::<Result<_>>()?;
        let mut batches = Vec::new();
        for recipes in recipes.chunks(BATCH) {
            let addrs: Vec<CAddr> = recipes.iter().map(Recipe::addr).collect();
            let outputs = deriva.dag().outputs(&addrs).await?;
            let mut rows = vec![(b"mcounters".to_vec(), vec![0; 56])];
            for (addr, output) in addrs.iter().zip(outputs.into_iter().flatten()) {
                let bytes = deriva.get(*addr).await?;
                rows.push((key(b"b", &[output.addr]), [&[0], &bytes[..]].concat()));
                // Address, length, cost, checksum.
                let rest = [0; 8 + 8 + 8];
                rows.push((
                    key(b"o", &[*addr]),
                    [output.addr.as_bytes(), &rest[..]].concat(),
                ));
            }
            rows.sort_unstable();
            batches.push(rows);
        }
        Ok(batches)
    })
}

/// Writes the rows into a database that holds the graph, blobs and outputs of a batch together.
fn raw(engine: Engine, workload: Workload, batches: &[Vec<Row>]) -> Result<Sample> {
    let place = Place::new()?;
    place.fill(engine, workload)?;
    let raw = place.raw(engine)?;
    let write = || batches.iter().try_for_each(|rows| raw.write(rows));
    Ok(sample(write)?.1)
}

fn plus(a: Sample, b: Sample) -> Sample {
    Sample {
        seconds: a.seconds + b.seconds,
        cpu_seconds: a.cpu_seconds + b.cpu_seconds,
        ..a
    }
}
