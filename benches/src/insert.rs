//! Recipes inserted: in batches, over one hub, and singly by many callers.

use std::sync::Arc;

use deriva::prelude::*;
use deriva_testkit::Workload;
use tempfile::TempDir;

use crate::Scale;
use crate::measure::{Sample, disk_bytes, interleaved, runtime, sample};
use crate::report::{Report, Target};

const BATCH: usize = 1000;

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let layered = recipes(Workload::Layered {
        width: 1000,
        layers: scale.pick(100, 10),
    })?;
    let hub = recipes(Workload::Hub {
        width: scale.pick(100_000, 10_000),
    })?;
    let count = layered.len() as u64;
    for store in ["memory", "sled", "sled buffered"] {
        let (ours, baseline) = interleaved(3, || ours(store, &layered), || raw(&layered))?;
        let target = if store == "sled" {
            Target::AtLeast(0.9)
        } else {
            Target::None
        };
        report.add(
            "insert",
            format!("LAYERED, batches of {BATCH}, {store} / raw sled"),
            count,
            &ours,
            &baseline,
            target,
        );
    }
    for store in ["memory", "sled"] {
        let per_recipe = |sample: Sample| Sample {
            seconds: sample.seconds / hub.len() as f64 * count as f64,
            ..sample
        };
        let (ours, baseline) = interleaved(
            3,
            || Ok(per_recipe(self::ours(store, &hub)?)),
            || self::ours(store, &layered),
        )?;
        report.add(
            "insert",
            format!("HUB / LAYERED, {store}"),
            count,
            &ours,
            &baseline,
            Target::AtMost(1.3),
        );
    }
    for callers in [8, 64] {
        let some = &layered[..layered.len().min(scale.pick(8192, 1024))];
        let (ours, baseline) = interleaved(3, || singles(some, callers), || raw_singles(some))?;
        let row = format!("{callers} callers, durable singles, sled / raw sled one by one");
        report.add(
            "insert",
            row,
            some.len() as u64,
            &ours,
            &baseline,
            Target::None,
        );
    }
    Ok(())
}

fn recipes(workload: Workload) -> Result<Vec<Recipe>> {
    workload.recipes().collect()
}

fn ours(store: &str, recipes: &[Recipe]) -> Result<Sample> {
    let folder = TempDir::new().map_err(Error::io)?;
    let path = folder.path().join("store");
    let uri = match store {
        "sled" => format!("sled:{}", path.display()),
        "sled buffered" => format!("sled:{}?durability=buffered", path.display()),
        _ => "memory:".to_owned(),
    };
    let runtime = runtime(2)?;
    let deriva = runtime.block_on(Deriva::builder().store(&uri).build())?;
    let ((), mut sample) = sample(|| {
        runtime.block_on(async {
            for batch in recipes.chunks(BATCH) {
                deriva.dag().insert(batch).await?;
            }
            deriva.flush().await
        })
    })?;
    drop(deriva);
    sample.disk_bytes = disk_bytes(folder.path())?;
    Ok(sample)
}

fn singles(recipes: &[Recipe], callers: usize) -> Result<Sample> {
    let folder = TempDir::new().map_err(Error::io)?;
    let uri = format!("sled:{}", folder.path().join("store").display());
    let runtime = runtime(2)?;
    let deriva = runtime.block_on(Deriva::builder().store(&uri).build())?;
    let recipes: Arc<[Recipe]> = recipes.into();
    let ((), mut sample) = sample(|| {
        runtime.block_on(async {
            let callers: Vec<_> = (0..callers)
                .map(|caller| {
                    let (dag, recipes, step) =
                        (Arc::clone(deriva.dag()), Arc::clone(&recipes), callers);
                    tokio::spawn(async move {
                        for recipe in recipes.iter().skip(caller).step_by(step) {
                            dag.insert(std::slice::from_ref(recipe)).await?;
                        }
                        Ok::<(), Error>(())
                    })
                })
                .collect();
            for caller in callers {
                caller.await.map_err(|source| {
                    Error::new(ErrorKind::Internal, "a caller died").caused_by(source)
                })??;
            }
            Ok(())
        })
    })?;
    drop(deriva);
    sample.disk_bytes = disk_bytes(folder.path())?;
    Ok(sample)
}

/// Raw sled: the same rows (recipe and one row per distinct edge), the same batches, the same
/// durability.
fn raw(recipes: &[Recipe]) -> Result<Sample> {
    raw_batches(recipes.chunks(BATCH))
}

fn raw_singles(recipes: &[Recipe]) -> Result<Sample> {
    raw_batches(recipes.chunks(1))
}

fn raw_batches<'a>(batches: impl Iterator<Item = &'a [Recipe]>) -> Result<Sample> {
    let engine =
        |source: sled::Error| Error::new(ErrorKind::Internal, "raw sled failed").caused_by(source);
    let folder = TempDir::new().map_err(Error::io)?;
    let db = sled::open(folder.path().join("raw")).map_err(engine)?;
    let log = std::fs::File::open(folder.path().join("raw/db")).map_err(Error::io)?;
    let ((), mut sample) = sample(|| {
        for recipes in batches {
            let mut batch = sled::Batch::default();
            for recipe in recipes {
                let key = |parts: &[&[u8]]| parts.concat();
                batch.insert(
                    key(&[b"r", recipe.addr().as_ref()]),
                    recipe.canonical().as_ref(),
                );
                for input in recipe.inputs() {
                    batch.insert(key(&[b"d", input.as_ref(), recipe.addr().as_ref()]), &[]);
                }
            }
            db.apply_batch(batch).map_err(engine)?;
            db.flush().map_err(engine)?;
            log.sync_all().map_err(Error::io)?;
        }
        Ok(())
    })?;
    drop(db);
    sample.disk_bytes = disk_bytes(folder.path())?;
    Ok(sample)
}
