//! Graphs computed cold: LAYERED, CHAIN, FANIN, HUB.

use deriva::prelude::*;
use deriva_testkit::Workload;
use tempfile::TempDir;

use crate::Scale;
use crate::bare::BareGraph;
use crate::measure::{Sample, disk_bytes, interleaved, runtime, sample};
use crate::report::{Report, Target};

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let layered = Workload::Layered {
        width: 1000,
        layers: scale.pick(100, 20),
    };
    let rows = [
        ("LAYERED(1000,100)", layered, Target::AtMost(8.0)),
        (
            "LAYERED(1000,1000)",
            Workload::Layered {
                width: 1000,
                layers: scale.pick(1000, 100),
            },
            Target::None,
        ),
        (
            "CHAIN(1M)",
            Workload::Chain {
                length: scale.pick(1_000_000, 50_000),
            },
            Target::None,
        ),
        (
            "FANIN(100k)",
            Workload::FanIn {
                width: scale.pick(100_000, 10_000),
            },
            Target::None,
        ),
        (
            "HUB(100k)",
            Workload::Hub {
                width: scale.pick(100_000, 10_000),
            },
            Target::None,
        ),
    ];
    for (name, workload, target) in rows {
        for (store, results) in [
            ("memory", StoreResults::All),
            ("memory, nothing stored", StoreResults::None),
            ("sled", StoreResults::All),
        ] {
            let large = workload.len() > 500_000;
            if store != "memory" && large {
                continue;
            }
            let graph = BareGraph::new(workload)?;
            let repetitions = if large || store == "sled" {
                3
            } else {
                scale.repetitions()
            };
            let target = if store == "memory" {
                target
            } else {
                Target::None
            };
            for workers in [1, 2] {
                if workers == 2 && store != "memory" {
                    continue;
                }
                let (ours, baseline) = interleaved(
                    repetitions,
                    || cold(workload, store == "sled", results, workers, &graph),
                    || Ok(sample(|| Ok(graph.run()))?.1),
                )?;
                let row = format!("{name} {store}, {workers} worker(s)");
                report.add("materialize", row, workload.len(), &ours, &baseline, target);
            }
        }
    }
    Ok(())
}

/// Loads the graph into a new store, then measures one request for its root.
fn cold(
    workload: Workload,
    sled: bool,
    results: StoreResults,
    workers: usize,
    graph: &BareGraph,
) -> Result<Sample> {
    let folder = TempDir::new().map_err(Error::io)?;
    let uri = if sled {
        format!("sled:{}", folder.path().join("store").display())
    } else {
        "memory:".to_owned()
    };
    let runtime = runtime(workers)?;
    let deriva = runtime.block_on(Deriva::builder().store(&uri).jobs(workers).build())?;
    let root = runtime.block_on(workload.load(&**deriva.blobs(), &**deriva.dag()))?;
    // HUB has no node over all: everything is asked for.
    let targets: Vec<CAddr> = match workload {
        Workload::Hub { .. } => workload
            .recipes()
            .map(|recipe| Ok(recipe?.addr()))
            .collect::<Result<_>>()?,
        _ => vec![root],
    };
    let (done, mut sample) = sample(|| {
        runtime.block_on(async {
            deriva
                .materialize_many(targets.iter().copied())
                .store_results(results)
                .await
        })
    })?;
    if done.summary.computed != workload.len() {
        return Err(Error::new(
            ErrorKind::Internal,
            "a cold request did not compute every node",
        )
        .with("computed", done.summary.computed)
        .with("expected", workload.len()));
    }
    if results == StoreResults::All && runtime.block_on(deriva.get(root))? != graph.run() {
        return Err(Error::new(
            ErrorKind::Internal,
            "deriva and the bare loop disagree",
        ));
    }
    drop(deriva);
    sample.disk_bytes = disk_bytes(folder.path())?;
    Ok(sample)
}
